"""Sockets that listen."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError
from fastsmtp.server.connection import ConnectionProtocol

__all__ = ["Listeners", "bind"]


def bind(address: ListenAddress) -> socket.socket:
    """A bound TCP socket. Raises StartError saying which address and why not."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # 0.0.0.0 has its own socket
        bound.setblocking(False)
        bound.bind(where)
    except OSError as error:
        bound.close()
        reason = os.strerror(error.errno or 0)
        raise StartError(f"cannot listen on {address}: {reason}; change [listen] smtp, or end what is there") from error
    return bound


class Listeners:
    """All SMTP listeners of a worker."""

    def __init__(self, addresses: Sequence[ListenAddress], backlog: int) -> None:
        self._addresses = addresses
        self._backlog = backlog
        self._servers: list[asyncio.Server] = []

    async def start(self, protocol: Callable[[], ConnectionProtocol]) -> list[tuple[str, int]]:
        """Listen everywhere or nowhere; gives the addresses with the ports that were had. Raises StartError."""
        sockets: list[socket.socket] = []
        try:
            for address in self._addresses:
                sockets.append(bind(address))  # noqa: PERF401 - those bound so far must be closed when one fails
        except StartError:
            for bound in sockets:
                bound.close()
            raise
        loop = asyncio.get_running_loop()
        for bound in sockets:
            self._servers.append(await loop.create_server(protocol, sock=bound, backlog=self._backlog))
        return [bound.getsockname()[:2] for bound in sockets]

    def stop(self) -> None:
        """Take no new connections; those that are open go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()
