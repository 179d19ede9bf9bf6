"""The most specific network decides."""

import ipaddress
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.lists.networks import Network, NetworkMap, parse_network

Version: TypeAlias = type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]

NETWORKS = NetworkMap(
    (parse_network(text), text)
    for text in ("192.0.2.0/24", "192.0.2.128/25", "192.0.2.200", "0.0.0.0/0", "2001:db8::/32", "2001:db8:1::/48")
)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("192.0.2.129", "192.0.2.128/25"),
        ("192.0.2.200", "192.0.2.200"),
        ("::ffff:192.0.2.200", "192.0.2.200"),
        ("203.0.113.1", "0.0.0.0/0"),
        ("2001:db8:2::1", "2001:db8::/32"),
        ("2001:db8:1::1", "2001:db8:1::/48"),
        ("2001:db9::1", None),
        ("", None),
        ("/run/lmtp.sock", None),
    ],
)
def test_find(address: str, found: str | None) -> None:
    assert NETWORKS.find(address) == found


def test_nothing_in_it() -> None:
    assert NetworkMap[str]().find("192.0.2.1") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("192.0.2.1/24", "'192.0.2.1/24' is no network, but an address in one; write \"192.0.2.0/24\""),
        ("192.0.2", "'192.0.2' is no network; write one like"),
        ("", "'' is no network"),
    ],
)
def test_what_is_no_network(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_network(text)


def networks(version: Version, bits: int) -> st.SearchStrategy[Network]:
    # Few different leading bits, so that networks lie in each other.
    numbers = st.integers(0, 15).map(lambda number: number << (bits - 4)) | st.integers(0, 2**bits - 1)
    return st.builds(
        lambda number, prefix: ipaddress.ip_network((version(number), prefix), strict=False),
        numbers,
        st.integers(0, bits),
    )


@pytest.mark.parametrize(("version", "bits"), [(ipaddress.IPv4Address, 32), (ipaddress.IPv6Address, 128)])
def test_the_same_as_looking_at_each(version: Version, bits: int) -> None:
    @given(st.lists(networks(version, bits), max_size=20), st.integers(0, 15), st.integers(0, 2**16 - 1))
    def check(entries: list[Network], head: int, tail: int) -> None:
        address = version(head << (bits - 4) | tail)
        found = NetworkMap((entry, str(entry)) for entry in entries).find(str(address))
        if version is ipaddress.IPv6Address and getattr(address, "ipv4_mapped", None):
            return
        fitting = [entry for entry in entries if address in entry]
        assert found == (str(max(fitting, key=lambda entry: entry.prefixlen)) if fitting else None)

    check()
