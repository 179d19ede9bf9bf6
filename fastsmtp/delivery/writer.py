"""The batch writer of a Maildir tree: `_maildir.Writer`, its journal, and what its results mean to the client."""

import errno
import logging
import math
from typing import Final

from fastsmtp import _maildir
from fastsmtp.delivery.checkpointer import Checkpointer
from fastsmtp.delivery.journal import Ring
from fastsmtp.smtp.message import Spool
from fastsmtp.smtp.replies import (
    MAILBOX_FULL,
    STORE_FULL,
    STORE_MISCONFIGURED,
    STORE_TROUBLE,
    Reply,
    stored_as,
)

__all__ = ["Item", "MaildirWriter", "reply_to_errno"]

_REPLIES: Final = {
    errno.ENOSPC: STORE_FULL,
    errno.EDQUOT: MAILBOX_FULL,
    errno.EACCES: STORE_MISCONFIGURED,
    errno.EPERM: STORE_MISCONFIGURED,
    errno.EROFS: STORE_MISCONFIGURED,
    errno.ENAMETOOLONG: STORE_MISCONFIGURED,
    errno.ELOOP: STORE_MISCONFIGURED,
    errno.ENOTDIR: STORE_MISCONFIGURED,
}

logger = logging.getLogger("fastsmtp.delivery")


def reply_to_errno(number: int) -> Reply:
    """What the client hears when the operating system said `number`: always a 4xx."""
    return _REPLIES.get(number, STORE_TROUBLE)


class Item:
    """One message to be written; `spool` is kept open by being here."""

    __slots__ = ("delivery", "spool", "transaction_id")

    def __init__(self, transaction_id: str, delivery: _maildir.Delivery, spool: Spool | None) -> None:
        self.transaction_id = transaction_id
        self.delivery = delivery
        self.spool = spool


class MaildirWriter:
    """The BatchWriter of the tree below `root`, a descriptor. Raises OSError when there is no thread to be had.

    With a ring, durability is JOURNAL; its `checkpointer` hears of every batch.
    """

    def __init__(self, root: int, durability: int, ring: Ring | None = None) -> None:
        self.checkpointer: Checkpointer | None = None
        self._root = root
        self._durability = durability
        self._ring = ring
        self._items: list[Item] = []
        self._writer = _maildir.Writer(root, durability, ring.journal if ring is not None else None)

    def open(self) -> int:
        """The descriptor that tells of finished batches."""
        return self._writer.descriptor

    def room(self) -> float:
        """What the journal has room for; without one, for everything."""
        if self._ring is None or self.checkpointer is None:
            return math.inf
        self._ring.release()
        room = self._ring.journal.room
        if room < self._ring.segment_bytes:
            self.checkpointer.hurry()
        return room

    def start(self, items: list[Item]) -> None:
        """Begin to write these."""
        self._items = items
        self._writer.start([item.delivery for item in items])

    def finish(self) -> list[Reply] | None:
        """The replies in order; None while the batch is not done."""
        results = self._writer.finish()
        if results is None:
            return None
        items, self._items = self._items, []
        replies = [
            stored_as(item.transaction_id) if result is None else self._reply(item, result)
            for item, result in zip(items, results, strict=True)
        ]
        if self.checkpointer is not None:
            self.checkpointer.published()
        return replies

    def write_now(self, item: Item) -> Reply:
        """Write one message here and now; not with a journal."""
        (result,) = _maildir.commit(self._root, [item.delivery], self._durability)
        return self._reply(item, result)

    def close(self) -> None:
        """Let go of the thread. Called when no batch is under way."""
        self._writer.close()

    def _reply(self, item: Item, result: _maildir.Failure | _maildir.Owed | None) -> Reply:
        if isinstance(result, _maildir.Failure):
            return _refuse(item.transaction_id, result)
        if isinstance(result, _maildir.Owed) and self.checkpointer is not None:
            _log(item.transaction_id, "only in the journal yet", result)
            self.checkpointer.owe(item.delivery, result)
        return stored_as(item.transaction_id)


def _refuse(transaction_id: str, failure: _maildir.Failure) -> Reply:
    left = f", {failure.left_behind} files could not be taken back" if failure.left_behind else ""
    _log(transaction_id, "not stored", failure, left)
    return reply_to_errno(failure.errno)


def _log(transaction_id: str, fate: str, trouble: _maildir.Failure | _maildir.Owed, more: str = "") -> None:
    name = errno.errorcode.get(trouble.errno, str(trouble.errno))
    logger.error("%s %s: %s %a: %s%s", transaction_id, fate, trouble.step, trouble.path, name, more)
