"""Quotas of mailboxes: whether one more message fits, and that it counts once it is there.

A mailbox without a quota costs nothing. With one, its file `maildirsize` is looked at on every check and read when it
has changed; where it cannot be relied on, the messages are counted in a thread. In doubt there is room.

Messages that are checked at the same moment do not see each other: a quota may be exceeded by those.
"""

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from fastsmtp.delivery import maildirsize
from fastsmtp.delivery.maildirsize import NOTHING, Sizes, Stamp, Usage, open_mailbox
from fastsmtp.ports import Clock, Mailbox
from fastsmtp.smtp.replies import MAILBOX_FULL, MAILBOX_FULL_FOR_GOOD, Reply
from fastsmtp.smtp.transaction import Recipient
from fastsmtp.stats import Stats

__all__ = ["ENTRIES", "STALE_S", "MaildirQuotas", "Moment", "OverQuota", "Usage", "usage"]

STALE_S: Final = 15 * 60
"""A file that nobody has changed for so long is not believed when it says that there is no room."""

ENTRIES: Final = 4096
"""Of so many mailboxes it is remembered what their file said."""

_COUNTS_AT_A_TIME: Final = 2  # a large mailbox shall not hold up all others, nor many of them the event loop

Moment: TypeAlias = Literal["rcpt", "data"]
OverQuota: TypeAlias = Literal["defer", "reject"]

logger = logging.getLogger("fastsmtp.delivery")


class _Known(NamedTuple):
    stamp: Stamp
    sizes: Sizes


def usage(root: Path, domain: str, user: str) -> Usage:
    """What is in a mailbox: as its file says, else counted. Nothing where there is no such mailbox.

    Blocks, and changes nothing. Raises OSError, and ValueError for what is no name of a folder.
    """
    try:
        root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with open_mailbox(root_fd, domain, user) as mailbox:
                found = maildirsize.read(mailbox)
                return maildirsize.count(mailbox) if found is None else found[0].usage
        finally:
            os.close(root_fd)
    except FileNotFoundError:
        return NOTHING


