"""The Maildir store: one file for each mailbox of a message, `{root}/{domain}/{user}/new/NAME`."""

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Final

from fastsmtp import _maildir
from fastsmtp._header import begins_line
from fastsmtp.config.model import MaildirSettings
from fastsmtp.delivery.batch import Batcher, Receipt, StoreCounts
from fastsmtp.delivery.checkpointer import Checkpointer
from fastsmtp.delivery.journal import Ring
from fastsmtp.delivery.quota import MaildirQuotas
from fastsmtp.delivery.room import RoomWatch
from fastsmtp.delivery.spool import SpoolFolder
from fastsmtp.delivery.sweep import sweep
from fastsmtp.delivery.writer import Item, MaildirWriter
from fastsmtp.errors import StartError
from fastsmtp.ports import Clock
from fastsmtp.smtp import trace
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.message import Message
from fastsmtp.smtp.options import Room
from fastsmtp.smtp.replies import NOBODY_TOOK_IT, STORE_MISCONFIGURED, STORE_TROUBLE, Reply
from fastsmtp.smtp.transaction import Mailbox, Transaction
from fastsmtp.stats import Stats

__all__ = ["MaildirStore"]

_DURABILITY: Final = {"journal": _maildir.JOURNAL, "fsync": _maildir.FSYNC, "none": _maildir.NONE}

_SWEEP_EVERY_S: Final = 24 * 3600

_HOST_BYTES: Final = 128  # of the 255 of a file name; the random part already makes it unique

_return_path = re.compile(rb"^return-path[ \t]*:.*\n(?:[ \t].*\n)*", re.IGNORECASE | re.MULTILINE)

logger = logging.getLogger("fastsmtp.delivery")


class _Names:
    """File names that no other process, container or host makes: time, pid, counter, 64 random bits, host.

    `,S=` is the size in bytes, which Maildir++ readers use for quotas. `/` and `:` have meanings in a Maildir.
    """

    def __init__(self, hostname: str) -> None:
        host = hostname.replace("/", "\\057").replace(":", "\\072").encode()[:_HOST_BYTES].decode(errors="ignore")
        self._process = f"P{os.getpid()}Q"
        self._host = f"R{token_hex(8)}.{host},S="
        self._count = 0

    def new(self, now: float, size: int) -> bytes:
        microseconds = int(now * 1_000_000)
        seconds = microseconds // 1_000_000
        self._count += 1
        return f"{seconds}.M{microseconds - seconds * 1_000_000}{self._process}{self._count}{self._host}{size}".encode()


