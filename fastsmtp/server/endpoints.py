"""Who is at the two ends of a connection, whatever kind of socket it came through."""

import asyncio
from typing import Any, Final, NamedTuple

__all__ = ["Endpoints", "descriptor_of", "endpoints"]

_MAPPED: Final = "::ffff:"
"""How an IPv4 client looks on a socket that takes both families (RFC 4291 section 2.5.5.2)."""


class Endpoints(NamedTuple):
    """Addresses and ports of the client and of ours; the client of a Unix socket has none, we have its path."""

    remote_address: str
    remote_port: int
    local_address: str
    local_port: int


def endpoints(transport: asyncio.BaseTransport) -> Endpoints:
    """The ends of the connection that this transport carries."""
    return Endpoints(*_end(transport.get_extra_info("peername")), *_end(transport.get_extra_info("sockname")))


def descriptor_of(transport: asyncio.BaseTransport) -> int:
    """The file descriptor of its socket; -1 where there is none."""
    socket = transport.get_extra_info("socket")
    descriptor: int = -1 if socket is None else socket.fileno()
    return descriptor


def _end(name: Any) -> tuple[str, int]:
    """What the system says is a tuple, or text or bytes for a Unix socket; nothing when the client is gone already."""
    if isinstance(name, tuple):
        address: str = name[0]
        if address.startswith(_MAPPED) and "." in address:
            address = address.removeprefix(_MAPPED)
        return address, name[1]
    return (name, 0) if isinstance(name, str) else ("", 0)
