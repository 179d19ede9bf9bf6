"""Group commit with a real thread and a real event loop."""

import asyncio
import logging
import math
import os
from collections.abc import Callable, Coroutine
from threading import Event, Thread, current_thread, main_thread
from typing import Any

import pytest

from fastsmtp.delivery.batch import BATCH_BYTES, BATCH_MESSAGES, Batcher, StoreCounts
from fastsmtp.smtp.replies import OK, STORE_FULL, STORE_TROUBLE, Reply
from fastsmtp.stats import Stats

PATIENCE_S = 30


class Recorder:
    """A commit that remembers its batches and waits at the gate before each."""

    def __init__(self, reply: Callable[[int], Reply] = lambda _: OK) -> None:
        self.batches: list[list[int]] = []
        self.entered = Event()
        self.gate = Event()
        self.gate.set()
        self._reply = reply

    def __call__(self, items: list[int]) -> list[Reply]:
        assert current_thread() is not main_thread()
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        self.batches.append(items)
        return [self._reply(item) for item in items]


class ThreadWriter:
    """A BatchWriter that calls a function in a thread of its own, so that tests can look and wait inside."""

    def __init__(self, commit: Callable[[list[int]], list[Reply]]) -> None:
        self.space = math.inf
        self._commit = commit
        self._thread: Thread | None = None
        self._replies: list[Reply] = []
        self._error: Exception | None = None

    def open(self) -> int:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        return self._descriptor

    def room(self) -> float:
        return self.space

    def start(self, items: list[int]) -> None:
        assert self._thread is None, "a second batch at once"
        self._thread = Thread(target=self._run, args=(items,))
        self._thread.start()

    def _run(self, items: list[int]) -> None:
        try:
            self._replies = self._commit(items)
        except LookupError as error:
            self._error = error
        os.eventfd_write(self._descriptor, 1)

    def finish(self) -> list[Reply] | None:
        try:
            os.eventfd_read(self._descriptor)
        except BlockingIOError:
            return None
        assert self._thread is not None
        self._thread.join()
        self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._replies

    def close(self) -> None:
        assert self._thread is None, "closed in the middle of a batch"
        os.close(self._descriptor)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, PATIENCE_S))


def value(stats: Stats, name: str, *labels: str) -> int:
    [family] = [family for family in stats.families() if family.name == name]
    return stats.cells[stats.cell(family, *labels)]


def test_every_item_gets_its_own_reply() -> None:
    replies = [Reply(250, "2.0.0", str(number)) for number in range(1000)]

    async def main() -> None:
        batcher = Batcher(ThreadWriter(Recorder(replies.__getitem__)), StoreCounts(Stats()))
        batcher.open()
        assert await asyncio.gather(*(batcher.put(number, 1) for number in range(1000))) == replies
        await batcher.close()

    run(main())


def test_what_comes_while_a_batch_is_written_is_the_next_batch() -> None:
    commit = Recorder()

    async def main() -> None:
        batcher = Batcher(ThreadWriter(commit), StoreCounts(Stats()))
        commit.gate.clear()
        batcher.open()
        answers = [batcher.put(0, 1)]
        await asyncio.to_thread(commit.entered.wait, PATIENCE_S)
        answers += [batcher.put(number, 1) for number in range(1, 20)]
        commit.gate.set()
        await asyncio.gather(*answers)
        await batcher.close()

    run(main())
    assert commit.batches == [[0], list(range(1, 20))]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(1, [BATCH_MESSAGES, BATCH_MESSAGES, 88]), (BATCH_BYTES // 4, [4] * 150), (2 * BATCH_BYTES, [1] * 600)],
)
def test_a_batch_is_bounded(size: int, sizes: list[int]) -> None:
    commit = Recorder()

    async def main() -> None:
        batcher = Batcher(ThreadWriter(commit), StoreCounts(Stats()))
        commit.gate.clear()
        batcher.open()
        first = batcher.put(-1, 1)
        await asyncio.to_thread(commit.entered.wait, PATIENCE_S)
        answers = [batcher.put(number, size) for number in range(600)]
        commit.gate.set()
        await asyncio.gather(first, *answers)
        await batcher.close()

    run(main())
    assert [len(batch) for batch in commit.batches] == [1, *sizes]
    assert [number for batch in commit.batches for number in batch] == list(range(-1, 600))


