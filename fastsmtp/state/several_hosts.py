"""Token buckets of several hosts: those of a server, and those of this host in front of it."""

from collections.abc import Awaitable
from typing import Protocol

from fastsmtp.errors import StateError
from fastsmtp.ports import Buckets, Rate

__all__ = ["RemoteBuckets", "SeveralHostsBuckets"]


class RemoteBuckets(Protocol):
    """Buckets at a server."""

    @property
    def is_there(self) -> bool:
        """Whether it makes sense to ask."""
        ...

    async def take(self, key: str, rate: Rate, tokens: int) -> float:
        """As for `Buckets`. Raises StateError."""
        ...

    def give_back(self, key: str, rate: Rate, tokens: int) -> None:
        """As for `Buckets`; raises nothing, and never waits."""
        ...


class SeveralHostsBuckets:
    """Implements `Buckets`. Every token is taken here and there.

    What this host alone has had too much of, the hosts together have, too: the server is not asked. So a flood does not
    reach it; and when it is away, the buckets here are as full as they have to be.
    """

    def __init__(self, here: Buckets, there: RemoteBuckets) -> None:
        self._here = here
        self._there = there

    def take(self, key: str, rate: Rate, tokens: int = 1) -> float | Awaitable[float]:
        """As the port says."""
        wait_s = self._here.take(key, rate, tokens)
        if wait_s or not self._there.is_there:
            return wait_s
        return self._take_there(key, rate, tokens)

    async def _take_there(self, key: str, rate: Rate, tokens: int) -> float:
        try:
            wait_s = await self._there.take(key, rate, tokens)
        except StateError:
            return 0.0  # what was said here stands
        if wait_s and tokens:
            self._here.give_back(key, rate, tokens)
        return wait_s

    def give_back(self, key: str, rate: Rate, tokens: int = 1) -> None:
        """As the port says."""
        self._here.give_back(key, rate, tokens)
        if self._there.is_there:
            self._there.give_back(key, rate, tokens)
