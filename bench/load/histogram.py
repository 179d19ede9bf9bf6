"""Latencies as the generator counts them: the highest value of a bucket in nanoseconds, and how many fell into it."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, Self

__all__ = ["PERCENTILES", "Histogram"]

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)


class Histogram:
    """Counts by nanoseconds. Adding two gives that of both runs, which no arithmetic on percentiles can do."""

    def __init__(self, buckets: Iterable[tuple[int, int]] = ()) -> None:
        """`buckets` are pairs of nanoseconds and count."""
        self._counts = Counter[int]()
        for value_ns, count in buckets:
            self._counts[value_ns] += count

    def __add__(self, other: Self) -> "Histogram":
        return Histogram([*self._counts.items(), *other._counts.items()])

    def __len__(self) -> int:
        return self._counts.total()

    def buckets(self) -> list[tuple[int, int]]:
        """In order, for JSON."""
        return sorted(self._counts.items())

    def percentile_ms(self, percent: float) -> float:
        """The least value, in milliseconds, that `percent` of all do not exceed. Raises ValueError without any."""
        if not self._counts:
            raise ValueError("a percentile of nothing")
        rank = max(1, -(-len(self) * percent // 100))
        seen = 0
        for value_ns, count in self.buckets():
            seen += count
            if seen >= rank:
                return value_ns / 1e6
        raise AssertionError("unreachable: the last bucket has everything below it")
