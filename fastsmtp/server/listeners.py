"""The doors of a worker: sockets that listen, each with whoever talks to those who come in."""

import asyncio
from collections.abc import Callable, Sequence

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.places import UnixAddress
from fastsmtp.errors import StartError
from fastsmtp.server.sockets import BoundSocket, bind, refused

__all__ = ["Listeners"]


class Listeners:
    """All listeners of a worker."""

    def __init__(self, entries: Sequence[ListenerEntry], backlog: int) -> None:
        self._entries = entries
        self._backlog = backlog
        self._bound: list[BoundSocket] = []
        self._servers: list[asyncio.Server] = []

    async def start(self, protocols: Sequence[Callable[[], asyncio.Protocol]]) -> list[BoundSocket]:
        """Listen everywhere or nowhere; who comes in at an entry talks to what its protocol makes. Raises StartError.

        What is given has the ports that were had.
        """
        try:
            for entry in self._entries:
                self._bound.append(bind(entry))
            for bound, protocol in zip(self._bound, protocols, strict=True):
                self._servers.append(await self._listen(bound, protocol))
        except StartError:
            for bound in self._bound:
                bound.close()
            self.stop()
            raise
        return self._bound

    async def _listen(self, bound: BoundSocket, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        is_unix = isinstance(bound.address, UnixAddress)
        create = loop.create_unix_server if is_unix else loop.create_server
        try:
            return await create(protocol, sock=bound.socket, backlog=self._backlog)
        except OSError as error:  # somebody else was faster between bind and listen
            raise refused(bound.address, error) from error

    def stop(self) -> None:
        """Take no new connections; those that are open go on."""
        for server in self._servers:
            server.close()
        for bound in self._bound:
            bound.remove_file()
        self._servers.clear()
        self._bound.clear()
