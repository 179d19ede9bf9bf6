"""A check with a resolver."""

import asyncio
from ipaddress import ip_address

from fastsmtp.plugin import at_once
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.spf.check import Finding, Identity
from fastsmtp.spf.lookup import find
from fastsmtp.testing.resolver import MemoryResolver

ZONE = """
example.org             TXT  "v=spf1 mx ptr:names.example exists:%{i}.e.example -all"
example.org             MX   10 mx.example.org
mx.example.org          A    198.51.100.1
7.2.0.192.in-addr.arpa  PTR  host.example
192.0.2.7.e.example     A    127.0.0.1
"""
IDENTITY = Identity(ip_address("192.0.2.7"), "joe", "example.org", "helo.example")
TRANSACTION = Transaction("T1", Connection("C1", "192.0.2.7", 1, "192.0.2.25", 25))
ASKED = [
    ("TXT", "example.org"),
    ("MX", "example.org"),
    ("A", "mx.example.org"),
    ("PTR", "7.2.0.192.in-addr.arpa"),
    ("A", "host.example"),
    ("A", "192.0.2.7.e.example"),
]


def test_what_is_remembered_is_answered_at_once() -> None:
    resolver = MemoryResolver(ZONE)
    assert at_once(find(IDENTITY, resolver, TRANSACTION)) == Finding(
        "pass", "exists:%{i}.e.example of example.org", domain="example.org"
    )
    assert resolver.asked == ASKED


def test_only_what_is_not_remembered_is_waited_for() -> None:
    async def check(resolver: MemoryResolver) -> str:
        found = at_once(find(IDENTITY, resolver, TRANSACTION))
        assert not isinstance(found, Finding)
        return (await found).result

    resolver = MemoryResolver(ZONE)
    resolver.delay(0.001, "mx.example.org", "host.example")
    assert asyncio.run(check(resolver)) == "pass"
    assert resolver.asked == ASKED


def test_trouble_now_and_later_is_a_result() -> None:
    async def check(resolver: MemoryResolver) -> Finding:
        found = at_once(find(IDENTITY, resolver, TRANSACTION))
        return found if isinstance(found, Finding) else await found

    for is_remembered in (True, False):
        resolver = MemoryResolver(ZONE)
        resolver.is_remembered = is_remembered
        resolver.fail("mx.example.org", error="SERVFAIL")
        assert asyncio.run(check(resolver)) == Finding("temperror", "SERVFAIL")
