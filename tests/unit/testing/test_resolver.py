"""The DNS in memory."""

import asyncio
from ipaddress import ip_address

import pytest

from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, Lookup, MailExchanger, Resolver
from fastsmtp.testing import MemoryResolver

ZONE = """
example.test      MX    20 mx2.example.test.
example.test      MX    10 MX1.example.test.
example.test      TXT   "v=spf1" " -all"
mx1.example.test  A     192.0.2.1
mx1.example.test  AAAA  2001:db8::1
www.example.test  CNAME mx1.example.test.
a.loop.test       CNAME b.loop.test
b.loop.test       CNAME a.loop.test
*.wild.test       A     192.0.2.9
1.2.0.192.in-addr.arpa PTR Mx1.Example.test.
nomail.test       MX    0 .
"""


def test_records() -> None:
    resolver: Resolver = MemoryResolver(ZONE)
    four, six = ip_address("192.0.2.1"), ip_address("2001:db8::1")
    assert resolver.addresses("MX1.example.test.") == DnsAnswer((four, six))
    assert resolver.addresses("mx1.example.test", version=4) == DnsAnswer((four,))
    assert resolver.addresses("www.example.test", version=6) == DnsAnswer((six,))
    assert resolver.mx("example.test") == DnsAnswer(
        (MailExchanger(10, "mx1.example.test"), MailExchanger(20, "mx2.example.test"))
    )
    assert resolver.mx("nomail.test") == DnsAnswer((MailExchanger(0, ""),))
    assert resolver.txt("example.test") == DnsAnswer(("v=spf1 -all",))
    assert resolver.reverse("192.0.2.1") == DnsAnswer(("mx1.example.test",))
    assert resolver.addresses("any.wild.test") == DnsAnswer((ip_address("192.0.2.9"),))


def test_no_such_name_and_no_such_record() -> None:
    resolver = MemoryResolver(ZONE)
    assert resolver.mx("mx1.example.test") == DnsAnswer()
    assert resolver.mx("test") == DnsAnswer()
    assert resolver.mx("example.net") == DnsAnswer(exists=False)
    assert resolver.mx("a..example.test") == DnsAnswer(exists=False)
    assert resolver.asked == [("MX", "mx1.example.test"), ("MX", "test"), ("MX", "example.net")]


def test_trouble() -> None:
    resolver = MemoryResolver(ZONE)
    resolver.fail("example.test", error="server failure")
    with pytest.raises(DnsError, match="server failure"):
        resolver.mx("example.test")
    with pytest.raises(DnsError, match="loop"):
        resolver.addresses("a.loop.test")
    assert resolver.txt("mx1.example.test") == DnsAnswer()
    resolver.fail()
    with pytest.raises(DnsError, match="timeout"):
        resolver.txt("mx1.example.test")
    with pytest.raises(ValueError, match="address"):
        resolver.reverse("localhost")


async def wait(lookup: Lookup[MailExchanger]) -> DnsAnswer[MailExchanger]:
    assert isinstance(lookup, asyncio.Future)
    return await lookup


def test_waiting() -> None:
    async def run() -> None:
        resolver = MemoryResolver(ZONE)
        resolver.is_remembered = False
        assert (await wait(resolver.mx("nomail.test"))).records == (MailExchanger(0, ""),)
        resolver.is_remembered = True
        assert (await resolver.mx("nomail.test")).records == (MailExchanger(0, ""),)
        resolver.delay(0.001, "nomail.test")
        assert (await wait(resolver.mx("nomail.test"))).exists
        resolver.fail("nomail.test")
        with pytest.raises(DnsError):
            await wait(resolver.mx("nomail.test"))
        resolver.hold("example.test")
        lookup = resolver.mx("example.test")
        await asyncio.sleep(0)
        assert isinstance(lookup, asyncio.Future)
        assert not lookup.done()

    asyncio.run(run())
