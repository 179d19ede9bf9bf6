"""A token out of each of several buckets, or out of none."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from fastsmtp.config.rates import Rate
from fastsmtp.ports import Buckets
from fastsmtp.testing import MemoryBuckets, SettableClock
from fastsmtp.tokens import Lack, take_each


@dataclass(frozen=True)
class Limit:
    rate: Rate


WIDE, NARROW = Limit(Rate(3, 3600.0, 3)), Limit(Rate(1, 3600.0, 1))
WANTED = [(WIDE, "wide"), (NARROW, "narrow"), (WIDE, "last")]


class LaterBuckets(MemoryBuckets):
    """Every answer takes a while, or every other one."""

    def __init__(self, *, always: bool) -> None:
        super().__init__(SettableClock())
        self.always = always
        self.asked = 0

    def take(self, key: str, rate: Rate, tokens: int = 1) -> float | Awaitable[float]:  # type: ignore[override]  # as the port allows
        self.asked += 1
        wait_s = super().take(key, rate, tokens)
        return _later(wait_s) if self.always or self.asked % 2 else wait_s


async def _later(wait_s: float) -> float:
    await asyncio.sleep(0)
    return wait_s


async def outcome(buckets: Buckets) -> Lack | None:
    taken = take_each(buckets, WANTED)
    return taken if taken is None or isinstance(taken, Lack) else await taken


@pytest.mark.parametrize(
    "make",
    [
        lambda: MemoryBuckets(SettableClock()),
        lambda: LaterBuckets(always=True),
        lambda: LaterBuckets(always=False),
    ],
)
def test_what_one_lacks_the_others_get_back(make: Callable[[], MemoryBuckets]) -> None:
    buckets = make()
    assert asyncio.run(outcome(buckets)) is None
    for _ in range(5):
        lack = asyncio.run(outcome(buckets))
        assert lack is not None
        assert (lack.index, round(lack.wait_s)) == (1, 3600)
    left = [MemoryBuckets.take(buckets, key, limit.rate, 2) for limit, key in (WANTED[0], WANTED[2])]
    assert left == [0.0, 0.0], "one token of three is gone"
    assert MemoryBuckets.take(buckets, "wide", WIDE.rate) > 0


def test_nobody_wants_anything() -> None:
    assert take_each(MemoryBuckets(SettableClock()), []) is None
