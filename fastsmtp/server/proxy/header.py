"""The header of the PROXY protocol, versions 1 and 2, out of the first octets of a connection.

The protocol is HAProxy's, doc/proxy-protocol.txt of its sources, whose sections are cited here.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final, NamedTuple

from fastsmtp.config.places import PORT_MAX
from fastsmtp.server.endpoints import Endpoints
from fastsmtp.server.proxy.checksum import crc32c

__all__ = ["HEADER_BYTES", "LINE_BYTES", "ProxyError", "ProxyHeader", "read_header"]

LINE_BYTES: Final = 107
"""The longest line of version 1, CRLF included (section 2.1)."""

HEADER_BYTES: Final = 16_384
"""The longest header of version 2 that is read: room for the certificate that some proxies pass on."""

_LINE: Final = b"PROXY "
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = Struct("!12sBBH")  # signature, version and command, family and protocol, length of the rest
_VERSION: Final = 2
_LOCAL, _PROXY = 0, 1
_UNSPEC, _INET, _INET6, _UNIX = range(4)
_STREAM, _DGRAM = 1, 2
_ADDRESSES: Final = {_INET: Struct("!4s4sHH"), _INET6: Struct("!16s16sHH"), _UNIX: Struct("!108s108s")}
_TLV: Final = Struct("!BH")
_CRC32C: Final = 3
_CRC: Final = Struct("!I")

_PORT = rb"(0|[1-9][0-9]{0,4})"
_match_line = re.compile(
    rb"PROXY (?:UNKNOWN(?: .*)?|TCP(?:4 ([0-9.]+) ([0-9.]+)|6 ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+)) "
    + _PORT + rb" " + _PORT + rb")\r\n\Z",
    re.DOTALL,
).match  # fmt: skip


class ProxyError(ValueError):
    """Whoever is there does not speak the PROXY protocol; the text says where it fails, for the log."""


class ProxyHeader(NamedTuple):
    """What a header says; `ends` is None where the proxy speaks for itself, or does not know: then the real ones hold.

    Whatever the version, the ends of a client on a Unix socket are empty.
    """

    version: int
    ends: Endpoints | None


def read_header(data: bytes | bytearray) -> tuple[ProxyHeader, int] | None:
    """The header that stands in front of `data`, and its length in octets; None while it is not complete.

    Raises ProxyError as soon as it cannot become one any more.
    """
    if data.startswith(_SIGNATURE):
        return _read_binary(data)
    if data.startswith(_LINE):
        return _read_line(data)
    if _SIGNATURE.startswith(data) or _LINE.startswith(data):
        return None
    raise ProxyError("no PROXY header")


def _read_line(data: bytes | bytearray) -> tuple[ProxyHeader, int] | None:
    """Version 1 (section 2.1)."""
    end = data.find(b"\n", 0, LINE_BYTES) + 1
    if not end:
        if len(data) >= LINE_BYTES:
            raise ProxyError("version 1: the line is too long")
        return None
    found = _match_line(bytes(data[:end]))
    if found is None:
        raise ProxyError("version 1: malformed line")
    source, destination, source6, destination6, source_port, destination_port = found.groups()
    if source_port is None:
        return ProxyHeader(1, None), end
    try:
        ends = (
            Endpoints(_address4(source), _port(source_port), _address4(destination), _port(destination_port))
            if source
            else Endpoints(_address6(source6), _port(source_port), _address6(destination6), _port(destination_port))
        )
    except ValueError as error:
        raise ProxyError("version 1: not an address or not a port") from error
    return ProxyHeader(1, ends), end


def _address4(word: bytes) -> str:
    return str(IPv4Address(word.decode()))


def _address6(word: bytes) -> str:
    return _plain(IPv6Address(word.decode()))


def _plain(address: IPv6Address) -> str:
    """An IPv4 client of a proxy that listens for both families is that client."""
    return str(address.ipv4_mapped or address)


def _port(word: bytes) -> int:
    if (port := int(word)) > PORT_MAX:
        raise ValueError(f"{port} is no port")
    return port


def _read_binary(data: bytes | bytearray) -> tuple[ProxyHeader, int] | None:
    """Version 2 (section 2.2)."""
    if len(data) > len(_SIGNATURE) and data[len(_SIGNATURE)] >> 4 != _VERSION:
        raise ProxyError("version 2: the signature belongs to another version")
    if len(data) < _FIXED.size:
        return None
    _, version_command, family_protocol, length = _FIXED.unpack_from(data)
    end = _FIXED.size + length
    if end > HEADER_BYTES:
        raise ProxyError("version 2: the header is too long")
    command = version_command & 0xF
    if command not in (_LOCAL, _PROXY):
        raise ProxyError("version 2: unknown command")
    family, protocol = family_protocol >> 4, family_protocol & 0xF
    if command == _PROXY and (family > _UNIX or protocol > _DGRAM):
        raise ProxyError("version 2: unknown family or protocol")
    if len(data) < end:
        return None
    # A health check, or something that the proxy has no address of: whatever else stands there is ignored.
    if command == _LOCAL or family == _UNSPEC:
        return ProxyHeader(2, None), end
    return ProxyHeader(2, _binary_ends(bytes(data[:end]), family, protocol)), end


def _binary_ends(header: bytes, family: int, protocol: int) -> Endpoints | None:
    addresses = _ADDRESSES[family]
    rest = _FIXED.size + addresses.size
    if len(header) < rest:
        raise ProxyError("version 2: too short for its addresses")
    _check_values(header, rest)
    if protocol != _STREAM:
        return None  # no mail comes by datagrams
    if family == _UNIX:
        return Endpoints("", 0, "", 0)
    source, destination, source_port, destination_port = addresses.unpack_from(header, _FIXED.size)
    return Endpoints(_binary_address(source), source_port, _binary_address(destination), destination_port)


def _binary_address(packed: bytes) -> str:
    return str(IPv4Address(packed)) if len(packed) == 4 else _plain(IPv6Address(packed))


def _check_values(header: bytes, offset: int) -> None:
    """Walk through what follows the addresses; only the checksum matters (section 2.2.3)."""
    while offset < len(header):
        if offset + _TLV.size > len(header):
            raise ProxyError("version 2: malformed TLV")
        kind, length = _TLV.unpack_from(header, offset)
        offset += _TLV.size
        if offset + length > len(header):
            raise ProxyError("version 2: malformed TLV")
        if kind == _CRC32C:
            if length != _CRC.size:
                raise ProxyError("version 2: malformed checksum")
            zeroed = header[:offset] + bytes(length) + header[offset + length :]
            if _CRC.unpack_from(header, offset)[0] != crc32c(zeroed):
                raise ProxyError("version 2: wrong checksum")
        offset += length
