"""Turns for clients that send many commands at once: they share what time is left, and hold up nobody who sends one."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from fastsmtp.ports import Clock

__all__ = ["Turns"]

_BUDGET_NS: Final = 5_000_000
"""Of each turn of the event loop, for all of them together."""


class Turns:
    """One per worker. Whoever waits is called once, in the order of coming, never more of them in one turn of the loop
    than there is time for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call this when it is its turn."""
        self._waiting.append(go_on)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._serve)

    def _serve(self) -> None:
        self._is_scheduled = False
        waiting, now_ns = self._waiting, self._clock.monotonic_ns
        end_ns = now_ns() + _BUDGET_NS
        for _ in range(len(waiting)):  # those that come meanwhile have had their turn
            waiting.popleft()()
            if now_ns() >= end_ns:
                break
        if waiting:
            self._schedule()
