"""Ports for programs that cannot choose one themselves and say which: numbers that nobody else comes by.

A port that the kernel has given out and that is let go of again may be somebody else's a moment later, be it only as
the near end of a connection. These lie below those that the kernel gives out, and runs of these tests that go on at the
same time keep out of each other's way: each has a UDP socket at the ports that are its own, for as long as it lives.
"""

import atexit
import os
import socket
from itertools import chain
from pathlib import Path
from typing import Final

__all__ = ["free_port"]

_LOWEST: Final = 20_000
_STEP: Final = 97


def free_port() -> int:
    """A port at which nobody listens, on any address, and which is ours until we end."""
    first_given_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    room = range(_LOWEST, max(first_given_out, _LOWEST + 1_000))
    first = os.getpid() * _STEP % len(room)
    for port in chain(room[first:], room[:first]):
        if _claim(port) and _is_unused(port):
            return port
    raise OSError("there is no port left for a test")


def _claim(port: int) -> bool:
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    atexit.register(claim.close)
    return True


def _is_unused(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - nobody can connect, it does not listen
        except OSError:
            return False
    return True
