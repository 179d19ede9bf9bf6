"""The way to the DNS servers."""

import asyncio
from collections.abc import Iterator

import pytest
from zone import ZoneServer

from fastsmtp.config.dns import DnsSettings
from fastsmtp.dns import answers, channel
from fastsmtp.dns.channel import Channel
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer
from fastsmtp.server.clock import SystemClock
from fastsmtp.stats import Stats


@pytest.fixture
def dns() -> Iterator[ZoneServer]:
    with ZoneServer("*.test TXT hello", ttl_s=40) as server:
        yield server


def test_an_answer_and_its_ttl(dns: ZoneServer) -> None:
    async def work() -> None:
        ways = Channel(DnsSettings.model_validate({"servers": [dns.address], "timeout": 50}), SystemClock(), Stats())
        assert await ways.ask("TXT", "a.test") == (DnsAnswer(("hello",)), 40)
        assert await ways.ask("TXT", "test") == (DnsAnswer(), None)
        await ways.close()
        with pytest.raises(DnsError):
            await ways.ask("TXT", "b.test")

    asyncio.run(work())


def test_the_cache_of_c_ares_is_bounded(dns: ZoneServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "QUESTIONS_MAX", 3)

    async def work() -> None:
        ways = Channel(DnsSettings.model_validate({"servers": [dns.address], "timeout": 50}), SystemClock(), Stats())
        for _ in range(3):
            await ways.ask("TXT", "a.test")
        assert len(dns.asked) == 1
        await ways.ask("TXT", "a.test")
        assert len(dns.asked) == 2
        await asyncio.gather(*(ways.ask("TXT", f"n{number}.test") for number in range(20)))
        await ways.close()

    asyncio.run(work())


def test_a_server_that_is_slow_once_has_the_time(dns: ZoneServer) -> None:
    async def work() -> None:
        ways = Channel(DnsSettings.model_validate({"servers": [dns.address]}), SystemClock(), Stats())
        await asyncio.gather(*(ways.ask("TXT", f"quick{number}.test") for number in range(20)))
        dns.delay(1.0, "slow.test")
        assert (await ways.ask("TXT", "slow.test"))[0].records == ("hello",)
        await ways.close()

    asyncio.run(work())


def test_a_fault_of_ours_keeps_nobody_waiting(
    dns: ZoneServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(*_: object) -> None:
        raise LookupError("nobody thought of it")

    monkeypatch.setattr(answers, "answer_of", stumble)

    async def work() -> None:
        ways = Channel(DnsSettings.model_validate({"servers": [dns.address], "timeout": 50}), SystemClock(), Stats())
        with pytest.raises(DnsError, match="other trouble"):
            await ways.ask("TXT", "a.test")
        await ways.close()

    asyncio.run(work())
    assert "cannot be read" in caplog.text
