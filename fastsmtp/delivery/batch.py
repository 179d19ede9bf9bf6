"""Group commit: what becomes complete while one batch is being written is the next batch.

No timer is needed: an idle writer takes a message at once, a busy one finds more waiting the longer it took.
"""

import asyncio
import logging
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

    `commit` is called in that thread with the items of a batch and returns their replies in the same order. Metrics
    are counted on the event loop's thread, so nothing is counted by two threads at once.
    """

    def __init__(self, commit: Callable[[list[Item]], Sequence[Reply]], stats: Stats) -> None:
        self._commit = commit
        self._pending: SimpleQueue[_Pending[Item] | None] = SimpleQueue()
        self._thread: Thread | None = None
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
        self._pending.put(_Pending(item, size, answer))
        return answer

    async def close(self) -> None:
        """Finish what was given, then stop the writer; all futures are done afterwards."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._pending.put(None)
            await asyncio.to_thread(thread.join)

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._gather()
            if batch:
                self._write(batch)

    def _gather(self) -> tuple[list[_Pending[Item]], bool]:
        """Wait for an item, take what else is there; False when the writer is to stop behind these."""
        batch: list[_Pending[Item]] = []
        size = 0
        while True:
            pending = self._pending.get()
            if pending is None:
                return batch, False
            batch.append(pending)
            size += pending.size
            # Nobody else takes from the queue: what is there now is there for the next get.
            if len(batch) == BATCH_MESSAGES or size >= BATCH_BYTES or self._pending.empty():
                return batch, True

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
        self._batch_messages.observe(len(answers))
        self._commit_ns.observe(elapsed_ns)
        for pending, reply in answers:
            self._cells[self._stats.cell(self._messages, str(reply.code))] += 1
            if reply.is_positive:
                self._cells[self._bytes] += pending.size
            if not pending.answer.done():  # cancelled: the connection is gone
                pending.answer.set_result(reply)
