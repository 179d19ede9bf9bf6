"""Conclusions that hold for a while: what was found out lately need not be found out anew for each message."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Lately"]

T = TypeVar("T")


class Lately(Generic[T]):
    """At most `bound` conclusions by key, each until its time on the monotonic clock, in nanoseconds.

    Two generations: what is asked for is young again, and when the young ones are half of all, the old ones go. So
    names that a stranger thinks up push out nothing that is asked for daily.
    """

    def __init__(self, bound: int, monotonic_ns: Callable[[], int]) -> None:
        self._young_bound = max(1, bound // 2)
        self._now = monotonic_ns
        self._young: dict[Hashable, tuple[T, int]] = {}
        self._old: dict[Hashable, tuple[T, int]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: Hashable) -> T | None:
        """What still holds."""
        kept = self._young.get(key)
        if kept is None:
            kept = self._old.pop(key, None)
            if kept is None:
                return None
            self._add(key, kept)
        return kept[0] if self._now() < kept[1] else None

    def keep(self, key: Hashable, conclusion: T, until_ns: int) -> None:
        """Remember it in place of what was there; not at all where its time is over already."""
        if until_ns > self._now():
            self._old.pop(key, None)
            self._add(key, (conclusion, until_ns))

    def _add(self, key: Hashable, kept: tuple[T, int]) -> None:
        if len(self._young) >= self._young_bound and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = kept
