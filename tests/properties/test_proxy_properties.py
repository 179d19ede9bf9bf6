"""The PROXY header: whatever is written comes out again, at every split, and whatever comes in does no harm."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxy_headers import LOCAL, SIGNATURE, binary, inet, inet6, line, tlv

from fastsmtp.server.endpoints import Endpoints
from fastsmtp.server.proxy.checksum import crc32c
from fastsmtp.server.proxy.header import HEADER_BYTES, ProxyError, ProxyHeader, read_header

PORTS = st.integers(0, 65_535)
V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).map(str)
ENDS = st.one_of(st.tuples(V4, PORTS, V4, PORTS), st.tuples(V6, PORTS, V6, PORTS))
VALUES = st.lists(st.tuples(st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=60)), max_size=5)
STARTS = st.sampled_from(
    [b"", SIGNATURE, SIGNATURE + b"\x21\x11", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ::1 ", LOCAL]
)


def seen(address: str) -> str:
    mapped = getattr(ipaddress.ip_address(address), "ipv4_mapped", None)
    return str(mapped or address)


def expected(version: int, source: str, source_port: int, destination: str, destination_port: int) -> ProxyHeader:
    return ProxyHeader(version, Endpoints(seen(source), source_port, seen(destination), destination_port))


def check(data: bytes, header: ProxyHeader, rest: bytes) -> None:
    for end in range(len(data)):
        assert read_header(data[:end]) is None
    assert read_header(data + rest) == (header, len(data))


@given(ENDS, st.binary(max_size=20))
def test_version_1_comes_out_again(ends: tuple[str, int, str, int], rest: bytes) -> None:
    source, source_port, destination, destination_port = ends
    check(line(source, destination, source_port, destination_port), expected(1, *ends), rest)


@given(ENDS, VALUES, st.booleans(), st.binary(max_size=20))
def test_version_2_comes_out_again(
    ends: tuple[str, int, str, int], values: list[tuple[int, bytes]], has_checksum: bool, rest: bytes
) -> None:
    source, source_port, destination, destination_port = ends
    family, pack = (0x21, inet6) if ":" in source else (0x11, inet)
    addresses = pack(source, destination, source_port, destination_port)
    behind = addresses + b"".join(tlv(kind, value) for kind, value in values)
    data = binary(family, behind)
    if has_checksum:
        empty = binary(family, behind + tlv(3, bytes(4)))
        data = empty[:-4] + crc32c(empty).to_bytes(4, "big")
    check(data, expected(2, *ends), rest)


@given(STARTS, st.binary(max_size=300))
def test_octets_are_a_header_or_none_or_none_yet(start: bytes, rest: bytes) -> None:
    """What was refused stays refused, what was read stays read, and nothing is waited for without end."""
    data = start + rest
    before: object = None
    for end in range(len(data) + 1):
        try:
            now: object = read_header(data[:end])
        except ProxyError as error:
            now = str(error)
        assert before is None or now == before or isinstance(before, str)
        if isinstance(before, str):
            assert isinstance(now, str)
        before = now
    if before is None:
        said = int.from_bytes(data[14:16], "big") + 16 if data.startswith(SIGNATURE) and len(data) >= 16 else 107
        assert len(data) < said <= HEADER_BYTES


@given(ENDS, st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_octet_is_noticed_by_the_checksum(ends: tuple[str, int, str, int], place: int, change: int) -> None:
    source, source_port, destination, destination_port = ends
    family, pack = (0x21, inet6) if ":" in source else (0x11, inet)
    empty = binary(family, pack(source, destination, source_port, destination_port) + tlv(3, bytes(4)))
    data = bytearray(empty[:-4] + crc32c(empty).to_bytes(4, "big"))
    data[16 + place % (len(data) - 16 - 7)] ^= change  # an address or a port
    with pytest.raises(ProxyError, match="wrong checksum"):
        read_header(data)
