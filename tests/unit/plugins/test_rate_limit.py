"""No more in a while than agreed."""

import asyncio
from collections.abc import Awaitable, Mapping

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.ports import Rate
from fastsmtp.testing import Client, Site

USERS = ["ann@example.test", "bob@example.test"]
MESSAGE = b"Subject: x\n\ny\n"


def site(*limits: Mapping[str, object], **options: object) -> Site:
    return Site([("rate_limit", {"limits": limits, **options})], users=USERS, passwords={"ann@example.test": "secret"})


def send(client: Client, sender: str = "a@example.org", *to: str) -> str:
    """The reply that decided it, code and status."""
    heard = client.send(sender, to or ("ann@example.test",), MESSAGE)
    return f"{heard.code} {heard.enhanced}"


def test_messages_of_an_address_fill_a_bucket_that_others_do_not_share() -> None:
    with site({"by": "address", "rate": "2/minute"}) as mx:
        one, other, neighbour = mx.connect("192.0.2.1"), mx.connect("198.51.100.1"), mx.connect("192.0.2.2")
        assert [send(one) for _ in range(3)] == ["250 2.0.0", "250 2.0.0", "451 4.7.1"]
        assert [send(client) for client in (other, neighbour, mx.connect("192.0.2.1"))] == [
            "250 2.0.0",
            "250 2.0.0",
            "451 4.7.1",
        ]
        mx.clock.advance(30)
        assert [send(one), send(one)] == ["250 2.0.0", "451 4.7.1"]


def test_the_reply_says_which_limit_and_the_record_who_and_when() -> None:
    with site({"by": "sender_domain", "rate": "1/hour"}, reason="Slowly, please") as mx:
        client = mx.connect()
        send(client)
        client.hello()
        assert str(client.mail("b@EXAMPLE.org")) == "451 4.7.1 Slowly, please: messages by sender domain, 1 per 3600 s"
        client.disconnect()
        (result,) = mx.transactions[-1].results
        assert (result.outcome, result.evidence) == (
            "fail",
            "messages by sender domain, 1 per 3600 s: example.org, again in 3600 s",
        )


def test_a_burst_is_another_thing_than_a_rate() -> None:
    with site({"by": "address", "rate": "60/minute", "burst": 2}) as mx:
        client = mx.connect()
        assert [send(client) for _ in range(3)] == ["250 2.0.0", "250 2.0.0", "451 4.7.1"]
        mx.clock.advance(1)
        assert [send(client), send(client)] == ["250 2.0.0", "451 4.7.1"]


@pytest.mark.parametrize(
    ("by", "same", "another"),
    [
        ("sender", "A@example.org", "b@example.org"),
        ("sender_domain", "b@example.org", "a@sub.example.org"),
    ],
)
def test_by_sender(by: str, same: str, another: str) -> None:
    with site({"by": by, "rate": "1/hour"}) as mx:
        client = mx.connect()
        assert [send(client), send(client, same), send(client, another)] == ["250 2.0.0", "451 4.7.1", "250 2.0.0"]
        assert [send(client, ""), send(client, "")] == ["250 2.0.0"] * 2, "<> is nobody's address"


@pytest.mark.parametrize(
    ("by", "to", "codes"),
    [("recipient", "bob@example.test", [250, 451, 250]), ("recipient_domain", "bob@example.test", [250, 451, 451])],
)
def test_by_recipient(by: str, to: str, codes: list[int]) -> None:
    with site({"by": by, "rate": "1/hour"}) as mx:
        client = mx.connect()
        client.hello()
        client.mail("a@example.org")
        assert [client.rcpt(one).code for one in ("ann@example.test", "ANN@example.test", to)] == codes


def test_recipients_of_a_network() -> None:
    with site({"by": "network", "rate": "2/hour", "what": "recipients"}) as mx:
        assert send(mx.connect("192.0.2.1"), "a@example.org", *USERS) == "250 2.0.0"
        assert send(mx.connect("192.0.2.200"), "b@example.org") == "451 4.7.1"
        assert send(mx.connect("192.0.3.1"), "b@example.org") == "250 2.0.0"
        assert send(mx.connect("2001:db8::1")) == "250 2.0.0"


def test_an_address_of_ipv6_is_its_network_of_64_bits() -> None:
    with site({"by": "address", "rate": "1/hour"}) as mx:
        assert send(mx.connect("2001:db8::1")) == "250 2.0.0"
        assert send(mx.connect("2001:db8::ffff:1")) == "451 4.7.1"
        assert send(mx.connect("2001:db8:0:1::1")) == "250 2.0.0"


def test_connections() -> None:
    with site({"by": "address", "rate": "2/minute", "what": "connections"}) as mx:
        assert [mx.connect("192.0.2.1").greeting.code for _ in range(3)] == [220, 220, 421]
        assert mx.connect("192.0.2.2").greeting.code == 220


def test_who_has_logged_in_has_a_limit_of_his_own() -> None:
    with site({"by": "user", "rate": "1/hour"}) as mx:
        stranger, client = mx.connect(), mx.connect()
        assert [send(stranger), send(stranger)] == ["250 2.0.0"] * 2
        client.login("ann@example.test", "secret")
        assert [send(client), send(client)] == ["250 2.0.0", "451 4.7.1"]


