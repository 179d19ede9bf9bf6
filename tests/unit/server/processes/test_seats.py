"""Seats of workers: who ended in order gives it back at once, who died only when its ring is recovered."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

import pytest

from fastsmtp.server.processes import seats as room
from fastsmtp.server.processes.seats import Seats


class Rings:
    """Recoveries that take until they are let go, and fail as often as they are told."""

    def __init__(self) -> None:
        self.recovered: list[int] = []
        self.failures = 0
        self.may_go = threading.Event()
        self.may_go.set()

    def recover(self, ring: int) -> None:
        assert self.may_go.wait(20)
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        self.recovered.append(ring)


class Memory:
    def __init__(self) -> None:
        self.released: list[int] = []

    def release(self, region: int) -> None:
        self.released.append(region)


def play(count: int, scenario: Callable[[Seats, Rings], Awaitable[None]]) -> None:
    async def main() -> None:
        rings = Rings()
        seats = Seats(count, rings.recover)
        async with asyncio.timeout(20):
            await scenario(seats, rings)
            rings.may_go.set()
            await seats.close()

    asyncio.run(main())


def test_the_lowest_free_one() -> None:
    async def scenario(seats: Seats, rings: Rings) -> None:
        assert [await seats.take() for _ in range(4)] == [0, 1, 2, 3]
        for seat in (2, 0):
            assert seats.leave(seat, in_order=True).done()
        assert [await seats.take() for _ in range(2)] == [0, 2]
        assert rings.recovered == []

    play(4, scenario)


def test_who_comes_when_all_are_taken_waits() -> None:
    async def scenario(seats: Seats, _: Rings) -> None:
        await seats.take()
        waiting = [asyncio.create_task(seats.take()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        seats.leave(0, in_order=True)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [task.done() for task in waiting].count(True) == 1
        seats.leave(0, in_order=True)
        assert [await task for task in waiting] == [0, 0]

    play(1, scenario)


def test_the_ring_of_the_dead_is_recovered_first() -> None:
    async def scenario(seats: Seats, rings: Rings) -> None:
        await seats.take()
        rings.may_go.clear()
        tried = seats.leave(0, in_order=False)
        assert seats.unrecovered == 1
        assert await seats.take() == 1
        assert not tried.done()
        rings.may_go.set()
        await tried
        assert rings.recovered == [0]
        assert await seats.take() == 0
        assert seats.unrecovered == 0

    play(2, scenario)


def test_what_cannot_be_recovered_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "_AGAIN_AFTER_S", 0.01)

    async def scenario(seats: Seats, rings: Rings) -> None:
        rings.failures = 3
        await seats.take()
        await seats.leave(0, in_order=False)
        assert rings.recovered == []
        assert await seats.take() == 0
        assert rings.recovered == [0]

    with caplog.at_level(logging.ERROR):
        play(1, scenario)
    assert (
        caplog.messages
        == ["ring 0 of the journal cannot be recovered: [Errno 28] No space left on device; trying again"] * 3
    )


def test_the_end_does_not_wait_for_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_AGAIN_AFTER_S", 1_000.0)

    async def scenario(seats: Seats, rings: Rings) -> None:
        rings.failures = 1
        await seats.take()
        await seats.leave(0, in_order=False)
        assert seats.unrecovered == 1

    play(1, scenario)


def test_at_the_end_nothing_is_begun() -> None:
    async def scenario(seats: Seats, rings: Rings) -> None:
        await seats.take()
        await seats.close()
        await seats.leave(0, in_order=False)
        assert rings.recovered == []

    play(1, scenario)


def test_shared_memory_is_left_at_once() -> None:
    async def scenario(seats: Seats, rings: Rings) -> None:
        memory = Memory()
        seats.share(memory)
        for _ in range(3):
            await seats.take()
        rings.may_go.clear()
        seats.leave(1, in_order=False)
        seats.leave(2, in_order=True)
        assert memory.released == [1, 2]

    play(3, scenario)
