"""A token out of each of several buckets, or out of none."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastsmtp.config.rates import Rate
from fastsmtp.ports import Buckets

__all__ = ["Lack", "Limited", "take_each"]


class Limited(Protocol):
    """What has a rate."""

    @property
    def rate(self) -> Rate:
        """How many."""
        ...


@dataclass(frozen=True, slots=True)
class Lack:
    """Which bucket had no token, and in how many seconds it will have one."""

    index: int
    wait_s: float


def take_each(buckets: Buckets, wanted: Sequence[tuple[Limited, str]]) -> Lack | Awaitable[Lack | None] | None:
    """A token out of the bucket of each key, in their order. From the first that has none on nothing is taken, and the
    others get theirs back.
    """
    for index, (limit, key) in enumerate(wanted):
        wait_s = buckets.take(key, limit.rate)
        if not isinstance(wait_s, float):
            return _take_later(buckets, wanted, index, wait_s)
        if wait_s:
            return _give_back(buckets, wanted, Lack(index, wait_s))
    return None


async def _take_later(
    buckets: Buckets, wanted: Sequence[tuple[Limited, str]], first: int, pending: Awaitable[float]
) -> Lack | None:
    """The same from `first` on, for whose token somebody has been asked."""
    wait_s = await pending
    for index in range(first, len(wanted)):
        if index > first:
            limit, key = wanted[index]
            taken = buckets.take(key, limit.rate)
            wait_s = taken if isinstance(taken, float) else await taken
        if wait_s:
            return _give_back(buckets, wanted, Lack(index, wait_s))
    return None


def _give_back(buckets: Buckets, wanted: Sequence[tuple[Limited, str]], lack: Lack) -> Lack:
    for limit, key in wanted[: lack.index]:
        buckets.give_back(key, limit.rate)
    return lack
