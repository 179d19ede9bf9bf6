"""The resolver of the server, in front of a real DNS server."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any, TypeVar

import pytest
import uvloop
from zone import ZoneServer

from fastsmtp.config.dns import DnsSettings
from fastsmtp.dns.resolver import CachedResolver
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, Lookup, MailExchanger
from fastsmtp.server.clock import SystemClock
from fastsmtp.smtp.transaction import Connection
from fastsmtp.stats import Stats

ZONE = """
a.test          A      192.0.2.1
a.test          AAAA   2001:db8::1
four.test       A      192.0.2.4
mail.test       MX     20 b.test
mail.test       MX     10 A.test.
null.test       MX     0 .
text.test       TXT    "v=spf1 " "-all"
alias.test      CNAME  a.test
astray.test     CNAME  nowhere.test
bare.test       CNAME  mail.test
1.2.0.192.in-addr.arpa                                                    PTR    A.test.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa  PTR    a.test
"""

PATIENCE_S = 50

T = TypeVar("T")


@pytest.fixture
def dns() -> Iterator[ZoneServer]:
    with ZoneServer(ZONE) as server:
        yield server


@asynccontextmanager
async def resolving(dns: ZoneServer, **settings: Any) -> AsyncIterator[tuple[CachedResolver, Stats]]:
    stats = Stats()
    # So long that nothing is asked twice because the machine is busy.
    chosen = DnsSettings.model_validate({"servers": [dns.address], "timeout": PATIENCE_S, **settings})
    resolver = CachedResolver(chosen, SystemClock(), stats)
    try:
        yield resolver, stats
    finally:
        await resolver.close()


async def result(lookup: Lookup[T]) -> DnsAnswer[T]:
    return await lookup


async def trouble(ask: Callable[[], Lookup[Any]]) -> str:
    with pytest.raises(DnsError) as caught:
        await result(ask())
    return str(caught.value)


def connection() -> Connection:
    return Connection("C1", "192.0.2.1", 1, "192.0.2.25", 25)


def asked_about(dns: ZoneServer, name: str) -> int:
    return sum(asked == name for _, _, asked in dns.asked)


def count(stats: Stats, name: str, *values: str) -> int:
    family = next(family for family in stats.families() if family.name == name)
    return stats.cells[family.children[values]]


def run(work: Awaitable[None]) -> None:
    async def whole() -> None:
        await work

    uvloop.run(whole())


def test_records(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns) as (resolver, stats):
            four, six = ip_address("192.0.2.1"), ip_address("2001:db8::1")
            assert await result(resolver.addresses("A.test.")) == DnsAnswer((four, six))
            assert await result(resolver.addresses("a.test", version=4)) == DnsAnswer((four,))
            assert await result(resolver.addresses("alias.test", version=6)) == DnsAnswer((six,))
            assert await result(resolver.addresses("four.test")) == DnsAnswer((ip_address("192.0.2.4"),))
            exchangers = MailExchanger(10, "a.test"), MailExchanger(20, "b.test")
            assert await result(resolver.mx("mail.test")) == DnsAnswer(exchangers)
            assert await result(resolver.mx("null.test")) == DnsAnswer((MailExchanger(0, ""),))
            assert await result(resolver.txt("text.test")) == DnsAnswer(("v=spf1 -all",))
            for address in ("192.0.2.1", "2001:db8::1"):
                assert await result(resolver.reverse(address)) == DnsAnswer(("a.test",))
            assert count(stats, "fastsmtp_dns_queries_total", "A", "found") == 2
            assert count(stats, "fastsmtp_dns_queries_total", "AAAA", "no_data") == 1

    run(work())


def test_what_is_not_there(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns) as (resolver, _):
            assert await result(resolver.mx("nowhere.test")) == DnsAnswer(exists=False)
            assert await result(resolver.addresses("nowhere.test")) == DnsAnswer(exists=False)
            assert await result(resolver.addresses("astray.test")) == DnsAnswer(exists=False)
            assert await result(resolver.addresses("mail.test")) == DnsAnswer()
            assert await result(resolver.addresses("bare.test")) == DnsAnswer()
            assert await result(resolver.addresses("in-addr.arpa")) == DnsAnswer()
            asked = len(dns.asked)
            assert resolver.mx("a..test") == DnsAnswer(exists=False)
            assert await trouble(lambda: resolver.mx("a+b.test")) == "a name that cannot be asked"
            with pytest.raises(ValueError, match="address"):
                resolver.reverse("a.test")
            assert len(dns.asked) == asked

    run(work())


def test_what_is_remembered_is_answered_at_once(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns) as (resolver, stats):
            for name in ("mail.test", "nowhere.test"):
                first = resolver.mx(name)
                assert isinstance(first, asyncio.Future)
                assert resolver.mx(name) is not first
                assert await first == resolver.mx(name)
            asked = len(dns.asked)
            dns.fail("fails.test")
            assert await trouble(lambda: resolver.mx("fails.test")) == "server failure"
            with pytest.raises(DnsError, match="server failure"):
                resolver.mx("fails.test")
            assert asked == 2
            assert count(stats, "fastsmtp_dns_lookups_total", "miss") == 3
            assert count(stats, "fastsmtp_dns_lookups_total", "wait") == 2
            assert count(stats, "fastsmtp_dns_lookups_total", "hit") == 1
            assert count(stats, "fastsmtp_dns_lookups_total", "negative_hit") == 1
            assert count(stats, "fastsmtp_dns_lookups_total", "failure_hit") == 1
            assert count(stats, "fastsmtp_dns_cache_entries") == 3
            assert 1_000 < count(stats, "fastsmtp_dns_cache_bytes") < 3_000

    run(work())


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("id", "timeout"),
        ("question", "timeout"),
        ("loop", "alias loop"),
        ("garbage", "bad answer"),
        ("other_name", "bad answer"),
    ],
)
def test_lies_are_trouble(dns: ZoneServer, lie: Any, said: str) -> None:
    async def work() -> None:
        async with resolving(dns, timeout=0.5 if said == "timeout" else PATIENCE_S) as (resolver, stats):
            dns.lie(lie)
            assert await trouble(lambda: resolver.addresses("a.test", version=4)) == said
            assert await trouble(lambda: resolver.addresses("a.test")) in {said, "bad answer"}
            assert sum(count(stats, "fastsmtp_dns_queries_total", kind, "found") for kind in ("A", "AAAA")) == 0

    run(work())


def test_a_thousand_records_are_cut(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns) as (resolver, _):
            dns.lie("flood")
            assert len((await result(resolver.addresses("a.test", version=4))).records) == 100
            assert [transport for transport, *_ in dns.asked] == ["udp", "tcp"]

    run(work())


def test_what_is_cut_short_is_asked_over_tcp(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns) as (resolver, _):
            dns.truncate("text.test")
            assert (await result(resolver.txt("text.test"))).records == ("v=spf1 -all",)
            assert dns.asked == [("udp", "TXT", "text.test"), ("tcp", "TXT", "text.test")]

    run(work())


def test_silence_takes_the_timeout_and_no_longer(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns, timeout=0.3) as (resolver, stats):
            dns.drop("a.test")
            loop = asyncio.get_running_loop()
            begun = loop.time()
            assert await trouble(lambda: resolver.addresses("a.test", connection())) == "timeout"
            assert loop.time() - begun < PATIENCE_S  # it is 0.3 s, unless the machine has something else to do
            async with asyncio.timeout(20):
                while not count(stats, "fastsmtp_dns_queries_total", "A", "timeout"):  # noqa: ASYNC110 - it only counts
                    await asyncio.sleep(0.01)

    run(work())


def test_a_late_answer_is_for_the_next_one(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns) as (resolver, _):
            dns.delay(0.2)
            about = connection()
            waits = resolver.mx("mail.test", about)
            gives_up = resolver.mx("mail.test")
            assert not isinstance(waits, DnsAnswer)
            assert not isinstance(gives_up, DnsAnswer)
            gives_up.cancel()
            assert (await waits).records[0] == MailExchanger(10, "a.test")
            assert isinstance(resolver.mx("mail.test"), DnsAnswer)

    run(work())


def test_the_budget_of_a_connection(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns, timeout=30, budget=0.2) as (resolver, stats):
            dns.drop()
            about, other = connection(), connection()
            assert await trouble(lambda: resolver.mx("one.test", about)) == "timeout"
            assert await trouble(lambda: resolver.mx("two.test", about)) == "no time left for the DNS"
            assert count(stats, "fastsmtp_dns_lookups_total", "no_budget") == 1
            assert isinstance(resolver.mx("two.test", other), asyncio.Future)

    run(work())


def test_nothing_is_left_behind(dns: ZoneServer) -> None:
    async def work() -> None:
        async with resolving(dns, timeout=0.2) as (resolver, _):
            dns.drop()
            lookups = [resolver.mx(f"n{number}.test", connection()) for number in range(50)]
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1
            for lookup in lookups[:25]:
                assert isinstance(lookup, asyncio.Future)
                lookup.cancel()
        # Closed in the middle of it: who waits hears so, c-ares has let go of everything.
        for lookup in lookups[25:]:
            assert isinstance(lookup, asyncio.Future)
            with pytest.raises(DnsError):
                await lookup
        with pytest.raises(DnsError):
            await result(resolver.mx("late.test"))
        assert len(asyncio.all_tasks()) == 1

    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - nothing is kept open while it counts

    run(work())
    before = descriptors()
    run(work())
    deadline = time.monotonic() + 20
    while descriptors() > before and time.monotonic() < deadline:  # c-ares closes its sockets in a thread
        os.sched_yield()
    assert descriptors() <= before


def test_no_server_at_the_port() -> None:
    async def work() -> None:
        server = ZoneServer()
        server.close()
        async with resolving(server, timeout=1) as (resolver, _):
            assert await trouble(lambda: resolver.mx("mail.test")) in {"no server", "timeout"}

    run(work())


def test_that_there_is_nothing_is_believed_as_long_as_the_zone_says() -> None:
    """RFC 2308 section 5, which c-ares carries out: we remember it for a moment and ask there again."""

    async def scenario() -> None:
        with ZoneServer(ZONE, negative_ttl_s=3600) as lasting, ZoneServer(ZONE, negative_ttl_s=1) as brief:
            async with resolving(lasting, negative_ttl="1ms") as (resolver, stats):
                for _ in range(20):
                    assert not (await result(resolver.mx("nowhere.test"))).exists
                    assert not (await result(resolver.mx("a.test"))).records
                    await asyncio.sleep(0.002)  # past our own memory
                assert count(stats, "fastsmtp_dns_lookups_total", "miss") > 30
                assert [asked_about(lasting, name) for name in ("nowhere.test", "a.test")] == [1, 1]
            async with resolving(brief, negative_ttl="1ms") as (resolver, _):
                async with asyncio.timeout(20):
                    while asked_about(brief, "nowhere.test") < 2:
                        assert not (await result(resolver.mx("nowhere.test"))).exists
                        await asyncio.sleep(0.05)

    run(scenario())
