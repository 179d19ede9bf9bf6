"""The memory for what the DNS says."""

from ipaddress import IPv4Address

import pytest

from fastsmtp.dns.cache import DnsCache
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, MailExchanger
from fastsmtp.testing import SettableClock

FOUND = DnsAnswer(("a.test",))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def cache(clock: SettableClock) -> DnsCache:
    return make(clock)


def make(clock: SettableClock, entries: int = 2, octets: int = 1 << 20) -> DnsCache:
    clamps = {"ttl_min_s": 5.0, "ttl_max_s": 100.0, "negative_ttl_s": 60.0, "failure_ttl_s": 10.0}
    return DnsCache(entries, octets, monotonic_ns=clock.monotonic_ns, **clamps)


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


def test_it_is_bounded_in_octets_too(clock: SettableClock) -> None:
    cache = make(clock, 1000, 100_000)
    for number in range(100):
        cache.keep(f"q{number}", DnsAnswer((f"{number}" + 10_000 * "x",)), 20)
        assert cache.octets <= 100_000
    assert len(cache) == 9
    assert cache.get("q99") is not None
    assert cache.get("q1") is None


def test_what_is_asked_for_again_stays(clock: SettableClock) -> None:
    cache = make(clock, 1000, 100_000)
    cache.keep("q", FOUND, 60)
    for number in range(100):
        assert cache.get("q") is not None
        cache.keep(f"q{number}", DnsAnswer((f"{number}" + 10_000 * "x",)), 20)


def test_an_answer_of_another_size_counts_anew(clock: SettableClock) -> None:
    cache = make(clock, 10, 100_000)
    cache.keep("q", DnsAnswer((50_000 * "x",)), 20)
    large = cache.octets
    cache.keep("q", FOUND, 20)
    assert 0 < cache.octets < large - 49_000
    cache.keep_trouble("q", DnsError("timeout"))
    assert 0 < cache.octets < 500
    cache.keep("q", DnsAnswer((200_000 * "x",)), 20)
    assert (len(cache), cache.octets) == (0, 0)  # larger than all that there is


@pytest.mark.parametrize(
    ("records", "about"),
    [
        ((IPv4Address("192.0.2.1"),), 407),
        (tuple(IPv4Address(number) for number in range(10)), 1196),
        (tuple(MailExchanger(300, f"mx{number}.host12345.example.net") for number in range(10)), 2088),
        ((16_000 * "x",), 16_352),
        (("v=spf1 " + 1000 * "\ufffd",), 2392),
        ((), 280),
    ],
)
def test_octets_are_about_what_tracemalloc_says(clock: SettableClock, records: tuple[object, ...], about: int) -> None:
    cache = make(clock)
    cache.keep("A host12345678.example.net", DnsAnswer(records), 20)
    assert 0.9 * about < cache.octets < 1.45 * about
