"""Who guesses recipients is slowed down, and shut out."""

import asyncio
from collections.abc import Awaitable

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.ports import Rate
from fastsmtp.testing import Client, MemoryBuckets, PluginSpec, Site

HOUR = 3600.0
USERS = ["ann@example.test"]


def guarded(**options: object) -> Site:
    given = {"rate": "3/hour", "slow_after": 3, "delay": 0.001, **options}
    return Site([("harvest_guard", given)], users=USERS, passwords={"ann@example.test": "secret"})


def begin(client: Client) -> Client:
    client.hello()
    client.mail("a@example.org")
    return client


def guess(client: Client, count: int) -> list[int]:
    return [client.rcpt(f"user{number}@example.test").code for number in range(count)]


def test_with_one_unknown_recipient_too_many_they_are_hung_up_on_and_stay_out() -> None:
    with guarded() as mx:
        client = begin(mx.connect("192.0.2.1"))
        assert guess(client, 4) == [550] * 4
        heard = client.rcpt("ann@example.test")
        assert str(heard) == "421 4.7.1 Too many unknown recipients from your address, come again later"
        assert not client.is_open
        assert mx.connect("192.0.2.1").greeting.code == 421
        assert mx.connect("192.0.2.2").greeting.code == 220
        mx.clock.advance(HOUR - 1)
        assert mx.connect("192.0.2.1").greeting.code == 421
        mx.clock.advance(1)
        assert mx.connect("192.0.2.1").greeting.code == 220


def test_it_counts_across_transactions_and_connections() -> None:
    with guarded() as mx:
        for _ in range(4):
            client = begin(mx.connect("192.0.2.1"))
            assert client.greeting.code == 220
            assert guess(client, 1) == [550]
            client.disconnect()
        assert mx.connect("192.0.2.1").greeting.code == 421


def test_two_of_them_count_for_themselves() -> None:
    """By address and by network: what one has looked at is new to the other."""
    wide = {"rate": "5/hour", "by_network": True, "delay": 0.001}
    narrow = {"rate": "3/hour", "slow_after": 3, "delay": 0.001}
    entries: list[PluginSpec] = [
        ("harvest_guard", narrow),
        {"use": "harvest_guard", "name": "networks", "options": wide},
    ]
    with Site(entries, users=USERS) as mx:
        for last in (1, 2):
            client = begin(mx.connect(f"192.0.2.{last}"))
            assert guess(client, 3) == [550] * 3
            client.disconnect()
        assert mx.connect("192.0.2.3").greeting.code == 421
        assert mx.connect("192.0.3.3").greeting.code == 220


def test_a_transaction_counts_once() -> None:
    with guarded() as mx:
        client = begin(mx.connect("192.0.2.1"))
        guess(client, 2)
        assert client.rcpt("ann@example.test").code == 250
        assert client.data(b"Subject: x\n\ny\n").code == 250
        client.command("RSET")
        client.mail("a@example.org")
        assert guess(client, 1) == [550]
        assert client.rcpt("ann@example.test").code == 250


def test_mistyped_addresses_cost_nothing_in_the_long_run() -> None:
    with guarded() as mx:
        for _ in range(20):
            client = begin(mx.connect("192.0.2.1"))
            assert guess(client, 1) == [550]
            client.quit()
            mx.clock.advance(HOUR / 3)


def test_other_refusals_do_not_count() -> None:
    with guarded() as mx:
        client = begin(mx.connect("192.0.2.1"))
        assert [client.rcpt(f"{number}@elsewhere.example").code for number in range(10)] == [550] * 10
        assert client.rcpt("ann@example.test").code == 250


@pytest.mark.parametrize(
    ("options", "ip", "code"),
    [
        ({}, "2001:db8::9:9", 421),
        ({}, "2001:db8:0:1::1", 220),
        ({"by_network": True, "v6_bits": 48}, "2001:db8:0:1::1", 421),
    ],
)
def test_networks_of_ipv6(options: dict[str, object], ip: str, code: int) -> None:
    with guarded(**options) as mx:
        client = begin(mx.connect("2001:db8::1"))
        guess(client, 5)
        assert mx.connect(ip).greeting.code == code


def test_by_network() -> None:
    with guarded(by_network=True) as mx:
        for last in range(1, 5):
            client = begin(mx.connect(f"192.0.2.{last}"))
            guess(client, 1)
            client.disconnect()
        assert [mx.connect(ip).greeting.code for ip in ("192.0.2.99", "192.0.3.1")] == [421, 220]


def test_who_is_exempt() -> None:
    with guarded(exempt=["192.0.2.0/24"]) as mx:
        assert guess(begin(mx.connect("192.0.2.1")), 8) == [550] * 8
        assert guess(begin(mx.connect("")), 8) == [550] * 8
        user = mx.connect("198.51.100.1")
        user.login("ann@example.test", "secret")
        assert guess(begin(user), 8) == [550] * 8
        user.disconnect()
        assert mx.connect("198.51.100.1").greeting.code == 220


def test_guesses_are_slowed_down_as_long_as_not_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def note(delay: float) -> None:
        waited.append(delay)
        await sleep(0)

    monkeypatch.setattr("fastsmtp_plugins.harvest_guard.asyncio.sleep", note)
    with guarded(rate="20/hour", slow_after=2, delay=7) as mx:
        client = begin(mx.connect())
        assert guess(client, 5) == [550] * 5
        assert waited == [7.0, 7.0], "before the fourth and the fifth: two were free, and one has to come first"
    waited.clear()
    with guarded(rate="20/hour", slow_after=2, delay=7, delayed=0) as mx:
        assert guess(begin(mx.connect()), 5) == [550] * 5
        assert waited == []


def test_what_it_says_in_shadow_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(delay: float) -> None:
        raise AssertionError("nobody should wait")

    monkeypatch.setattr("fastsmtp_plugins.harvest_guard.asyncio.sleep", sleep)
    entry = {"use": "harvest_guard", "mode": "shadow", "options": {"rate": "9/hour", "slow_after": 1, "delay": 2}}
    with Site([entry], users=USERS) as mx:
        client = begin(mx.connect())
        assert guess(client, 5) == [550] * 5
        assert client.rcpt("ann@example.test").code == 250


class Slow(MemoryBuckets):
    """Buckets that have to be waited for."""

    def take(self, key: str, rate: Rate, tokens: int = 1) -> Awaitable[float]:  # type: ignore[override]  # as the port
        async def answer() -> float:
            return MemoryBuckets.take(self, key, rate, tokens)

        return answer()


def test_buckets_of_several_hosts_are_waited_for() -> None:
    mx = guarded()
    mx.buckets = Slow(mx.clock)
    with mx:
        client = begin(mx.connect("192.0.2.1"))
        assert guess(client, 4) == [550] * 4
        assert client.rcpt("ann@example.test").code == 421
        assert mx.connect("192.0.2.1").greeting.code == 421
        other = begin(mx.connect("192.0.2.2"))
        guess(other, 4)
        other.disconnect()
        assert mx.connect("192.0.2.2").greeting.code == 421


@pytest.mark.parametrize(
    "options", [{"rate": "x"}, {"slow_after": 0}, {"slow_after": 4}, {"delayed": -1}, {"block": 0}, {"v4_bits": 1}]
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(PluginLoadError):
        guarded(**options)
