"""Buckets here in front of buckets there. With a real server: test_redis.py and test_postgres.py."""

import asyncio
from inspect import isawaitable

from fastsmtp.errors import StateError
from fastsmtp.ports import Rate
from fastsmtp.state.memory import MemoryBuckets
from fastsmtp.state.several_hosts import SeveralHostsBuckets
from fastsmtp.testing import SettableClock

RATE = Rate(2, 60.0, 2)


class There:
    """Buckets of all hosts, in memory."""

    def __init__(self, clock: SettableClock) -> None:
        self.is_there = True
        self.buckets = MemoryBuckets(clock)
        self.asked = 0
        self.trouble = False

    async def take(self, key: str, rate: Rate, tokens: int) -> float:
        self.asked += 1
        if self.trouble:
            raise StateError("away")
        return self.buckets.take(key, rate, tokens)

    def give_back(self, key: str, rate: Rate, tokens: int) -> None:
        self.buckets.give_back(key, rate, tokens)


def take(buckets: SeveralHostsBuckets, key: str = "a") -> float:
    async def answer() -> float:
        wait_s = buckets.take(key, RATE)
        return await wait_s if isawaitable(wait_s) else wait_s

    return asyncio.run(answer())


def test_every_token_is_taken_here_and_there() -> None:
    clock = SettableClock()
    there = There(clock)
    one, other = (SeveralHostsBuckets(MemoryBuckets(clock), there) for _ in range(2))
    assert [take(one), take(other), take(other), take(one)] == [0.0, 0.0, 30.0, 30.0]
    other.give_back("a", RATE)
    assert [take(one), take(other)] == [0.0, 30.0]


def test_what_is_refused_there_is_given_back_here() -> None:
    clock = SettableClock()
    there = There(clock)
    here = MemoryBuckets(clock)
    buckets = SeveralHostsBuckets(here, there)
    there.buckets.take("a", RATE, 2)
    assert take(buckets) == 30.0
    assert here.take("a", RATE, 2) == 0.0


def test_what_is_refused_here_is_not_asked_there() -> None:
    clock = SettableClock()
    there = There(clock)
    buckets = SeveralHostsBuckets(MemoryBuckets(clock), there)
    assert [take(buckets) for _ in range(3)] == [0.0, 0.0, 30.0]
    assert there.asked == 2


def test_without_the_others_a_host_has_its_own() -> None:
    clock = SettableClock()
    there = There(clock)
    buckets = SeveralHostsBuckets(MemoryBuckets(clock), there)
    there.trouble = True
    assert take(buckets) == 0.0
    there.is_there = False
    assert [buckets.take("a", RATE), buckets.take("a", RATE)] == [0.0, 30.0]
    assert there.asked == 1
