"""A TCP wire that can be cut: connections to its port are led on to another port, until somebody pulls the plug."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from ports import free_port

__all__ = ["Wire"]

DEADLINE_S: Final = 60.0


class Wire:
    """A context manager. It lives in a thread of its own, so that tests with a loop and without can have it."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire")
        self._led: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._is_silent = False

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def reset(self) -> None:
        """Reset every connection; new ones are led on."""
        self._run(self._reset())

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._run(self._cut())

    def silence(self) -> None:
        """Let nothing through any more, and tell nobody, as a firewall does that has lost its memory."""
        self._is_silent = True

    def mend(self) -> None:
        """Lead on again, with new connections."""
        self._run(self._reset())
        self._is_silent = False
        if self._server is None:
            self._run(self._listen())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", self.port)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _reset(self) -> None:
        for task in self._led:
            task.cancel()
        await asyncio.gather(*self._led, return_exceptions=True)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._led.add(task)
        task.add_done_callback(self._led.discard)
        ends = [writer]
        # A reset, or somebody who is not there, ends the connection, as it does with wires.
        with suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            ends.append(far_writer)
            copies = [
                asyncio.ensure_future(self._copy(*copied)) for copied in ((reader, far_writer), (far_reader, writer))
            ]
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
        for end in ends:
            end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not self._is_silent:
                writer.write(data)
                await writer.drain()
