"""Frees the journal behind the mail: what is safe in the mailboxes need not be kept in it any longer.

A checkpoint syncs the file system of the mail root in a thread, and then notes how far the journal is not needed any
more. Batches go on meanwhile, in the other segments of the ring.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final

from fastsmtp import _maildir
from fastsmtp.delivery.journal import Ring
from fastsmtp.delivery.records import Copy, Position
from fastsmtp.delivery.restorer import Restorer
from fastsmtp.stats import Stats

__all__ = ["EVERY_S", "Checkpointer"]

EVERY_S: Final = 5.0
"""How long the journal alone has what is new, at most: so much mail a recovery has to look at."""

logger = logging.getLogger("fastsmtp.delivery")


@dataclass(slots=True)
class _Debt:
    """Copies that were promised and are not in their mailboxes; their record is not before this position."""

    position: Position
    copies: list[Copy]
    content: tuple[bytes, ...]
    is_told: bool = False


class Checkpointer:
    """One for each ring. `root` is a descriptor of the mail root; `freed` hears whenever there may be room again."""

    def __init__(
        self, ring: Ring, root: int, freed: Callable[[], None], stats: Stats, *, every_s: float = EVERY_S
    ) -> None:
        self._ring = ring
        self._root = root
        self._freed = freed
        self._every_s = every_s
        self._restorer = Restorer(root)
        self._published = ring.safe
        self._debts: list[_Debt] = []
        self._wake = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None
        self.has_failed = False
        self._cells = stats.cells
        done = stats.counter(
            "fastsmtp_journal_checkpoints_total", "Checkpoints of the journal, by result.", result=("done", "failed")
        )
        self._done, self._failed = (stats.cell(done, result) for result in ("done", "failed"))
        self._owed = stats.cell(
            stats.gauge("fastsmtp_journal_owed_messages", "Messages that only the journal has: mailboxes refuse them.")
        )
        self._dead = stats.cell(
            stats.gauge("fastsmtp_journal_dead_segments", "Segments of the journal that the disk has failed to write.")
        )
        self._seconds = stats.timer(
            stats.histogram("fastsmtp_journal_checkpoint_seconds", "How long a checkpoint took, beside the batches.")
        )

    def start(self) -> None:
        """Begin to look after the journal; called on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Make a last checkpoint, so that the next start has nothing to recover. No batch is under way any more."""
        if self._task is not None:
            self._is_closing = True
            self._wake.set()
            await self._task
            self._task = None

    def published(self) -> None:
        """A batch is done: all that the journal has is in the mailboxes, except what is owed."""
        self._published = self._ring.position
        self._cells[self._dead] = self._ring.journal.dead
        if self._ring.needs_checkpoint(self._published):
            self._wake.set()

    def owe(self, delivery: _maildir.Delivery, owed: _maildir.Owed) -> None:
        """Copies of a message of the batch that is done are not in their mailboxes: see to it. Before `published`."""
        copies = [Copy(*delivery.copies[number]) for number in owed.copies]
        self._debts.append(_Debt(self._published, copies, delivery.content))
        self._cells[self._owed] = len(self._debts)
        self._wake.set()

    def hurry(self) -> None:
        """Somebody waits for room."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._wake.wait()
            self._wake.clear()
            is_last = self._is_closing  # what was published by now is in this checkpoint
            try:
                await self._checkpoint()
            except Exception:  # a fault of ours: what nobody looks after must take no more promises, and say so
                logger.exception("the journal cannot be looked after")
                self.has_failed = True
            if is_last:
                return

    async def _checkpoint(self) -> None:
        await self._pay()
        position = min([self._published, *(debt.position for debt in self._debts)])
        if self.has_failed or not self._ring.has_news(position):
            return
        begun_ns = perf_counter_ns()
        try:
            await asyncio.to_thread(self._make, position)
        except OSError as error:
            # The kernel reports a failed write once and then forgets it: another try would only look like success.
            self.has_failed = True
            self._cells[self._failed] += 1
            logger.critical(
                "the mail cannot be synced: %s; mend the disk and reboot, until then no mail is taken",
                error.strerror,
            )
            return
        self._cells[self._done] += 1
        self._seconds.observe(perf_counter_ns() - begun_ns)
        self._freed()

    def _make(self, position: Position) -> None:
        _maildir.sync_file_system(self._root)
        self._ring.checkpoint(position)

    async def _pay(self) -> None:
        """Finish what is owed, from memory."""
        for debt in list(self._debts):
            try:
                await asyncio.to_thread(self._restore, debt)
            except OSError as error:
                if not debt.is_told:  # it is tried again whenever somebody waits for room
                    debt.is_told = True
                    logger.error("promised mail is in the journal only: %s; trying again", error.strerror)  # noqa: TRY400 - no fault of the code
                continue  # one that cannot be paid keeps no other waiting
            self._debts.remove(debt)
            self._cells[self._owed] = len(self._debts)

    def _restore(self, debt: _Debt) -> None:
        for copy in debt.copies:
            self._restorer.restore(copy, debt.content)
