import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fastsmtp.config.networks import NOBODY, PRIVATE, V4Bits, V6Bits, network_of, packed_address, parse_networks


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("192.0.2.1", "c0000201"),
        ("2001:db8::1", "20010db8000000000000000000000001"),
        ("::ffff:192.0.2.1", "c0000201"),
        ("fe80::1%eth0", "fe800000000000000000000000000001"),
        ("", ""),
        ("/run/lmtp.sock", ""),
        ("192.0.2", ""),
        ("192.0.2.1\0", ""),
        ("::1::", ""),
    ],
)
def test_packed_address(text: str, packed: str) -> None:
    assert packed_address(text) == bytes.fromhex(packed)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.1", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("::ffff:192.0.2.7", True),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8:1::1", True),
        ("2001:db8:2::1", False),
        ("::1", True),
        ("0.0.0.1", False),  # the same number as ::1
        ("", False),
    ],
)
def test_membership(address: str, inside: bool) -> None:
    networks = parse_networks(["192.0.2.0/24", "198.51.100.7", "2001:db8:1::/48", "::1"])
    assert (packed_address(address) in networks) is inside


def test_no_networks_have_nobody() -> None:
    assert packed_address("192.0.2.1") not in parse_networks([])


def test_clients_on_unix_sockets_are_a_network_of_their_own() -> None:
    networks = parse_networks(["unix", "192.0.2.0/24"])
    assert packed_address("") in networks
    assert packed_address("192.0.2.1") in networks
    assert packed_address("0.0.0.0") not in networks  # noqa: S104 - it is only looked up
    assert packed_address("") not in parse_networks(["0.0.0.0/0", "::/0"])


def test_truth_is_having_anybody() -> None:
    assert [bool(parse_networks(texts)) for texts in ([], ["unix"], ["::1"])] == [False, True, True]


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_like_the_standard_library(address: object, other: object, prefix: int) -> None:
    network = ipaddress.ip_network(f"{other}/{min(prefix, 32 if '.' in str(other) else 128)}", strict=False)
    one = ipaddress.ip_address(str(address))
    if isinstance(one, ipaddress.IPv6Address) and one.ipv4_mapped:
        one = one.ipv4_mapped
    assert (packed_address(str(address)) in parse_networks([str(network)])) is (one in network)


def test_what_is_validated_is_validated_again() -> None:
    once = parse_networks(["192.0.2.0/24"])
    assert parse_networks(once) == once


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (["192.0.2.1/24"], "'192.0.2.1/24' is no network; write \"192.0.2.0/24\""),
        (["example.org"], "'example.org' is no network; write one like"),
        ([7], "7 is no network; write one like"),
        ([""], "'' is no network; write one like"),
        ("192.0.2.0/24", "'192.0.2.0/24' is no list of networks; write one like"),
    ],
)
def test_what_is_no_network_is_named(written: object, sentence: str) -> None:
    with pytest.raises(ValueError, match="is no ") as caught:
        parse_networks(written)
    assert str(caught.value).startswith(sentence)


def test_the_length_of_a_family() -> None:
    assert len(packed_address("127.0.0.1")) == 4
    assert packed_address("::") == bytes(16) == socket.inet_pton(socket.AF_INET6, "::")


@pytest.mark.parametrize(
    ("address", "bits", "network"),
    [
        ("192.0.2.77", (24, 64), "192.0.2.0/24"),
        ("192.0.2.77", (32, 64), "192.0.2.77"),
        ("192.0.2.77", (20, 64), "192.0.0.0/20"),
        ("::ffff:192.0.2.77", (24, 64), "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", (24, 64), "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", (24, 48), "2001:db8:1::/48"),
        ("2001:db8::1", (24, 128), "2001:db8::1"),
        ("fe80::1%eth0", (24, 64), "fe80::/64"),
        ("", (24, 64), ""),
        ("mx.example", (24, 64), ""),
    ],
)
def test_the_network_of_an_address(address: str, bits: tuple[int, int], network: str) -> None:
    assert network_of(address, *bits) == network


def test_whom_networks_cover() -> None:
    some = parse_networks(["192.0.2.0/24", "2001:db8::/32", "unix"])
    covered = ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", ""]
    assert [address for address in (*covered, "192.0.3.1", "::1") if some.covers(address)] == covered
    assert not any(NOBODY.covers(address) for address in covered)


@pytest.mark.parametrize(("kind", "least", "most"), [(V4Bits, 8, 32), (V6Bits, 16, 128)])
def test_how_large_a_network_may_be(kind: Any, least: int, most: int) -> None:
    bits = TypeAdapter(kind)
    assert [bits.validate_python(number) for number in (least, most)] == [least, most]
    for number in (least - 1, most + 1):
        with pytest.raises(ValidationError, match=f"a network has {least} to {most} bits, not {number}"):
            bits.validate_python(number)


def test_private_addresses() -> None:
    private = ["10.0.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "169.254.0.1", "fd00::1", "fe80::1%eth0"]
    public = ["11.0.0.1", "172.32.0.1", "192.0.2.1", "127.0.0.1", "2001:db8::1", "::1", ""]
    assert [address for address in (*private, *public) if PRIVATE.covers(address)] == private