def test_close_finishes_what_was_given() -> None:
    commit = Recorder()

    async def main() -> None:
        batcher = Batcher(ThreadWriter(commit), StoreCounts(Stats()))
        batcher.open()
        answers = [batcher.put(number, 1) for number in range(500)]
        await batcher.close()
        assert [answer.future().result() for answer in answers] == [OK] * 500
        await batcher.close()

    run(main())


def test_an_item_is_not_taken_by_a_batcher_that_is_not_open() -> None:
    async def main() -> None:
        batcher = Batcher(ThreadWriter(Recorder()), StoreCounts(Stats()))
        with pytest.raises(RuntimeError, match="not open"):
            batcher.put(1, 1)
        await batcher.close()
        batcher.open()
        await batcher.close()
        with pytest.raises(RuntimeError, match="not open"):
            batcher.put(1, 1)

    run(main())


def test_a_cancelled_future_disturbs_nobody() -> None:
    commit = Recorder()

    async def main() -> None:
        batcher = Batcher(ThreadWriter(commit), StoreCounts(Stats()))
        commit.gate.clear()
        batcher.open()
        cancelled, other = batcher.put(1, 1).future(), batcher.put(2, 1)
        cancelled.cancel()
        commit.gate.set()
        assert await other is OK
        await batcher.close()
        assert cancelled.cancelled()

    run(main())
    assert sorted(number for batch in commit.batches for number in batch) == [1, 2]


def test_a_reader_is_told_and_one_that_breaks_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Reader:
        def __init__(self) -> None:
            self.heard = asyncio.get_running_loop().create_future()

        def answered(self, reply: Reply) -> None:
            self.heard.set_result(reply)

    class Broken:
        def answered(self, reply: Reply) -> None:
            raise LookupError(reply.text)

    async def main() -> None:
        batcher = Batcher(ThreadWriter(Recorder()), StoreCounts(Stats()))
        batcher.open()
        reader = Reader()
        batcher.put(1, 1).tell(Broken())
        receipt = batcher.put(2, 1)
        receipt.tell(reader)
        assert await reader.heard is OK
        assert await receipt is OK  # it can still be asked
        await batcher.close()

    run(main())
    assert [record.exc_info is not None for record in caplog.records] == [True]


