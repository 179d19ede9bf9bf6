"""Whoever has much to do waits for the others, and all of them for the event loop."""

import asyncio
from collections.abc import Callable
from functools import partial

from fastsmtp.server.turns import Turns

MS = 1_000_000


class Clock:
    """Goes on when it is told."""

    def __init__(self) -> None:
        self.now_ns = 0

    def time(self) -> float:
        return 0.0

    def monotonic_ns(self) -> int:
        return self.now_ns


class Rig:
    """Turns, what was done in them, and in which turn of the loop."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.turns = Turns(asyncio.get_running_loop(), self.clock)
        self.turn = 0
        self.done: list[tuple[int, str]] = []

    def work(self, name: str, ms: float, again: int = 0) -> None:
        self.done.append((self.turn, name))
        self.clock.now_ns += int(ms * MS)
        if again:
            self.turns.wait(partial(self.work, name, ms, again - 1))

    async def go(self, turns: int) -> None:
        for self.turn in range(1, turns + 1):
            await asyncio.sleep(0)


def played(test: Callable[[Rig], None], turns: int) -> list[tuple[int, str]]:
    async def body() -> list[tuple[int, str]]:
        rig = Rig()
        test(rig)
        assert rig.done == []  # nobody is called at once
        await rig.go(turns)
        return rig.done

    return asyncio.run(body())


def test_they_come_in_their_order_and_once_a_turn() -> None:
    def test(rig: Rig) -> None:
        rig.turns.wait(partial(rig.work, "a", 1, 2))
        rig.turns.wait(partial(rig.work, "b", 1, 1))

    assert played(test, 5) == [(1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "a")]


def test_a_turn_ends_when_its_time_is_used_up() -> None:
    def test(rig: Rig) -> None:
        for name in "abcde":
            rig.turns.wait(partial(rig.work, name, 2.5))

    assert played(test, 4) == [(1, "a"), (1, "b"), (2, "c"), (2, "d"), (3, "e")]


def test_one_who_needs_all_of_it_has_a_turn_all_the_same() -> None:
    def test(rig: Rig) -> None:
        rig.turns.wait(partial(rig.work, "slow", 50, 1))
        rig.turns.wait(partial(rig.work, "quick", 0))

    assert played(test, 4) == [(1, "slow"), (2, "quick"), (2, "slow")]
