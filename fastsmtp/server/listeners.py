"""The doors of a worker: sockets that it inherited, each with whoever talks to those who come in."""

import asyncio
import socket
from collections.abc import Callable, Sequence

from fastsmtp.errors import StartError

__all__ = ["Listeners"]

MakeProtocol = Callable[[], asyncio.Protocol]


class Listeners:
    """All listeners of a worker; who comes in at one talks to what its protocol makes."""

    def __init__(self, protocols: Sequence[MakeProtocol], backlog: int) -> None:
        self._protocols = protocols
        self._backlog = backlog
        self._servers: list[asyncio.Server] = []
        self._adopted: dict[int, list[asyncio.Server]] = {}
        self._is_closed = False

    async def start(self, sockets: Sequence[Sequence[int]]) -> None:
        """Listen at these descriptors, those of each listener in turn. Raises StartError."""
        for listener, descriptors in enumerate(sockets):
            for descriptor in descriptors:
                self._servers.append(await self._listen(listener, descriptor))
        if self._is_closed:
            self.stop()

    async def adopt(self, slot: int, listener: int, descriptor: int) -> None:
        """Listen at a descriptor of another slot, too. Raises StartError."""
        server = await self._listen(listener, descriptor)
        self._adopted.setdefault(slot, []).append(server)
        if self._is_closed:
            self.give_back(slot)

    def give_back(self, slot: int) -> None:
        """Somebody else listens there again."""
        for server in self._adopted.pop(slot, []):
            server.close()

    async def _listen(self, listener: int, descriptor: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        inherited = socket.socket(fileno=descriptor)
        create = loop.create_unix_server if inherited.family == socket.AF_UNIX else loop.create_server
        try:
            return await create(self._protocols[listener], sock=inherited, backlog=self._backlog)
        except OSError as error:  # somebody else was faster between bind and listen
            where = inherited.getsockname()
            inherited.close()
            raise StartError(f"cannot listen on {where}: {error.strerror}; end what is there") from error

    def stop(self) -> None:
        """Take no new connections; those that are open go on."""
        self._is_closed = True
        for server in self._servers:
            server.close()
        self._servers.clear()
        for slot in list(self._adopted):
            self.give_back(slot)
