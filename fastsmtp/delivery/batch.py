"""Group commit: what becomes complete while one batch is being written is the next batch.

No timer is needed: an idle writer takes a message at once, a busy one finds more waiting the longer it took.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Generator, Sequence
from time import perf_counter_ns
from typing import Any, Final, Protocol

from fastsmtp.smtp.replies import STORE_FULL, STORE_TROUBLE, Reply
from fastsmtp.stats import Stats

__all__ = ["BATCH_BYTES", "BATCH_MESSAGES", "STALL_S", "BatchWriter", "Batcher", "Reader", "Receipt", "StoreCounts"]

BATCH_MESSAGES: Final = 256
BATCH_BYTES: Final = 16 * 1024 * 1024
"""A batch ends at so many messages or bytes; a single message may be larger."""

STALL_S: Final = 10.0
"""How long messages wait for room in the journal before their clients are told to come again."""

_CODES: Final = ("250", "451", "452")

_BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, BATCH_MESSAGES)

logger = logging.getLogger("fastsmtp.delivery")


class BatchWriter(Protocol):
    """Writes one batch at a time, away from the event loop; never two. What an item is, only who gives them knows."""

    def open(self) -> int:
        """Get ready; gives a descriptor that becomes readable whenever a batch is done."""
        ...

    def room(self) -> float:
        """How many bytes of journal the next batch may take; infinite where there is none."""
        ...

    def start(self, items: list[Any]) -> None:
        """Begin to write these."""
        ...

    def finish(self) -> Sequence[Reply] | None:
        """The replies to the items of the batch, in order; None while it is not done."""
        ...

    def close(self) -> None:
        """Let go of everything. Called when no batch is under way."""
        ...


class Reader(Protocol):
    """Who waits for the reply to one message at a time."""

    def answered(self, reply: Reply) -> None:
        """Here it is."""
        ...


class Receipt:
    """What there is of the reply to an item while the item is being written: to be awaited, or to `tell` a reader.

    A future and its callback, which the event loop calls later, cost more than all that a store does for a message.
    """

    __slots__ = ("_future", "_reader", "_reply", "item", "journal_bytes", "size")

    def __init__(self, item: Any, size: int, journal_bytes: int) -> None:
        """`size` and `journal_bytes` are what the item takes in files and in a journal."""
        self.item = item
        self.size = size
        self.journal_bytes = journal_bytes
        self._reader: Reader | None = None
        self._future: asyncio.Future[Reply] | None = None
        self._reply: Reply | None = None

    def tell(self, reader: Reader) -> None:
        """Have the reply told to this one as soon as it is there, which it is not yet. There is one reader at most."""
        self._reader = reader

    def future(self) -> asyncio.Future[Reply]:
        """The same as a future of the running event loop, for who wants more of it than to wait."""
        if self._future is None:
            self._future = asyncio.get_running_loop().create_future()
            if self._reply is not None:
                self._future.set_result(self._reply)
        return self._future

    def __await__(self) -> Generator[Any, None, Reply]:
        return self.future().__await__()

    def settle(self, reply: Reply) -> None:
        """Here is the reply."""
        self._reply = reply
        if self._future is not None and not self._future.done():  # cancelled: nobody waits any more
            self._future.set_result(reply)
        if self._reader is not None:
            self._reader.answered(reply)
            self._reader = None


class StoreCounts:
    """What a store counts, on the event loop's thread."""

    def __init__(self, stats: Stats) -> None:
        self._cells = stats.cells
        messages = stats.counter(
            "fastsmtp_store_messages_total", "Messages that the store answered, by reply code.", code=_CODES
        )
        self._messages = {int(code): stats.cell(messages, code) for code in _CODES}
        self._bytes = stats.cell(stats.counter("fastsmtp_store_bytes_total", "Bytes in the files that were stored."))
        self._batch_messages = stats.timer(
            stats.histogram("fastsmtp_store_batch_messages", "Messages in one batch.", bounds=_BATCH_BOUNDS)
        )
        self._commit_ns = stats.timer(
            stats.histogram("fastsmtp_store_commit_seconds", "How long the commit of one batch took.")
        )
        self._stalls = stats.cell(
            stats.counter("fastsmtp_journal_stalls_total", "How often a batch had to wait for room in the journal.")
        )

    def batch(self, messages: int, elapsed_ns: int) -> None:
        """So many messages were written in one go, in this time."""
        self._batch_messages.observe(messages)
        self._commit_ns.observe(elapsed_ns)

    def stall(self) -> None:
        """A batch has to wait for room in the journal."""
        self._cells[self._stalls] += 1

    def message(self, reply: Reply, size: int) -> None:
        """One message of `size` bytes in files got this reply."""
        self._cells[self._messages[reply.code]] += 1
        if reply.is_positive:
            self._cells[self._bytes] += size


