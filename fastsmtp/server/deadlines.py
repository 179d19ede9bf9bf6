"""One timer for all connections: setting a deadline is one assignment, and once a second somebody looks."""

import asyncio
import math
from collections.abc import Iterable
from typing import Final, Protocol

__all__ = ["NEVER", "Deadlines", "Expires"]

NEVER: Final = math.inf
_LOOK_EVERY_S: Final = 1.0


class Expires(Protocol):
    """What can run out of time: `deadline` on the clock of the event loop, in seconds."""

    deadline: float

    def expire(self) -> None:
        """The deadline has passed."""
        ...


class Deadlines:
    """Looks at every member once a second; a deadline is met up to a second late, never early."""

    def __init__(self, loop: asyncio.AbstractEventLoop, members: Iterable[Expires]) -> None:
        self._loop = loop
        self._members = members
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        for member in [member for member in self._members if member.deadline <= now]:
            member.expire()
        self.start()
