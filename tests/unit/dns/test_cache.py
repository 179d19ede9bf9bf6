"""The memory for what the DNS says."""

import pytest

from fastsmtp.dns.cache import DnsCache
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer
from fastsmtp.testing import SettableClock

FOUND = DnsAnswer(("a.test",))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def cache(clock: SettableClock) -> DnsCache:
    return DnsCache(2, ttl_min_s=5, ttl_max_s=100, negative_ttl_s=60, failure_ttl_s=10, monotonic_ns=clock.monotonic_ns)


def lives_s(cache: DnsCache, clock: SettableClock) -> int:
    """How many seconds the question `q` is remembered."""
    for second in range(1000):
        if cache.get("q") is None:
            return second
        clock.advance(1)
    return 1000


@pytest.mark.parametrize(
    ("answer", "ttl_s", "expected_s"),
    [
        (FOUND, 30, 30),
        (FOUND, 0, 5),
        (FOUND, 3_000_000_000, 100),
        (DnsAnswer(), None, 60),
        (DnsAnswer(exists=False), 20, 20),
        (DnsAnswer(), 900, 60),
    ],
)
def test_lifetimes(
    cache: DnsCache, clock: SettableClock, answer: DnsAnswer[str], ttl_s: int | None, expected_s: int
) -> None:
    given = cache.keep("q", answer, ttl_s)
    assert (given, given.until_ns) == (answer, clock.monotonic_ns() + expected_s * 10**9)
    kept = cache.get("q")
    assert kept is not None
    assert kept.answer is given
    assert lives_s(cache, clock) == expected_s


def test_trouble_is_remembered_for_a_moment(cache: DnsCache, clock: SettableClock) -> None:
    cache.keep("q", FOUND, 20)
    cache.keep_trouble("q", DnsError("timeout"))
    kept = cache.get("q")
    assert kept is not None
    assert (kept.answer, kept.trouble) == (None, "timeout")
    assert lives_s(cache, clock) == 10
    cache.keep("q", FOUND, 20)
    assert lives_s(cache, clock) == 20
    assert len(cache) == 1


def test_it_is_bounded(cache: DnsCache) -> None:
    for number in range(10):
        cache.keep(f"q{number}", FOUND, 20)
    assert len(cache) == 2