class Batcher:
    """Gives batches of items to a writer, one after the other; each item gets a Reply.

    Everything here happens on the event loop's thread, once a batch: a wake-up costs more than a message.
    """

    def __init__(self, writer: BatchWriter, counts: StoreCounts, *, stall_s: float = STALL_S) -> None:
        self._writer = writer
        self._pending: deque[Receipt] = deque()
        self._batch: list[Receipt] = []
        self._begun_ns = 0
        self._is_open = False
        self._is_busy = False
        self._stall: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._counts = counts
        self._stall_s = stall_s

    def open(self) -> None:
        """Start the writer; called on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._descriptor = self._writer.open()
        self._loop.add_reader(self._descriptor, self._finished)
        self._is_open = True

    def put(self, item: Any, size: int, journal_bytes: int = 0) -> Receipt:
        """Give an item to the writer; its reply comes with the receipt.

        `size` are the bytes of its files, `journal_bytes` what it takes in a journal. Raises RuntimeError when the
        batcher is not open.
        """
        if not self._is_open:
            raise RuntimeError("the store is not open")
        receipt = Receipt(item, size, journal_bytes)
        self._pending.append(receipt)
        if not self._is_busy:
            # Not at once: whatever else this turn of the loop brings shall be in the batch.
            self._is_busy = True
            self._begun_ns = perf_counter_ns()
            self._loop.call_soon(self._hand_over)
        return receipt

    @property
    def busy_s(self) -> float:
        """For how long the batch under way has been written, or has waited for room in the journal; 0 without one."""
        return (perf_counter_ns() - self._begun_ns) / 1e9 if self._is_busy else 0.0

    def resume(self) -> None:
        """There is room in the journal again."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
            self._hand_over()

    async def close(self) -> None:
        """Finish what was given, then stop the writer; all replies are there afterwards."""
        if not self._is_open:
            return
        self._is_open = False
        while self._is_busy:
            self._idle.clear()
            await self._idle.wait()
        self._loop.remove_reader(self._descriptor)
        self._writer.close()

    def _hand_over(self) -> None:
        """Give the writer its next batch, if there is one."""
        pending = self._pending
        while pending:
            batch: list[Receipt] = []
            size = 0
            room = self._writer.room()
            while pending and len(batch) < BATCH_MESSAGES and size < BATCH_BYTES:
                receipt = pending[0]
                room -= receipt.journal_bytes
                if room < 0:
                    break
                batch.append(receipt)
                size += receipt.size
                pending.popleft()
            if not batch:
                self._counts.stall()
                self._stall = self._loop.call_later(self._stall_s, self._give_up)
                return
            self._begun_ns = perf_counter_ns()
            try:
                self._writer.start([receipt.item for receipt in batch])
            except Exception:
                logger.exception("a batch of %d messages cannot be written", len(batch))
                self._answer([(receipt, STORE_TROUBLE) for receipt in batch], 0)
                continue
            self._batch = batch
            return
        self._is_busy = False
        self._idle.set()

    def _give_up(self) -> None:
        """Nothing made room in the journal for too long."""
        self._stall = None
        deferred = [(receipt, STORE_FULL) for receipt in self._pending]
        self._pending.clear()
        logger.error("the journal is full and nothing frees it: %d messages deferred", len(deferred))
        self._answer(deferred, 0)
        self._is_busy = False
        self._idle.set()

    def _finished(self) -> None:
        """The descriptor is readable: hear what became of the batch."""
        batch = self._batch
        try:
            replies = self._writer.finish()
            if replies is None:
                return
            answers = list(zip(batch, replies, strict=True))
        except Exception:
            logger.exception("nobody knows what became of a batch of %d messages", len(batch))
            answers = [(receipt, STORE_TROUBLE) for receipt in batch]
        elapsed_ns = perf_counter_ns() - self._begun_ns
        self._hand_over()  # first, so that the disk works while we talk
        self._answer(answers, elapsed_ns)

    def _answer(self, answers: list[tuple[Receipt, Reply]], elapsed_ns: int) -> None:
        counts = self._counts
        counts.batch(len(answers), elapsed_ns)
        for receipt, reply in answers:
            counts.message(reply, receipt.size)
            try:
                receipt.settle(reply)
            except Exception:  # whatever it is, the others are to hear theirs
                logger.exception("a reply that nobody could be told")