class MaildirQuotas:
    """The quotas of the mailboxes below a mail root; nothing here is ever a reason to lose mail.

    A mailbox without room is `452 4.2.2`, or `552 5.2.2` with `over_quota="reject"` when no mailbox of the message has
    room: a 5xx would be final for the others too.
    """

    def __init__(self, clock: Clock, stats: Stats, over_quota: OverQuota = "defer", entries: int = ENTRIES) -> None:
        self._clock = clock
        self._refusal = MAILBOX_FULL if over_quota == "defer" else MAILBOX_FULL_FOR_GOOD
        self._entries = entries
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._told: set[tuple[str, str]] = set()
        self._counting: dict[Mailbox, asyncio.Task[Usage | None]] = {}
        self._under_way: set[asyncio.Future[Reply]] = set()
        self._root = -1
        self._cells = stats.cells
        refusals = stats.counter(
            "fastsmtp_quota_refusals_total",
            "Recipients (rcpt) and messages (data) refused because a mailbox is over its quota.",
            when=("rcpt", "data"),
        )
        self._refusals: dict[Moment, int] = {"rcpt": stats.cell(refusals, "rcpt"), "data": stats.cell(refusals, "data")}
        self._recounts = stats.cell(
            stats.counter("fastsmtp_quota_recounts_total", "How often the messages of a mailbox had to be counted.")
        )

    def open(self, root: int) -> None:
        """Start; `root` is a descriptor that stays open until `close` is done. Called on the running event loop."""
        self._root = root
        self._turns = asyncio.Semaphore(_COUNTS_AT_A_TIME)

    async def close(self) -> None:
        """Finish what is under way: messages that wait for a count, messages that are being written, counts."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        while self._counting:
            await asyncio.wait(self._counting.values())
        self._root = -1

    # --- one more message --------------------------------------------------------------------------------------------

    def admits(
        self, mailboxes: Sequence[Mailbox], size: int | None, when: Moment = "rcpt"
    ) -> Reply | Awaitable[Reply | None] | None:
        """None when a message of `size` octets (None: nobody knows) fits into each of the mailboxes, else the refusal.

        Raises nothing, now or later.
        """
        least = max(size or 0, 1)
        verdicts = [self._has_room(mailbox, least) for mailbox in mailboxes]
        if None in verdicts:
            return self._admits_later(mailboxes, least, verdicts, when)
        return self._verdict(verdicts, when)

    async def _admits_later(
        self, mailboxes: Sequence[Mailbox], size: int, verdicts: Sequence[bool | None], when: Moment
    ) -> Reply | None:
        final = [
            await self._has_room_by_count(mailbox, size) if verdict is None else verdict
            for mailbox, verdict in zip(mailboxes, verdicts, strict=True)
        ]
        return self._verdict(final, when)

    def _verdict(self, verdicts: Sequence[bool | None], when: Moment) -> Reply | None:
        if all(verdicts):
            return None
        self._cells[self._refusals[when]] += 1
        return MAILBOX_FULL if any(verdicts) else self._refusal

    def deliver(
        self, copies: Sequence[tuple[Mailbox, int]], write: Callable[[], Reply | asyncio.Future[Reply]]
    ) -> Reply | asyncio.Future[Reply]:
        """Call `write` if each copy (mailbox, octets) fits, and count the copies once it has said 250."""
        refusal = self.admits([mailbox for mailbox, _ in copies], max(size for _, size in copies), "data")
        if isinstance(refusal, Reply):
            return refusal
        reply = write() if refusal is None else asyncio.ensure_future(self._write_later(refusal, write))
        if isinstance(reply, Reply):
            self._stored(copies, reply)
        else:
            # Before whoever waits for the reply: when the client hears it, the message counts.
            self._under_way.add(reply)
            reply.add_done_callback(partial(self._written, copies))
        return reply

    def deliver_each(
        self,
        recipients: Sequence[Recipient],
        copies: Sequence[tuple[Mailbox, int]],
        write: Callable[[], Reply | asyncio.Future[Reply]],
        store_the_rest: Callable[[], Reply | Awaitable[Reply]],
    ) -> asyncio.Future[Reply]:
        """Refuse the recipients one by one whose mailboxes have no room, then `store_the_rest` without them.

        When there are none, it is `deliver`.
        """
        reply = asyncio.ensure_future(self._deliver_each(recipients, copies, write, store_the_rest))
        self._under_way.add(reply)
        reply.add_done_callback(self._under_way.discard)
        return reply

    async def _deliver_each(
        self,
        recipients: Sequence[Recipient],
        copies: Sequence[tuple[Mailbox, int]],
        write: Callable[[], Reply | asyncio.Future[Reply]],
        store_the_rest: Callable[[], Reply | Awaitable[Reply]],
    ) -> Reply:
        size = max(size for _, size in copies)
        has_refused = False
        for recipient in recipients:
            refusal = self.admits(recipient.mailboxes, size, "data")
            if refusal is not None and not isinstance(refusal, Reply):
                refusal = await refusal
            if refusal is not None:
                recipient.refusal = refusal
                has_refused = True
        reply = store_the_rest() if has_refused else self.deliver(copies, write)
        return reply if isinstance(reply, Reply) else await reply

    async def _write_later(
        self, pending: Awaitable[Reply | None], write: Callable[[], Reply | asyncio.Future[Reply]]
    ) -> Reply:
        refusal = await pending
        if refusal is not None:
            return refusal
        reply = write()
        return reply if isinstance(reply, Reply) else await reply

    def _written(self, copies: Sequence[tuple[Mailbox, int]], done: asyncio.Future[Reply]) -> None:
        self._under_way.discard(done)
        if not done.cancelled() and done.exception() is None:  # whoever waits for it hears of an exception
            self._stored(copies, done.result())

    def _stored(self, copies: Sequence[tuple[Mailbox, int]], reply: Reply) -> None:
        if not reply.is_positive:
            return
        for mailbox, size in copies:
            if mailbox.quota_bytes is not None:
                self._append(mailbox, size)

    def _append(self, mailbox: Mailbox, size: int) -> None:
        """A message of so many octets has come into the mailbox. Without a file, the next check will count."""
        try:
            with open_mailbox(self._root, mailbox.domain, mailbox.user) as folder:
                length, stamp = maildirsize.append(folder, size, 1)
        except FileNotFoundError:
            return
        except OSError as error:
            self._tell(mailbox, error)
            return
        known = self._known.get(mailbox[:2])
        if known is None or stamp.length > maildirsize.BYTES:
            return
        if (stamp.inode, stamp.length) == (known.stamp.inode, known.stamp.length + length):
            # Nobody else has written meanwhile, so there is nothing to read.
            quota_bytes, used = known.sizes
            used = Usage(used.bytes + size, used.messages + 1)
            self._remember(mailbox, _Known(stamp, Sizes(quota_bytes, used)))

    # --- how much there is -------------------------------------------------------------------------------------------

    def _has_room(self, mailbox: Mailbox, size: int) -> bool | None:
        """None: the messages have to be counted first."""
        quota = mailbox.quota_bytes
        if quota is None:
            return True
        if size > quota:
            return False
        try:
            known = self._look(mailbox)
        except (FileNotFoundError, ValueError):
            return True  # no mailbox yet, or a name that the store will not accept
        except OSError as error:
            self._tell(mailbox, error)
            return True
        if known is None or known.sizes.quota_bytes != quota:
            return None
        if known.sizes.usage.bytes + size <= quota:
            return True
        return None if self._clock.time() - known.stamp.mtime_ns / 1e9 > STALE_S else False

    def _look(self, mailbox: Mailbox) -> _Known | None:
        """What the file says now. Raises OSError when the mailbox cannot be opened, ValueError for its name."""
        known = self._known.get(mailbox[:2])
        if known is not None and known.stamp == maildirsize.look(self._root, mailbox.domain, mailbox.user):
            self._known.move_to_end(mailbox[:2])
            return known
        with open_mailbox(self._root, mailbox.domain, mailbox.user) as folder:
            found = maildirsize.read(folder)
        if found is None:
            return None
        known = _Known(found[1], found[0])
        self._remember(mailbox, known)
        return known

    async def _has_room_by_count(self, mailbox: Mailbox, size: int) -> bool:
        counting = self._counting.get(mailbox)
        if counting is None:
            counting = self._counting[mailbox] = asyncio.create_task(self._count(mailbox))
            counting.add_done_callback(lambda _: self._counting.pop(mailbox))
        used = await asyncio.shield(counting)  # others may wait for it too
        return used is None or mailbox.quota_bytes is None or used.bytes + size <= mailbox.quota_bytes

    async def _count(self, mailbox: Mailbox) -> Usage | None:
        """Count the messages, and write that down; None when they cannot be counted."""
        async with self._turns:
            self._cells[self._recounts] += 1
            used, outcome = await asyncio.to_thread(_count, self._root, mailbox)
        if isinstance(outcome, OSError):
            self._tell(mailbox, outcome)
        elif used is not None:
            self._remember(mailbox, _Known(outcome, Sizes(mailbox.quota_bytes, used)))
        return used

    def _remember(self, mailbox: Mailbox, known: _Known) -> None:
        self._known[mailbox[:2]] = known
        self._known.move_to_end(mailbox[:2])
        if len(self._known) > self._entries:
            self._known.popitem(last=False)

    def _tell(self, mailbox: Mailbox, error: OSError) -> None:
        """Tell the log, once for each mailbox (as far as we remember)."""
        if mailbox[:2] in self._told:
            return
        if len(self._told) >= self._entries:
            self._told.clear()
        self._told.add(mailbox[:2])
        logger.error("cannot keep the quota of %a: %s", f"{mailbox.domain}/{mailbox.user}", error.strerror)


def _count(root: int, mailbox: Mailbox) -> tuple[Usage | None, Stamp | OSError]:
    """What is in the mailbox, and the stamp of the file that says so now, or why there is none. Blocks."""
    used = None
    try:
        with open_mailbox(root, mailbox.domain, mailbox.user) as folder:
            used = maildirsize.count(folder)
            return used, maildirsize.write(folder, Sizes(mailbox.quota_bytes, used))
    except OSError as error:
        return used, error
