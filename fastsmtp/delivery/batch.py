"""Group commit: what becomes complete while one batch is being written is the next batch.

No timer is needed: an idle writer takes a message at once, a busy one finds more waiting the longer it took.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from time import perf_counter_ns
from typing import Final, Generic, TypeVar

from fastsmtp.smtp.replies import STORE_TROUBLE, Reply
from fastsmtp.stats import Stats

__all__ = ["BATCH_BYTES", "BATCH_MESSAGES", "Batcher"]

BATCH_MESSAGES: Final = 256
BATCH_BYTES: Final = 16 * 1024 * 1024
"""A batch ends at so many messages or bytes; a single message may be larger."""

_BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, BATCH_MESSAGES)

logger = logging.getLogger("fastsmtp.delivery")

Item = TypeVar("Item")


@dataclass(slots=True)
class _Pending(Generic[Item]):
    item: Item
    size: int
    answer: asyncio.Future[Reply]


class Batcher(Generic[Item]):
    """One writer thread that commits batches of items, each of which gets a Reply.

    `commit` is called in that thread with the items of a batch and returns their replies in the same order. Everything
    else happens on the event loop's thread, which wakes the writer once a batch and hears from it once a batch: each
    hand-over is a fight for the GIL.
    """

    def __init__(self, commit: Callable[[list[Item]], Sequence[Reply]], stats: Stats) -> None:
        self._commit = commit
        self._pending: deque[_Pending[Item]] = deque()
        self._batches: SimpleQueue[list[_Pending[Item]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._is_busy = False
        self._idle = asyncio.Event()
        self._cells = stats.cells
        self._stats = stats
        self._messages = stats.counter(
            "fastsmtp_store_messages_total",
            "Messages that the store answered, by reply code.",
            code=("250", "451", "452"),
        )
        self._bytes = stats.cell(stats.counter("fastsmtp_store_bytes_total", "Bytes in the files that were stored."))
        self._batch_messages = stats.timer(
            stats.histogram("fastsmtp_store_batch_messages", "Messages in one batch.", bounds=_BATCH_BOUNDS)
        )
        self._commit_ns = stats.timer(
            stats.histogram("fastsmtp_store_commit_seconds", "How long the commit of one batch took.")
        )

    def open(self) -> None:
        """Start the writer; called on the running event loop."""
        # A daemon: should the process end without close(), it does not wait for a batch that nobody hears about.
        self._loop = asyncio.get_running_loop()
        self._thread = Thread(target=self._run, name="fastsmtp-store", daemon=True)
        self._thread.start()

    def put(self, item: Item, size: int) -> asyncio.Future[Reply]:
        """Give an item of `size` bytes to the writer; its reply comes with the future.

        Raises RuntimeError when the batcher is not open.
        """
        if self._thread is None:
            raise RuntimeError("the store is not open")
        answer = self._loop.create_future()
        self._pending.append(_Pending(item, size, answer))
        if not self._is_busy:
            # Not at once: whatever else this turn of the loop brings shall be in the batch.
            self._is_busy = True
            self._loop.call_soon(self._hand_over)
        return answer

    async def close(self) -> None:
        """Finish what was given, then stop the writer; all futures are done afterwards."""
        thread, self._thread = self._thread, None
        if thread is not None:
            while self._is_busy:
                self._idle.clear()
                await self._idle.wait()
            self._batches.put(None)
            await asyncio.to_thread(thread.join)

    def _hand_over(self) -> None:
        """Give the writer its next batch, if there is one."""
        pending = self._pending
        if not pending:
            self._is_busy = False
            self._idle.set()
            return
        batch: list[_Pending[Item]] = []
        size = 0
        while pending and len(batch) < BATCH_MESSAGES and size < BATCH_BYTES:
            batch.append(pending.popleft())
            size += batch[-1].size
        self._batches.put(batch)

    def _run(self) -> None:
        """In the writer's thread."""
        while (batch := self._batches.get()) is not None:
            self._write(batch)

    def _write(self, batch: list[_Pending[Item]]) -> None:
        started = perf_counter_ns()
        try:
            replies = self._commit([pending.item for pending in batch])
            answers = list(zip(batch, replies, strict=True))
        except Exception:
            logger.exception("the commit of a batch of %d messages failed", len(batch))
            answers = [(pending, STORE_TROUBLE) for pending in batch]
        elapsed = perf_counter_ns() - started
        try:
            self._loop.call_soon_threadsafe(self._answer, answers, elapsed)
        except RuntimeError:  # the event loop was closed under us
            logger.exception("nobody is left to hear of %d messages", len(batch))

    def _answer(self, answers: list[tuple[_Pending[Item], Reply]], elapsed_ns: int) -> None:
        self._hand_over()  # first, so that the disk works while we talk
        self._batch_messages.observe(len(answers))
        self._commit_ns.observe(elapsed_ns)
        for pending, reply in answers:
            self._cells[self._stats.cell(self._messages, str(reply.code))] += 1
            if reply.is_positive:
                self._cells[self._bytes] += pending.size
            if not pending.answer.done():  # cancelled: the connection is gone
                pending.answer.set_result(reply)
