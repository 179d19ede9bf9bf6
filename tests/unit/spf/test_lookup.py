"""A check with a resolver."""

import asyncio
from ipaddress import ip_address
from time import monotonic_ns

import pytest

from fastsmtp.plugin import at_once
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.spf.check import Finding, Identity
from fastsmtp.spf.lookup import Policies
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
    assert at_once(Policies(resolver, monotonic_ns).find(IDENTITY, TRANSACTION)) == Finding(
        "pass", "exists:%{i}.e.example of example.org", domain="example.org"
    )
    assert resolver.asked == ASKED


def test_only_what_is_not_remembered_is_waited_for() -> None:
    async def check(resolver: MemoryResolver) -> str:
        found = at_once(Policies(resolver, monotonic_ns).find(IDENTITY, TRANSACTION))
        assert not isinstance(found, Finding)
        return (await found).result

    resolver = MemoryResolver(ZONE)
    resolver.delay(0.001, "mx.example.org", "host.example")
    assert asyncio.run(check(resolver)) == "pass"
    assert resolver.asked == ASKED


def test_trouble_now_and_later_is_a_result() -> None:
    async def check(resolver: MemoryResolver) -> Finding:
        found = at_once(Policies(resolver, monotonic_ns).find(IDENTITY, TRANSACTION))
        return found if isinstance(found, Finding) else await found

    for is_remembered in (True, False):
        resolver = MemoryResolver(ZONE)
        resolver.is_remembered = is_remembered
        resolver.fail("mx.example.org", error="SERVFAIL")
        assert asyncio.run(check(resolver)) == Finding("temperror", "SERVFAIL")


def remembers(policy: str, *, until_ns: int = 10**18, trouble: str = "") -> list[tuple[str, str]]:
    """What is asked by a second check of another sender of the same domain, with another name in HELO."""
    resolver = MemoryResolver(f'example.org TXT "{policy}"\n{ZONE.partition("-all")[2].lstrip(chr(34))}')
    resolver.until_ns = until_ns
    if trouble:
        resolver.fail(trouble)
    policies = Policies(resolver, lambda: 1)
    assert isinstance(first := at_once(policies.find(IDENTITY, TRANSACTION)), Finding)
    known = policies.known(IDENTITY.client.packed, IDENTITY.domain)
    assert known in (None, first)
    assert policies.known(b"\x01\x02\x03\x04", IDENTITY.domain) is None
    assert policies.known(IDENTITY.client.packed, "example.net") is None
    del resolver.asked[:]
    if known is None:
        other = IDENTITY._replace(local="ann", helo="other.example", time=1)
        assert isinstance(at_once(policies.find(other, TRANSACTION)), Finding)
    return resolver.asked


@pytest.mark.parametrize(
    "policy", ["v=spf1 -all", "v=spf1 mx -all", "v=spf1 exists:%{i}.%{d}.e.example -all", "v=spf1 nonsense:", "nothing"]
)
def test_a_finding_is_remembered_as_long_as_its_answers_are_good(policy: str) -> None:
    assert remembers(policy) == []
    assert remembers(policy, until_ns=1) != []
    assert remembers(policy, until_ns=0) != []


@pytest.mark.parametrize("letter", "slh")
def test_a_finding_about_one_sender_is_not_remembered_for_others(letter: str) -> None:
    assert remembers(f"v=spf1 exists:%{{{letter}}}.e.example -all") != []


def test_an_explanation_may_be_about_one_sender_as_well() -> None:
    assert remembers("v=spf1 -all exp=why.example") == []
    resolver = MemoryResolver('example.org TXT "v=spf1 -all exp=why.example"\nwhy.example TXT "%{l} and %{t}"')
    resolver.until_ns = 10**18
    policies = Policies(resolver, lambda: 1)
    assert isinstance(finding := at_once(policies.find(IDENTITY, TRANSACTION)), Finding)
    assert finding.explanation == "joe and 0"
    assert policies.known(IDENTITY.client.packed, IDENTITY.domain) is None


def test_trouble_is_not_remembered() -> None:
    assert remembers("v=spf1 mx -all", trouble="mx.example.org") != []
