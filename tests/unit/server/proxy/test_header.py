"""The PROXY header, in both versions: what is one, what is not, and what is not one yet."""

import pytest
from proxy_headers import LOCAL, SIGNATURE, binary, inet, inet6, line, tlv, unix

from fastsmtp.server.endpoints import Endpoints
from fastsmtp.server.proxy.checksum import crc32c
from fastsmtp.server.proxy.header import HEADER_BYTES, ProxyError, ProxyHeader, read_header

V4 = inet("198.51.100.7", "192.0.2.25")
V6 = inet6("2001:db8::7", "2001:db8::25")


def checked(rest: bytes) -> bytes:
    """A header with a checksum at its end."""
    empty = binary(0x11, rest + tlv(3, bytes(4)))
    return empty[:-4] + crc32c(empty).to_bytes(4, "big")


CLIENT = Endpoints("198.51.100.7", 4711, "192.0.2.25", 25)
LONGEST = ":".join(["ffff"] * 8)
MAPPED = "::ffff:198.51.100.7"  # an IPv4 client of a proxy that listens for both families

HEADERS = [
    (line("198.51.100.7", "192.0.2.25"), ProxyHeader(1, CLIENT)),
    (line("2001:DB8::7", "2001:db8:0:0::25"), ProxyHeader(1, Endpoints("2001:db8::7", 4711, "2001:db8::25", 25))),
    (line(MAPPED, "::1", 0, 65_535), ProxyHeader(1, Endpoints("198.51.100.7", 0, "::1", 65_535))),
    (line(LONGEST, LONGEST, 65_535, 65_535), ProxyHeader(1, Endpoints(LONGEST, 65_535, LONGEST, 65_535))),
    (b"PROXY UNKNOWN\r\n", ProxyHeader(1, None)),
    (b"PROXY UNKNOWN ffff::1 anything \xff 65535\r\n", ProxyHeader(1, None)),
    (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", ProxyHeader(1, None)),
    (binary(0x11, V4), ProxyHeader(2, CLIENT)),
    (binary(0x21, V6), ProxyHeader(2, Endpoints("2001:db8::7", 4711, "2001:db8::25", 25))),
    (binary(0x21, inet6(MAPPED, "::ffff:192.0.2.25")), ProxyHeader(2, CLIENT)),
    (binary(0x31, unix(b"/run/client", b"/run/proxy")), ProxyHeader(2, Endpoints("", 0, "", 0))),
    (binary(0x11, V4 + tlv(1, b"smtp") + tlv(4, b"") + tlv(0x20, bytes(40)) + tlv(0xFF, b"?")), ProxyHeader(2, CLIENT)),
    (binary(0x11, V4 + tlv(4, bytes(HEADER_BYTES - 16 - 12 - 3))), ProxyHeader(2, CLIENT)),
    (checked(V4 + tlv(5, b"unique")), ProxyHeader(2, CLIENT)),
    # the connection is the proxy's own, whatever else is said
    (LOCAL, ProxyHeader(2, None)),
    (binary(0x11, V4, command=0), ProxyHeader(2, None)),
    (binary(0xFF, b"\xff" * 7, command=0), ProxyHeader(2, None)),
    # there is no address
    (binary(0x00, b""), ProxyHeader(2, None)),
    (binary(0x01, b"whatever"), ProxyHeader(2, None)),
    (binary(0x12, V4), ProxyHeader(2, None)),
    (binary(0x10, V4), ProxyHeader(2, None)),
]

BROKEN_LINES = [
    b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\r\n",
    b"PROXY  TCP4 198.51.100.7 192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 198.51.100.7  192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25 \r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.25 4711\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25 1\r\n",
    b"PROXY TCP4 198.51.100.07 192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 198.51.100 192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 198.51.100.256 192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.25 04711 25\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.25 65536 25\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 -1\r\n",
    "PROXY TCP4 198.51.100.7 192.0.2.25 ٤٧١١ 25\r\n".encode(),
    b"PROXY TCP4 2001:db8::7 2001:db8::25 4711 25\r\n",
    b"PROXY TCP6 198.51.100.7 192.0.2.25 4711 25\r\n",
    b"PROXY TCP6 2001:db8::7%eth0 2001:db8::25 4711 25\r\n",
    b"PROXY TCP6 2001:db8::7::1 2001:db8::25 4711 25\r\n",
    b"PROXY tcp4 198.51.100.7 192.0.2.25 4711 25\r\n",
    b"PROXY UDP4 198.51.100.7 192.0.2.25 4711 25\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNKNOWN\n",
    b"PROXY \r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY TCP4 " + b"1" * 200,
]

BROKEN_HEADERS = [
    binary(0x11, V4, version=1),
    binary(0x11, V4, version=3),
    binary(0x11, V4, command=2),
    binary(0x11, V4, command=15),
    binary(0x13, V4),
    binary(0x41, V4),
    binary(0x11, V4[:-1]),
    binary(0x21, V4),
    binary(0x31, unix(b"a", b"b")[:-1]),
    binary(0x11, V4, length=HEADER_BYTES - 15),
    binary(0x11, V4 + b"\x04"),
    binary(0x11, V4 + b"\x04\x00"),
    binary(0x11, V4 + b"\x04\x00\x01"),
    binary(0x11, V4 + b"\x04\xff\xff" + bytes(100)),
    binary(0x11, V4 + tlv(3, bytes(3))),
    binary(0x11, V4 + tlv(3, bytes(4))),
    checked(V4)[:-1] + bytes([checked(V4)[-1] ^ 1]),
    checked(V4)[:17] + b"\x00" + checked(V4)[18:],
]

NO_HEADERS = [
    b"EHLO client.example\r\n",
    b"PROXYING",
    b"proxy TCP4 ",
    b"\r\nEHLO",
    b"\r\n\r\n\x00\r\nQUIT\r",
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/1.1\r\n",
    b" PROXY UNKNOWN\r\n",
    b"\x00",
]


@pytest.mark.parametrize(("data", "header"), HEADERS)
def test_a_header_is_known_with_its_last_octet(data: bytes, header: ProxyHeader) -> None:
    for end in range(len(data)):
        assert read_header(data[:end]) is None
    for rest in (b"", b"EHLO client.example\r\n", b"\x16\x03", SIGNATURE, b"PROXY UNKNOWN\r\n", b"\n"):
        assert read_header(data + rest) == (header, len(data))
        assert read_header(bytearray(data + rest)) == (header, len(data))


@pytest.mark.parametrize("data", BROKEN_LINES + BROKEN_HEADERS + NO_HEADERS)
def test_what_is_none_is_refused_and_stays_refused(data: bytes) -> None:
    refused = False
    for end in range(len(data) + 1):
        try:
            assert read_header(data[:end]) is None
        except ProxyError:
            refused = True
        else:
            assert not refused
    assert refused


def test_another_protocol_is_refused_with_the_first_octet_that_differs() -> None:
    assert read_header(b"PROX") is None
    for data in (b"E", b"PROXI", b"\r\n\r\n\x01", b"\x16"):
        with pytest.raises(ProxyError, match="no PROXY header"):
            read_header(data)


def test_nothing_yet() -> None:
    assert read_header(b"") is None
