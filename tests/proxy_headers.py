"""PROXY headers as proxies write them, put together by the text of the protocol, not with the code that reads them."""

import socket
import struct

__all__ = ["LOCAL", "SIGNATURE", "binary", "inet", "inet6", "line", "tlv", "unix"]

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"


def line(source: str, destination: str, source_port: int = 4711, destination_port: int = 25) -> bytes:
    """Version 1."""
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def binary(
    family_protocol: int, rest: bytes, *, command: int = 1, version: int = 2, length: int | None = None
) -> bytes:
    """Version 2, with whatever stands behind the fixed part."""
    said = len(rest) if length is None else length
    return SIGNATURE + struct.pack("!BBH", version << 4 | command, family_protocol, said) + rest


def inet(source: str, destination: str, source_port: int = 4711, destination_port: int = 25) -> bytes:
    """The addresses of a TCP connection over IPv4."""
    packed = socket.inet_pton(socket.AF_INET, source) + socket.inet_pton(socket.AF_INET, destination)
    return packed + struct.pack("!HH", source_port, destination_port)


def inet6(source: str, destination: str, source_port: int = 4711, destination_port: int = 25) -> bytes:
    """The same over IPv6."""
    packed = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    return packed + struct.pack("!HH", source_port, destination_port)


def unix(source: bytes, destination: bytes) -> bytes:
    """The addresses of a connection over a Unix socket."""
    return source.ljust(108, b"\0") + destination.ljust(108, b"\0")


def tlv(kind: int, value: bytes) -> bytes:
    """One value behind the addresses."""
    return struct.pack("!BH", kind, len(value)) + value


LOCAL = binary(0, b"", command=0)
"""What a proxy says when the connection is its own."""
