"""A TCP proxy that keeps every byte of both directions: what a client really sent is known, not guessed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from integration.clients.wire import Delivery, Recording
from integration.server import DEADLINE_S, wait_until

_CHUNK_BYTES: Final = 1 << 16


class Recorder:
    """Listens on `host` and `port`, which are where a client is sent to instead of the server."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.recordings: list[Recording] = []
        self.host = ""
        self.port = 0
        self._server = server
        self._open = 0

    async def start(self) -> asyncio.Server:
        listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.host, self.port = listener.sockets[0].getsockname()
        return listener

    def deliveries(self) -> list[Delivery]:
        """Every transaction of every connection, once all of them are closed."""
        wait_until(lambda: self._open == 0, "the client closes its connections")
        return [delivery for recording in self.recordings for delivery in recording.deliveries()]

    async def _connected(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._open += 1
        recording = Recording()
        self.recordings.append(recording)
        from_server, to_server = await asyncio.open_connection(*self._server)
        try:
            await asyncio.gather(
                _pump(from_client, to_server, recording.client), _pump(from_server, to_client, recording.server)
            )
        finally:
            to_server.close()
            to_client.close()
            self._open -= 1


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    """Hand on what comes until the end; a peer that resets the connection has ended it, too."""
    try:
        while piece := await reader.read(_CHUNK_BYTES):
            kept += piece
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except ConnectionError:
        writer.close()


@contextmanager
def recording(server: tuple[str, int]) -> Iterator[Recorder]:
    """Run a recorder in front of the server, in a thread of its own."""
    recorder = Recorder(server)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        listener = asyncio.run_coroutine_threadsafe(recorder.start(), loop).result(DEADLINE_S)
        yield recorder
        asyncio.run_coroutine_threadsafe(_stop(listener), loop).result(DEADLINE_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)
        loop.close()


async def _stop(listener: asyncio.Server) -> None:
    listener.close()
    await listener.wait_closed()