@pytest.mark.parametrize("broken", ["raises", "short"])
def test_a_broken_commit_is_a_4xx_and_the_writer_goes_on(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    def commit(items: list[int]) -> list[Reply]:
        if 13 in items:
            if broken == "raises":
                raise LookupError("thirteen")
            return []
        return [OK] * len(items)

    async def main() -> None:
        batcher = Batcher(ThreadWriter(commit), StoreCounts(Stats()))
        batcher.open()
        assert await batcher.put(13, 1) is STORE_TROUBLE
        assert await batcher.put(1, 1) is OK
        await batcher.close()

    run(main())
    [record] = caplog.records
    assert (record.name, record.levelno) == ("fastsmtp.delivery", logging.ERROR)
    assert record.exc_info is not None


def test_a_batch_that_cannot_be_started_is_a_4xx_and_the_next_one_goes(caplog: pytest.LogCaptureFixture) -> None:
    class Picky(ThreadWriter):
        def start(self, items: list[int]) -> None:
            if 13 in items:
                raise MemoryError
            super().start(items)

    async def main() -> None:
        batcher = Batcher(Picky(lambda items: [OK] * len(items)), StoreCounts(Stats()))
        batcher.open()
        assert await batcher.put(13, 1) is STORE_TROUBLE
        assert await batcher.put(1, 1) is OK
        await batcher.close()

    run(main())
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_batch_is_what_the_journal_has_room_for() -> None:
    commit = Recorder()

    async def main() -> None:
        writer = ThreadWriter(commit)
        writer.space = 250
        batcher = Batcher(writer, StoreCounts(Stats()))
        batcher.open()
        # What does not go into the journal needs no room in it.
        await asyncio.gather(*(batcher.put(number, 1000, 0 if number == 2 else 100) for number in range(6)))
        await batcher.close()

    run(main())
    assert commit.batches == [[0, 1, 2], [3, 4], [5]]


def test_it_says_for_how_long_it_has_been_busy() -> None:
    commit = Recorder()

    async def main() -> None:
        writer = ThreadWriter(commit)
        batcher = Batcher(writer, StoreCounts(Stats()), stall_s=PATIENCE_S)
        batcher.open()
        assert batcher.busy_s == 0
        commit.gate.clear()
        answer = batcher.put(1, 1, 1)
        assert await asyncio.to_thread(commit.entered.wait, PATIENCE_S)
        writer.space = 0
        stalled = batcher.put(2, 1, 1)
        assert 0 < (first := batcher.busy_s) < batcher.busy_s
        commit.gate.set()
        assert await answer is OK
        assert batcher.busy_s > first  # waiting for room in the journal is no pause
        writer.space = math.inf
        batcher.resume()
        await asyncio.gather(answer, stalled)
        assert batcher.busy_s == 0
        await batcher.close()

    run(main())


def test_a_full_journal_is_waited_for() -> None:
    commit = Recorder()
    stats = Stats()

    async def main() -> None:
        writer = ThreadWriter(commit)
        batcher = Batcher(writer, StoreCounts(stats), stall_s=PATIENCE_S)
        batcher.open()
        writer.space = 50
        answers = [batcher.put(number, 1, 40) for number in range(2)]
        answers += [batcher.put(2, 1, 60), batcher.put(3, 1, 10)]
        assert await asyncio.gather(*answers[:2]) == [OK, OK]
        batcher.resume()  # a checkpoint that frees too little
        assert not any(answer.future().done() for answer in answers[2:])
        writer.space = 100
        batcher.resume()
        assert await asyncio.gather(*answers) == [OK] * 4
        batcher.resume()  # nobody waits
        await batcher.close()

    run(main())
    assert commit.batches == [[0], [1], [2, 3]]
    assert value(stats, "fastsmtp_journal_stalls_total") == 2


def test_a_journal_that_stays_full_is_a_4xx_and_work_goes_on_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    commit = Recorder()

    async def main() -> None:
        writer = ThreadWriter(commit)
        batcher = Batcher(writer, StoreCounts(Stats()), stall_s=0.01)
        batcher.open()
        writer.space = 0
        answers = [batcher.put(number, 1, 40) for number in range(2)]
        assert await asyncio.gather(*answers) == [STORE_FULL, STORE_FULL]
        assert await batcher.put(2, 1, 40) is STORE_FULL
        writer.space = 40
        assert await batcher.put(3, 1, 40) is OK
        writer.space = 0
        last = batcher.put(4, 1, 40)
        await batcher.close()
        assert last.future().result() is STORE_FULL

    run(main())
    assert commit.batches == [[3]]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3


def test_it_counts() -> None:
    commit = Recorder(lambda number: OK if number else STORE_FULL)
    stats = Stats()

    async def main() -> None:
        batcher = Batcher(ThreadWriter(commit), StoreCounts(stats))
        commit.gate.clear()
        batcher.open()
        first = batcher.put(7, 100)
        await asyncio.to_thread(commit.entered.wait, PATIENCE_S)
        answers = [first, batcher.put(0, 20), batcher.put(1, 3)]
        commit.gate.set()
        await asyncio.gather(*answers)
        await batcher.close()

    run(main())
    assert value(stats, "fastsmtp_store_bytes_total") == 103
    assert value(stats, "fastsmtp_store_messages_total", "250") == 2
    assert value(stats, "fastsmtp_store_messages_total", "452") == 1
    [sizes] = [family for family in stats.families() if family.name == "fastsmtp_store_batch_messages"]
    first_cell = stats.cell(sizes)
    assert list(stats.cells[first_cell : first_cell + 2]) == [1, 1]
    assert stats.cells[first_cell + len(sizes.bounds) + 1] == 3
    [times] = [family for family in stats.families() if family.name == "fastsmtp_store_commit_seconds"]
    first_cell = stats.cell(times)
    assert sum(stats.cells[first_cell : first_cell + len(times.bounds) + 1]) == 2
    assert stats.cells[first_cell + len(times.bounds) + 1] > 0
