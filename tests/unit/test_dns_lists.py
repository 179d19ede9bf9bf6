"""Lists in the DNS: when enough of them have answered."""

import asyncio
from ipaddress import ip_address
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fastsmtp.dns_lists import DnsList, DnsLists, Inquiry, listed_name
from fastsmtp.smtp.transaction import Connection
from fastsmtp.testing import MemoryResolver

ZONE = """
bad.one.test     A    127.0.0.2
bad.two.test     A    127.0.0.4
bad.three.test   A    127.0.0.2
bad.good.test    A    127.0.5.1
bad.one.test     TXT  "Listed"
blocked.one.test A    127.255.255.254
parked.one.test  A    203.0.113.80
odd.one.test     A    127.0.0.1
"""


def lists(*written: Any) -> tuple[DnsList, ...]:
    made: tuple[DnsList, ...] = TypeAdapter(DnsLists).validate_python(list(written))
    return made


def client() -> Connection:
    return Connection("C1", "192.0.2.1", 1, "192.0.2.25", 25)


def test_as_an_operator_writes_them() -> None:
    one, two = lists("ZEN.one.test", {"zone": "two.test", "weight": -2, "codes": ["127.0.0.2", "127.0.4.0/24"]})
    assert (one.zone, one.weight) == ("zen.one.test", 1)
    assert two.weight == -2
    assert ip_address("127.0.4.9").packed in two.codes
    assert ip_address("127.0.0.3").packed not in two.codes


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("one.test", "is no list of zones"),
        ([3], "is no list; write its zone"),
        (["a b"], "is not a domain name"),
        ([{"zone": "a.test", "weigth": 2}], "a.test: unknown weigth; known are zone, weight, codes"),
        ([{"zone": "a.test", "weight": 0}], "a.test: weight is a whole number"),
        ([{"zone": "a.test", "weight": True}], "a.test: weight is a whole number"),
        ([{"zone": "a.test", "codes": ["127.0.0.1/24"]}], "127.0.0.0/24"),
    ],
)
def test_what_is_no_list(written: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(DnsLists).validate_python(written)


def test_addresses_as_lists_know_them() -> None:
    assert listed_name(ip_address("192.0.2.99")) == "99.2.0.192"
    nibbles = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
    assert listed_name(ip_address("2001:db8::567:89ab")) == nibbles


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize(
    ("name", "threshold", "written", "refused", "weight"),
    [
        ("bad", 1, ["one.test"], True, 1),
        ("nice", 1, ["one.test"], False, 0),
        ("bad", 2, ["one.test", "four.test"], False, 1),
        ("bad", 2, ["one.test", {"zone": "two.test", "codes": ["127.0.0.2/31"]}], False, 1),
        ("bad", 2, ["one.test", {"zone": "two.test", "codes": ["127.0.0.4/31"]}], True, 2),
        ("bad", 2, [{"zone": "one.test", "weight": 3}, {"zone": "good.test", "weight": -2}], False, 1),
        ("blocked", 1, ["one.test"], False, 0),
        ("parked", 1, ["one.test"], False, 0),
        ("odd", 1, ["one.test"], False, 0),
    ],
)
def test_weights(
    name: str, threshold: int, written: list[Any], refused: bool, weight: int, is_remembered: bool
) -> None:
    resolver = MemoryResolver(ZONE)
    resolver.is_remembered = is_remembered

    async def run() -> None:
        inquiry = Inquiry(resolver, lists(*written), threshold)
        inquiry.ask([name], client())
        assert (inquiry.is_refused is None) is not is_remembered
        assert await inquiry.settle() is refused
        assert inquiry.weight == weight

    asyncio.run(run())


@pytest.mark.parametrize(
    ("silent", "threshold", "written", "refused"),
    [
        (["bad.two.test"], 1, ["one.test", "two.test"], True),
        (["bad.two.test"], 3, ["one.test", "two.test"], False),
        (["bad.good.test"], 1, [{"zone": "one.test", "weight": 5}, {"zone": "good.test", "weight": -2}], True),
        (["bad.two.test"], 2, [{"zone": "two.test", "weight": 1}, {"zone": "four.test", "weight": 2}], False),
    ],
)
def test_nobody_waits_for_what_decides_nothing(
    silent: list[str], threshold: int, written: list[Any], refused: bool
) -> None:
    resolver = MemoryResolver(ZONE)
    resolver.is_remembered = False
    resolver.hold(*silent)

    async def run() -> None:
        inquiry = Inquiry(resolver, lists(*written), threshold)
        inquiry.ask(["bad"], client())
        assert await asyncio.wait_for(inquiry.settle(), 20) is refused
        assert len(asyncio.all_tasks()) <= 2

    asyncio.run(run())


@pytest.mark.parametrize("is_remembered", [True, False])
def test_trouble_weighs_nothing_and_a_good_word_might_have_been_said(is_remembered: bool) -> None:
    resolver = MemoryResolver(ZONE)
    resolver.is_remembered = is_remembered
    resolver.fail("bad.good.test", "bad.two.test", error="server failure")
    written = lists("one.test", "two.test", {"zone": "good.test", "weight": -1})

    async def run() -> None:
        inquiry = Inquiry(resolver, written, 1)
        inquiry.ask(["bad"], client())
        assert await inquiry.settle() is False
        assert sorted(inquiry.troubles) == ["good.test: server failure", "two.test: server failure"]

    asyncio.run(run())


def test_a_list_that_does_not_serve_us_says_so_in_the_record() -> None:
    async def run() -> None:
        inquiry = Inquiry(MemoryResolver(ZONE), lists("one.test"), 1)
        inquiry.ask(["blocked"], client())
        assert inquiry.troubles == ["one.test does not serve us (127.255.255.254)"]
        assert inquiry.listings == []

    asyncio.run(run())


def test_a_list_counts_once_however_many_names_are_on_it() -> None:
    async def run() -> None:
        inquiry = Inquiry(MemoryResolver("*.one.test A 127.0.0.2"), lists("one.test"), 2)
        inquiry.ask(["a", "b"], client())
        assert (inquiry.weight, len(inquiry.listings)) == (1, 2)
        assert await inquiry.settle() is False

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Listed, see https://one.test/", "bad on one.test: Listed, see https://one.test/"),
        ("", "bad on one.test"),
        ("a\r\n250 OK\x00 \x1b[31mred\u202e", "bad on one.test: a 250 OK [31mred"),
        ("x" * 1000, "bad on one.test: " + "x" * 200),
    ],
)
def test_what_the_client_hears(text: str, said: str) -> None:
    async def run() -> None:
        resolver = MemoryResolver("bad.one.test A 127.0.0.2")
        resolver.zone["bad.one.test"]["TXT"] = ['"' + text + '"']
        inquiry = Inquiry(resolver, lists("one.test"), 1)
        inquiry.ask(["bad"], client())
        assert await inquiry.reason("{name} on {zone}: {text}", client()) == said
        resolver.fail()
        assert await inquiry.reason("{name} on {zone}: {text}", client()) == "bad on one.test"
        asked = len(resolver.asked)
        assert await inquiry.reason("no", client()) == "no"
        assert len(resolver.asked) == asked

    asyncio.run(run())
