"""What plugins share, in the memory of one process: for tests, and as what the others have to equal."""

import math

from fastsmtp.ports import Clock, Rate

__all__ = ["MemoryBuckets", "MemoryRecords"]

_FORGOTTEN_HALF_LIVES = 16


class MemoryBuckets:
    """Implements `Buckets`; every answer is there at once. A bucket is the time at which it will be full."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full_ns: dict[str, int] = {}

    def take(self, key: str, rate: Rate, tokens: int = 1) -> float:
        """As the port says."""
        if tokens > rate.burst:
            return math.inf
        now, interval = self._clock.monotonic_ns(), rate.interval_ns
        full = max(now, self._full_ns.get(key, now))
        early = full + max(tokens, 1) * interval - rate.burst * interval - now
        if early > 0:
            return early / 1e9
        if tokens:
            self._full_ns[key] = full + tokens * interval
        return 0.0

    def give_back(self, key: str, rate: Rate, tokens: int = 1) -> None:
        """As the port says."""
        if key in self._full_ns:
            self._full_ns[key] -= tokens * rate.interval_ns


class MemoryRecords:
    """Implements `Records`; every answer is there at once. With `trouble` set, reading raises it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._texts: dict[str, tuple[float, str]] = {}
        self._scores: dict[str, tuple[float, float]] = {}
        self.trouble: Exception | None = None

    async def open(self) -> None:
        """As the port says."""

    def get(self, key: str) -> str | None:
        """As the port says."""
        self._complain()
        until, text = self._texts.get(key, (0.0, ""))
        return text if self._clock.time() < until else None

    def put(self, key: str, text: str, lifetime_s: float) -> None:
        """As the port says."""
        self._texts[key] = (self._clock.time() + lifetime_s, text)

    def score(self, key: str, half_life_s: float) -> float:
        """As the port says."""
        self._complain()
        at, amount = self._scores.get(key, (0.0, 0.0))
        half_lives = max(0.0, self._clock.time() - at) / half_life_s
        return amount * 0.5**half_lives if half_lives < _FORGOTTEN_HALF_LIVES else 0.0

    def add(self, key: str, amount: float, half_life_s: float) -> None:
        """As the port says."""
        trouble, self.trouble = self.trouble, None
        self._scores[key] = (self._clock.time(), self.score(key, half_life_s) + amount)
        self.trouble = trouble

    def _complain(self) -> None:
        if self.trouble is not None:
            raise self.trouble