class MaildirStore:
    """Puts messages into Maildirs below `root`, batch by batch, and answers when they are as safe as asked.

    Mailboxes are made on their first delivery. Nothing of a message that got a 4xx stays behind. `room` says what the
    disk has room for, `spools` keeps large messages while they arrive, `quotas` knows how full mailboxes are.
    """

    def __init__(self, settings: MaildirSettings, hostname: str, clock: Clock, stats: Stats) -> None:
        self.room = Room()
        self.spools = SpoolFolder(settings.root)
        self.quotas = MaildirQuotas(clock, stats, settings.over_quota)
        self._settings = settings
        self._hostname = hostname
        self._clock = clock
        self._stats = stats
        self._counts = StoreCounts(stats)
        self._waits_for_disk = settings.durability != "none"
        self._resources = ExitStack()
        self._batcher: Batcher | None = None
        self._checkpointer: Checkpointer | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the disk has failed in a way after which nothing can be promised any more."""
        return self._checkpointer is not None and self._checkpointer.has_failed

    @property
    def busy_s(self) -> float:
        """For how many seconds the batch under way has been written; 0 without one."""
        return 0.0 if self._batcher is None else self._batcher.busy_s

    async def open(self, ring_number: int = 0, *, sweeps: bool = True) -> None:
        """Start. Raises StartError when the mail root or the journal cannot be used.

        Called in the process that delivers: file names carry its pid and a random number of its own. The ring of this
        number is its own too, the journal is locked, and what the ring had is recovered. One process `sweeps` for all.
        """
        loop = asyncio.get_running_loop()
        settings = self._settings
        self._names = _Names(self._hostname)
        root = _open_root(settings.root)
        self._resources.callback(os.close, root)
        self.spools.open()
        self.quotas.open(root)
        ring = await asyncio.to_thread(self._open_ring, ring_number)
        try:
            self._writer = MaildirWriter(root, _DURABILITY[settings.durability], ring)
        except OSError as error:
            raise StartError(f"the mail writer cannot start: {error.strerror}") from error
        self._batcher = Batcher(self._writer, self._counts)
        self._batcher.open()
        if ring is not None:
            self._limit = settings.journal_limit
            self._checkpointer = Checkpointer(ring, root, self._batcher.resume, self._stats)
            self._writer.checkpointer = self._checkpointer
            self._checkpointer.start()
        watch = RoomWatch(loop, settings.root, self.room, settings.reserve, settings.reserve_inodes, self._stats)
        watch.start()
        self._resources.callback(watch.stop)
        if sweeps:
            self._sweeper = loop.create_task(self._sweep())

    def _open_ring(self, number: int) -> Ring | None:
        """Blocks; raises StartError."""
        settings = self._settings
        if settings.durability != "journal":
            return None
        ring = Ring.open(settings.journal / str(number), settings.journal_size, settings.journal_limit)
        self._resources.callback(ring.close)
        return ring

    async def _sweep(self) -> None:
        """Remove stray files from tmp/ directories, now and once a day."""
        while True:
            removed = await asyncio.to_thread(
                sweep, self._settings.root, now=self._clock.time(), is_enough=lambda: self._sweeper is None
            )
            if removed:
                logger.info("%d stray files removed from tmp/ directories", removed)
            await asyncio.sleep(_SWEEP_EVERY_S)

    async def close(self) -> None:
        """Finish what was given, then stop."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        await self.quotas.close()  # while the batcher still takes what waits there
        if self._batcher is not None:
            await self._batcher.close()
            self._batcher = None
        if self._checkpointer is not None:
            await self._checkpointer.close()
            self._checkpointer = None
        self._resources.close()

    def store(self, transaction: Transaction) -> Reply | Awaitable[Reply]:
        """One file for each distinct mailbox of the recipients.

        A recipient without a mailbox refuses the message, and so does a mailbox over its quota: for all, or in LMTP for
        himself.
        """
        recipients = transaction.recipients
        if transaction.replies_each:
            transaction.refuse_each({one.address: NOBODY_TOOK_IT for one in recipients if not one.mailboxes})
            recipients = transaction.remaining
        targets: list[tuple[Mailbox, Address]] = []
        has_quotas = False
        for recipient in recipients:
            if not recipient.mailboxes:
                return NOBODY_TOOK_IT
            for mailbox in recipient.mailboxes:
                targets.append((mailbox, recipient.address))
                if mailbox.quota_bytes is not None:
                    has_quotas = True
        if not targets:
            return NOBODY_TOOK_IT
        if len(targets) > 1:
            targets = _one_each(targets)
        if self.has_failed:
            return STORE_TROUBLE

        message = transaction.message
        spool = message.spool
        descriptor, spool_size = (-1, 0) if spool is None else (spool.descriptor, spool.size)
        now = self._clock.time()
        top = trace.return_path(transaction.sender)
        content = _content(message)
        content.insert(0, trace.received(transaction, self._hostname, now) + message.added)
        content_size = spool_size
        for piece in content:
            content_size += len(piece)
        copies = []
        total_size = 0
        try:
            for mailbox, address in targets:
                head = top + trace.delivered_to(address)
                size = len(head) + content_size
                copies.append((mailbox.domain.encode(), mailbox.user.encode(), self._names.new(now, size), head))
                total_size += size
            delivery = _maildir.Delivery(copies, content, descriptor, spool_size)
        except ValueError as error:
            logger.error("%s not stored: mailbox: %s", transaction.id, error)  # noqa: TRY400 - no fault of the code
            return STORE_MISCONFIGURED
        item = Item(transaction.id, delivery, spool)
        if not has_quotas:
            return self._write(item, total_size)
        sizes = [(mailbox, len(copy[3]) + content_size) for (mailbox, _), copy in zip(targets, copies, strict=True)]
        write = partial(self._write_in_future, item, total_size)
        if transaction.replies_each:
            return self.quotas.deliver_each(recipients, sizes, write, partial(self.store, transaction))
        return self.quotas.deliver(sizes, write)

    def _write_in_future(self, item: Item, total_size: int) -> Reply | asyncio.Future[Reply]:
        reply = self._write(item, total_size)
        return reply.future() if isinstance(reply, Receipt) else reply

    def _write(self, item: Item, total_size: int) -> Reply | Receipt:
        if not self._waits_for_disk:
            # There is no sync to share, and a thread would cost more than the few system calls.
            reply = self._writer.write_now(item)
            self._counts.message(reply, total_size)
            return reply
        if self._batcher is None:
            raise RuntimeError("the store is not open")
        journal_bytes = 0 if self._checkpointer is None else item.delivery.record_bytes
        if journal_bytes and journal_bytes > self._limit:  # too large for it
            journal_bytes = 0
        return self._batcher.put(item, total_size, journal_bytes)


def _one_each(targets: Iterable[tuple[Mailbox, Address]]) -> list[tuple[Mailbox, Address]]:
    """Each mailbox once, with the first recipient who leads there."""
    first: dict[tuple[str, str], tuple[Mailbox, Address]] = {}
    for mailbox, address in targets:
        first.setdefault(mailbox[:2], (mailbox, address))
    return list(first.values())


def _content(message: Message) -> list[bytes]:
    """What of the message is in memory, without its own Return-Path fields (RFC 5321 section 4.4), else byte for byte.

    When it begins with a blank, it would continue our last field: then an empty line makes it the body.
    """
    pieces = message.memory
    if begins_line(pieces[0], b"return-path"):
        pieces[0] = _return_path.sub(b"", pieces[0])
    # Of a body that is in the spool nobody has looked at the first octet.
    first = pieces[0] or next(filter(None, pieces), b"" if message.spool is None else b" ")
    if first.startswith((b" ", b"\t")):
        pieces.insert(0, b"\n")
    return pieces


def _open_root(root: Path) -> int:
    try:
        _make(root)
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"the mail root {root} cannot be used: {error.strerror}") from error
    if not os.access(root, os.W_OK | os.X_OK, effective_ids=True):
        os.close(descriptor)
        raise StartError(f"the mail root {root} cannot be used: it is not writable")
    return descriptor


def _make(root: Path) -> None:
    """Make the folder where it is missing, to stay. Raises OSError."""
    if root.is_dir():
        return
    if not root.parent.is_dir():
        _make(root.parent)
    with suppress(FileExistsError):
        root.mkdir(mode=0o700)
    parent = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