def test_the_null_sender_alone() -> None:
    with site({"by": "recipient", "rate": "1/hour", "null_sender": True}) as mx:
        client = mx.connect()
        assert [send(client), send(client), send(client, ""), send(client, ""), send(client)] == [
            *["250 2.0.0"] * 3,
            "451 4.7.1",
            "250 2.0.0",
        ]


def test_what_one_limit_refuses_takes_nothing_from_another() -> None:
    with site({"by": "network", "rate": "3/hour"}, {"by": "address", "rate": "1/hour"}) as mx:
        assert [send(mx.connect("192.0.2.1")) for _ in range(5)] == ["250 2.0.0", *["451 4.7.1"] * 4]
        assert [send(mx.connect(f"192.0.2.{last}")) for last in (2, 3, 4)] == ["250 2.0.0", "250 2.0.0", "451 4.7.1"]


def test_who_is_exempt() -> None:
    limit = {"by": "address", "rate": "1/hour"}
    with site(limit, exempt=["192.0.2.0/28"], exempt_users=True, exempt_senders=["Example.net", "a@example.com"]) as mx:
        friend, client, user = mx.connect("192.0.2.1"), mx.connect("192.0.2.100"), mx.connect("192.0.2.101")
        assert [send(friend) for _ in range(3)] == ["250 2.0.0"] * 3
        senders = ["x@example.net", "A@example.com", "b@example.com", "b@example.com", "x@example.net"]
        assert [send(client, sender)[:3] for sender in senders] == ["250", "250", "250", "451", "250"]
        user.login("ann@example.test", "secret")
        assert [send(user) for _ in range(3)] == ["250 2.0.0"] * 3
    with site({"by": "recipient", "rate": "1/hour"}, exempt_recipients=["ann@example.test"]) as mx:
        client = mx.connect()
        assert [send(client, "a@example.org", to)[:3] for to in (*USERS, *USERS)] == ["250", "250", "250", "451"]


def test_who_is_vouched_for_may_connect() -> None:
    limit = {"by": "address", "rate": "1/hour", "what": "connections"}
    with Site([("access", {"trust": ["192.0.2.1"]}), ("rate_limit", {"limits": [limit]})], users=USERS) as mx:
        assert [mx.connect("192.0.2.1").greeting.code for _ in range(3)] == [220, 220, 220]
        assert [mx.connect("192.0.2.2").greeting.code for _ in range(2)] == [220, 421]


def test_hanging_up() -> None:
    with site({"by": "address", "rate": "1/hour"}, hang_up=True) as mx:
        client = mx.connect()
        send(client)
        assert client.mail("a@example.org").code == 421
        assert not client.is_open


def test_a_client_without_an_address_has_no_limit_by_it() -> None:
    with site({"by": "address", "rate": "1/hour"}) as mx:
        client = mx.connect("")
        assert [send(client), send(client)] == ["250 2.0.0"] * 2


def test_in_shadow_nobody_is_held_up() -> None:
    entry = {"use": "rate_limit", "mode": "shadow", "options": {"limits": [{"by": "address", "rate": "1/hour"}]}}
    with Site([entry], users=USERS) as mx:
        client = mx.connect()
        assert [send(client), send(client)] == ["250 2.0.0"] * 2
        assert mx.count("fastsmtp_plugin_answers_total", plugin="rate_limit", answer="defer", mode="shadow") == 1


class Elsewhere:
    """Buckets of several hosts: every answer takes a while."""

    def __init__(self, waits_s: list[float]) -> None:
        self.waits_s = waits_s
        self.given_back: list[str] = []

    def take(self, key: str, rate: Rate, tokens: int = 1) -> Awaitable[float]:
        async def answer() -> float:
            await asyncio.sleep(0)
            return self.waits_s.pop(0)

        return answer()

    def give_back(self, key: str, rate: Rate, tokens: int = 1) -> None:
        self.given_back.append(key.rpartition(" ")[2])


def test_buckets_of_several_hosts_are_waited_for() -> None:
    mx = site({"by": "network", "rate": "3/hour"}, {"by": "address", "rate": "1/hour"})
    elsewhere = Elsewhere([0.0, 0.0, 0.0, 5.0])
    mx.buckets = elsewhere  # type: ignore[assignment]  # the port is wider than what a site has
    with mx:
        client = mx.connect("192.0.2.1")
        assert [send(client), send(client)] == ["250 2.0.0", "451 4.7.1"]
    assert elsewhere.given_back == ["192.0.2.0/24"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "limits"),
        ({"limits": []}, "has no limit"),
        ({"limits": [{"by": "nobody", "rate": "1/s"}]}, "limits.0.by"),
        ({"limits": [{"by": "address", "rate": "often"}]}, "is no rate"),
        ({"limits": [{"by": "address", "rate": "1/s", "burst": 0}]}, "`burst` is 1 to"),
        ({"limits": [{"by": "sender", "rate": "1/s", "what": "connections"}]}, 'by "address" or "network"'),
        ({"limits": [{"by": "sender", "rate": "1/s", "null_sender": True}]}, "one sender only"),
        ({"limits": [{"by": "address", "rate": "1/s"}], "exempt_senders": ["a@@b"]}, "exempt_senders|a@@b"),
        ({"limits": [{"by": "address", "rate": "1/s"}], "v4_bits": 33}, "a network has 8 to 32 bits"),
    ],
)
def test_options_are_checked(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError, match=problem):
        Site([("rate_limit", options)])
