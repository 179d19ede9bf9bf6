"""Records in front of a store: gathered, written at once, lost only where they have to be."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from fastsmtp.errors import StateError
from fastsmtp.state import records as module
from fastsmtp.state.records import Batch, StoredRecords, decayed
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock


class HeldStore:
    """Keeps what it was given, when it is let."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.trouble: StateError | None = None
        self.purged = self.asked = 0
        self.is_open = False

    async def open(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    def text(self, key: str, now_s: float) -> str | None:
        return next((batch.texts[key][0] for batch in reversed(self.batches) if key in batch.texts), None)

    def score(self, key: str, half_life_s: float, now_s: float) -> float:
        return sum(batch.additions[key].amount for batch in self.batches if key in batch.additions)

    async def write(self, batch: Batch) -> None:
        self.asked += 1
        await self.may_write.wait()
        if self.trouble is not None:
            raise self.trouble
        self.batches.append(batch)

    async def purge(self, now_s: float) -> None:
        self.purged += 1
        if self.trouble is not None:
            raise self.trouble


class Desk:
    """Records, and what is around them."""

    def __init__(self) -> None:
        self.store, self.clock, self.stats = HeldStore(), SettableClock(), Stats()
        self.records = StoredRecords(self.store, self.clock, self.stats)

    def count(self, what: str) -> int:
        (family,) = [one for one in self.stats.families() if one.name == f"fastsmtp_state_records_{what}_total"]
        return sum(self.stats.cells[cell] for cell in family.children.values())

    def has_lost(self, number: int) -> bool:
        return self.count("lost") == number

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what is waited for is a number in memory
                await asyncio.sleep(0.005)


def play(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        desk = Desk()
        await desk.records.open()
        try:
            await scenario(desk)
        finally:
            await desk.records.close()
        assert not desk.store.is_open

    asyncio.run(main())


def test_many_writes_are_one_batch() -> None:
    async def scenario(desk: Desk) -> None:
        for number in range(100):
            desk.records.put(f"key {number % 50}", str(number), 60)
            desk.records.add("score", 1, 60)
        await desk.until(lambda: desk.count("written") > 0)
        assert len(desk.store.batches) == 1
        assert desk.store.batches[0].texts["key 7"] == ("57", desk.clock.now + 60)
        assert desk.store.batches[0].additions["score"].amount == 100
        assert (desk.count("written"), desk.count("lost")) == (51, 0)

    play(scenario)


def test_who_writes_a_text_reads_it_at_once_also_while_it_is_under_way() -> None:
    async def scenario(desk: Desk) -> None:
        desk.store.may_write.clear()
        desk.records.put("a", "one", 60)
        assert desk.records.get("a") == "one"
        await desk.until(lambda: desk.store.asked == 1)
        assert desk.records.get("a") == "one"
        desk.records.put("a", "two", 60)
        assert desk.records.get("a") == "two"
        desk.clock.advance(60)
        assert desk.records.get("a") is None
        desk.clock.advance(-60)
        desk.store.may_write.set()
        await desk.until(lambda: len(desk.store.batches) == 2)
        assert desk.records.get("a") == "two"

    play(scenario)


def test_additions_that_wait_decay_together() -> None:
    async def scenario(desk: Desk) -> None:
        desk.records.add("a", 4, 60)
        desk.clock.advance(60)
        desk.records.add("a", 1, 60)
        await desk.until(lambda: len(desk.store.batches) == 1)
        assert desk.records.score("a", 60) == 3.0

    play(scenario)


def test_what_cannot_be_written_is_lost_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(desk: Desk) -> None:
        desk.store.trouble = StateError("the disk is full")
        for number in range(3):
            desk.records.put("a", str(number), 60)
            await desk.until(partial(desk.has_lost, number + 1))
        desk.store.trouble = None
        desk.records.put("a", "kept", 60)
        await desk.until(lambda: desk.count("written") == 1)

    with caplog.at_level(logging.ERROR, "fastsmtp.state"):
        play(scenario)
    assert [record.message for record in caplog.records] == ["records are not written"]


def test_a_store_that_hangs_cannot_make_the_memory_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING", 10)

    async def scenario(desk: Desk) -> None:
        desk.store.may_write.clear()
        for number in range(25):
            desk.records.put(str(number), "x", 60)
        desk.records.put("3", "y", 60)
        assert desk.count("lost") == 15
        assert [desk.records.get(key) for key in ("3", "9", "10")] == ["y", "x", None]
        desk.store.may_write.set()

    play(scenario)


def test_what_waits_is_written_at_the_end() -> None:
    async def main() -> None:
        desk = Desk()
        await desk.records.open()
        desk.records.put("a", "one", 60)
        await desk.records.close()
        assert desk.store.batches[0].texts["a"][0] == "one"
        desk.records.put("a", "two", 60)
        assert desk.count("lost") == 1
        await desk.records.close()

    asyncio.run(main())


def test_nothing_is_touched_before_it_is_wanted() -> None:
    async def main() -> None:
        desk = Desk()
        for read in (lambda: desk.records.get("a"), lambda: desk.records.score("a", 1)):
            with pytest.raises(StateError, match=r"await services\.records\.open"):
                read()
        desk.records.put("a", "lost", 60)
        assert desk.count("lost") == 1
        await desk.records.close()
        await asyncio.gather(desk.records.open(), desk.records.open())
        assert desk.store.is_open
        await desk.records.close()

    asyncio.run(main())


def test_it_is_purged_from_time_to_time_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PURGE_EVERY_S", 0.01)

    async def scenario(desk: Desk) -> None:
        desk.store.trouble = StateError("locked")
        await desk.until(lambda: desk.store.purged > 3)
        desk.store.trouble = None

    play(scenario)


def test_decay() -> None:
    assert [decayed(8, age, 10) for age in (-5, 0, 10, 30)] == [8, 8, 4, 1]
    assert decayed(1e9, 160, 10) == 0.0
