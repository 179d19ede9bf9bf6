"""Both ends of a connection out of whatever the event loop calls them."""

import asyncio
import socket
from typing import Any

import pytest

from fastsmtp.server.endpoints import descriptor_of, endpoints


@pytest.mark.parametrize(
    ("peer", "own", "expected"),
    [
        (("192.0.2.1", 4711), ("192.0.2.2", 25), ("192.0.2.1", 4711, "192.0.2.2", 25)),
        (("2001:db8::1", 4711, 0, 0), ("2001:db8::2", 25, 0, 0), ("2001:db8::1", 4711, "2001:db8::2", 25)),
        # IPv4 on a socket for both families: one client shall not have two addresses
        (("::ffff:192.0.2.1", 4711, 0, 0), ("::ffff:192.0.2.2", 25, 0, 0), ("192.0.2.1", 4711, "192.0.2.2", 25)),
        (("::ffff:1", 1, 0, 0), ("::", 2, 0, 0), ("::ffff:1", 1, "::", 2)),
        ("", "/run/smtp.sock", ("", 0, "/run/smtp.sock", 0)),
        # gone again before anybody asked
        (None, ("192.0.2.2", 25), ("", 0, "192.0.2.2", 25)),
        (None, None, ("", 0, "", 0)),
    ],
)
def test_both_ends(peer: Any, own: Any, expected: tuple[str, int, str, int]) -> None:
    assert endpoints(asyncio.BaseTransport({"peername": peer, "sockname": own})) == expected


def test_the_descriptor() -> None:
    with socket.socket() as made:
        assert descriptor_of(asyncio.BaseTransport({"socket": made})) == made.fileno()
    assert descriptor_of(asyncio.BaseTransport({})) == -1
