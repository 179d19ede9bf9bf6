"""What a micro benchmark finds, and how it is found."""

import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

__all__ = ["Figure", "NotPlayedError", "best_ns", "best_ns_awaiting"]

ROUNDS: Final = 7


class NotPlayedError(Exception):
    """What was to be measured has not happened."""


class Figure(NamedTuple):
    """A number with its unit."""

    name: str
    value: float
    unit: str
    beside: str = ""
    """What it should be seen beside."""


def best_ns(play: Callable[[], object], repeats: int, *, per_play: int = 1) -> float:
    """Nanoseconds of CPU for each of the `per_play` things that a play does. Best of the rounds: noise only adds."""
    play()
    least = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time_ns()
        for _ in range(repeats):
            play()
        least = min(least, time.process_time_ns() - begun)
    return least / repeats / per_play


async def best_ns_awaiting(play: Callable[[], Awaitable[object]], repeats: int) -> float:
    """The same for what has to be awaited."""
    await play()
    least = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time_ns()
        for _ in range(repeats):
            await play()
        least = min(least, time.process_time_ns() - begun)
    return least / repeats
