"""Sockets that systemd has made, listens on for us, and gives us at the start (sd_listen_fds(3))."""

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastsmtp.config.places import Door, ListenAddress, UnixAddress
from fastsmtp.errors import StartError

__all__ = ["ActivatedSocket", "activated_sockets"]

_FIRST: Final = 3


@dataclass(frozen=True, slots=True)
class ActivatedSocket:
    """One of them; `name` is what `FileDescriptorName=` says, else the name of the socket unit."""

    socket: socket.socket
    name: str

    @property
    def address(self) -> Door:
        """Where it listens."""
        name = self.socket.getsockname()
        if self.socket.family == socket.AF_UNIX:
            return UnixAddress(Path(os.fsdecode(name)))
        return ListenAddress(*name[:2])

    @property
    def also_ipv4(self) -> ListenAddress | None:
        """The IPv4 address that it listens on besides, as a socket of both families; else None."""
        if self.socket.family != socket.AF_INET6 or self.socket.getsockname()[0] != "::":
            return None
        is_alone = self.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        return None if is_alone else ListenAddress("0.0.0.0", self.socket.getsockname()[1])  # noqa: S104 - it is so


def activated_sockets(environment: MutableMapping[str, str], first: int = _FIRST) -> list[ActivatedSocket]:
    """What systemd gave to this process; said in the environment, from which it is taken away. Raises StartError.

    `first` is the number of the first descriptor.
    """
    is_ours = environment.pop("LISTEN_PID", "") == str(os.getpid())
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if not is_ours or not count.isdecimal():
        return []
    names += [""] * int(count)
    return [_take(descriptor, names[number]) for number, descriptor in enumerate(range(first, first + int(count)))]


def _take(descriptor: int, name: str) -> ActivatedSocket:
    try:
        os.set_inheritable(descriptor, False)
        given = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(f"descriptor {descriptor} of $LISTEN_FDS is no socket: {error.strerror}") from error
    if given.type != socket.SOCK_STREAM or not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        given.close()
        raise StartError(f"the socket {name or descriptor} of $LISTEN_FDS does not listen; use ListenStream= for it")
    given.setblocking(False)
    return ActivatedSocket(given, name)
