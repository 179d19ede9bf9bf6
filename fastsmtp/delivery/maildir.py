"""The Maildir store: one file for each mailbox of a message, `{root}/{domain}/{user}/new/NAME`."""

import asyncio
import errno
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Final, Literal

from fastsmtp import _maildir
from fastsmtp.delivery.batch import Batcher, StoreCounts
from fastsmtp.errors import StartError
from fastsmtp.ports import Clock
from fastsmtp.smtp import trace
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.message import Message
from fastsmtp.smtp.replies import (
    MAILBOX_FULL,
    NOBODY_TOOK_IT,
    STORE_FULL,
    STORE_MISCONFIGURED,
    STORE_TROUBLE,
    Reply,
)
from fastsmtp.smtp.transaction import Transaction
from fastsmtp.stats import Stats

__all__ = ["Durability", "MaildirStore", "reply_to_errno"]

Durability = Literal["journal", "fsync", "none"]

# There is no journal yet: what it promises, fsync keeps, only slower.
_DURABILITY: Final = {"journal": _maildir.FSYNC, "fsync": _maildir.FSYNC, "none": _maildir.NONE}

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

_HOST_BYTES: Final = 128  # of the 255 of a file name; the random part already makes it unique

_return_path = re.compile(rb"^return-path[ \t]*:.*\n(?:[ \t].*\n)*", re.IGNORECASE | re.MULTILINE)

logger = logging.getLogger("fastsmtp.delivery")


def reply_to_errno(number: int) -> Reply:
    """What the client hears when the operating system said `number`: always a 4xx."""
    return _REPLIES.get(number, STORE_TROUBLE)


class _Names:
    """File names that no other process, container or host makes: time, pid, counter, 64 random bits, host.

    `,S=` is the size in bytes, which Maildir++ readers use for quotas. `/` and `:` have meanings in a Maildir.
    """

    def __init__(self, hostname: str) -> None:
        host = hostname.replace("/", "\\057").replace(":", "\\072").encode()[:_HOST_BYTES]
        self._process = b"P%dQ" % os.getpid()
        self._host = b"R%b.%b,S=" % (token_hex(8).encode(), host)
        self._counter = count(1)

    def new(self, now: float, size: int) -> bytes:
        seconds, microseconds = divmod(int(now * 1_000_000), 1_000_000)
        return b"%d.M%d%b%d%b%d" % (seconds, microseconds, self._process, next(self._counter), self._host, size)


@dataclass(slots=True)
class _Item:
    transaction_id: str
    delivery: _maildir.Delivery


class _Writer:
    """The BatchWriter of a Maildir tree: `_maildir.Writer`, and what its results mean to the client."""

    def __init__(self, root: Path, durability: int) -> None:
        self._root = root
        self._durability = durability
        self._root_fd = -1
        self._items: list[_Item] = []

    def open(self) -> int:
        self._root_fd = _open_root(self._root)
        try:
            self._writer = _maildir.Writer(self._root_fd, self._durability)
        except OSError as error:
            os.close(self._root_fd)
            raise StartError(f"the mail writer cannot start: {error.strerror}") from error
        return self._writer.descriptor

    def start(self, items: list[_Item]) -> None:
        self._items = items
        self._writer.start([item.delivery for item in items])

    def finish(self) -> list[Reply] | None:
        failures = self._writer.finish()
        if failures is None:
            return None
        return [_reply(item.transaction_id, failure) for item, failure in zip(self._items, failures, strict=True)]

    def write_now(self, item: _Item) -> Reply:
        """The same for one message, here and now."""
        (failure,) = _maildir.commit(self._root_fd, [item.delivery], self._durability)
        return _reply(item.transaction_id, failure)

    def close(self) -> None:
        self._writer.close()
        os.close(self._root_fd)
        self._root_fd = -1


class MaildirStore:
    """Puts messages into Maildirs below `root`, batch by batch, and answers when they are as safe as asked.

    Mailboxes are made on their first delivery. Nothing of a message that got a 4xx stays behind.
    """

    def __init__(self, root: Path, hostname: str, durability: Durability, clock: Clock, stats: Stats) -> None:
        self._hostname = hostname
        self._clock = clock
        self._counts = StoreCounts(stats)
        self._writer = _Writer(root, _DURABILITY[durability])
        self._batcher: Batcher[_Item] = Batcher(self._writer, self._counts)
        self._waits_for_disk = durability != "none"

    async def open(self) -> None:
        """Make the root where it is missing, and start. Raises StartError when it cannot be used.

        Called in the process that delivers: file names carry its pid and a random number of its own.
        """
        self._names = _Names(self._hostname)
        self._batcher.open()

    async def close(self) -> None:
        """Finish what was given, then stop."""
        await self._batcher.close()

    def store(self, transaction: Transaction) -> Reply | asyncio.Future[Reply]:
        """One file for each distinct mailbox of the recipients. A recipient without a mailbox refuses the message."""
        addresses: dict[tuple[str, str], Address] = {}
        for recipient in transaction.recipients:
            if recipient.mailbox is None:
                return NOBODY_TOOK_IT
            addresses.setdefault(recipient.mailbox, recipient.address)
        if not addresses:
            return NOBODY_TOOK_IT

        message = transaction.message
        now = self._clock.time()
        top = trace.return_path(transaction.sender)
        content = [trace.received(transaction, self._hostname, now) + message.added, *_content(message)]
        content_size = sum(map(len, content))
        copies = []
        total_size = 0
        try:
            for (domain, user), address in addresses.items():
                head = top + trace.delivered_to(address)
                size = len(head) + content_size
                copies.append((domain.encode(), user.encode(), self._names.new(now, size), head))
                total_size += size
            delivery = _maildir.Delivery(copies, content)
        except ValueError as error:
            logger.error("%s not stored: mailbox: %s", transaction.id, error)  # noqa: TRY400 - no fault of the code
            return STORE_MISCONFIGURED
        item = _Item(transaction.id, delivery)
        if self._waits_for_disk:
            return self._batcher.put(item, total_size)
        # There is no sync to share, and a thread would cost more than the few system calls.
        reply = self._writer.write_now(item)
        self._counts.message(reply, total_size)
        return reply


def _reply(transaction_id: str, failure: _maildir.Failure | None) -> Reply:
    if failure is None:
        return Reply(250, "2.0.0", f"stored as {transaction_id}")
    name = errno.errorcode.get(failure.errno, str(failure.errno))
    left = f", {failure.left_behind} files could not be taken back" if failure.left_behind else ""
    logger.error("%s not stored: %s %a: %s%s", transaction_id, failure.step, failure.path, name, left)
    return reply_to_errno(failure.errno)


def _content(message: Message) -> list[bytes]:
    """The message in pieces, without its own Return-Path fields (RFC 5321 section 4.4), else byte for byte.

    When it begins with a blank, it would continue our last field: then an empty line makes it the body.
    """
    header = message.header.raw
    pieces = message.content()
    if b"return-path" in header.lower():
        pieces = [_return_path.sub(b"", header), *message.body]
    first = next(filter(None, pieces), b"")
    return [b"\n", *pieces] if first.startswith((b" ", b"\t")) else pieces


def _open_root(root: Path) -> int:
    try:
        with suppress(FileExistsError):
            root.mkdir(mode=0o700, parents=True)
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"the mail root {root} cannot be used: {error.strerror}") from error
    if not os.access(root, os.W_OK | os.X_OK, effective_ids=True):
        os.close(descriptor)
        raise StartError(f"the mail root {root} cannot be used: it is not writable")
    return descriptor
