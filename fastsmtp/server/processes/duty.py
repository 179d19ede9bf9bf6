"""What a worker does between its start and its end, on the word of the supervisor."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import uvloop

from fastsmtp import _process
from fastsmtp.errors import StartError
from fastsmtp.log import LineLog, LogHandler, open_log
from fastsmtp.server.clients import client_table
from fastsmtp.server.processes.block import SharedBlock
from fastsmtp.server.processes.control import Line
from fastsmtp.server.processes.handover import Handover
from fastsmtp.server.server import Server
from fastsmtp.server.tls.contexts import ignore_bad_names
from fastsmtp.state.host import bucket_table
from fastsmtp.stats import Stats

__all__ = ["serve"]

_BEAT_S: Final = 0.25

_log = logging.getLogger("fastsmtp.server")


def serve(handover: Handover, line: socket.socket) -> int:
    """Load everything, wait for the word, serve, drain; gives the exit code. Raises ConfigurationError, StartError."""
    _process.set_name(b"fastsmtp-%d" % handover.slot)
    ignore_bad_names()
    uvloop.run(_serve(handover, line))
    return 0


async def _serve(handover: Handover, line: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    settings = handover.settings
    log = open_log(settings.log, loop)
    with contextlib.closing(log), LogHandler(log).installed(settings.log.level):
        block = SharedBlock(handover.cells, handover.names)
        clients = client_table(handover.clients, handover.seat)
        os.close(handover.clients)
        buckets = bucket_table(handover.buckets)
        os.close(handover.buckets)
        server = Server(settings, log, Stats(block), clients, buckets, handover.seat)
        duty = _Duty(server, log, line)
        try:
            await duty.do(handover, block)
        finally:
            duty.close()


class _Duty:
    """Hears the supervisor, and tells it how the worker is."""

    def __init__(self, server: Server, log: LineLog, line: socket.socket) -> None:
        self._server = server
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._go = asyncio.Event()
        self._end = asyncio.Event()
        self._hurry = asyncio.Event()
        self._drain_s = self._grace_s = 0.0
        self._told = ("", "")
        self._adoptions: set[asyncio.Task[None]] = set()
        self._beat_timer: asyncio.TimerHandle | None = None
        self._line = Line(line, self._hear, _orphaned)
        # Who sends this to a worker wants it to be replaced.
        self._loop.add_signal_handler(signal.SIGTERM, self._end.set)

    async def do(self, handover: Handover, block: SharedBlock) -> None:
        """All of it."""
        self._drain_s = handover.settings.timeouts.drain
        self._line.say({"event": "loaded"})
        await self._go.wait()
        await self._server.start(handover.sockets, sweeps=handover.slot == 0)
        self._beat(block)
        self._line.say({"event": "serving"})
        gc.freeze()  # what is there now stays: no collection needs to walk over it again
        gc.enable()
        await self._end.wait()
        stopping = self._loop.create_task(self._server.stop(self._drain_s, self._grace_s))
        hurry = self._loop.create_task(self._hurry.wait())
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not stopping.done():
            self._server.abort()
        await stopping
        self._line.say({"event": "closed", "in_order": not self._server.disk_has_failed})

    def close(self) -> None:
        """Beat no more."""
        if self._beat_timer is not None:
            self._beat_timer.cancel()

    def _hear(self, message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        match message["do"]:
            case "go":
                self._go.set()
            case "close_doors":
                self._server.close_doors()
                self._line.say({"event": "deaf"})
            case "drain":
                self._drain_s, self._grace_s = message["within_s"], message["grace_s"]
                self._end.set()
            case "hurry":
                self._hurry.set()
            case "reopen":
                self._log.reopen()
            case "adopt":
                self._adoptions.add(
                    adoption := self._loop.create_task(self._adopt(message["slot"], message["listener"], *descriptors))
                )
                adoption.add_done_callback(self._adoptions.discard)
            case "give_back":
                self._server.give_back(message["slot"])

    async def _adopt(self, slot: int, listener: int, descriptor: int) -> None:
        try:
            await self._server.adopt(slot, listener, descriptor)
        except StartError as error:
            _log.error("cannot take the connections of worker %d: %s", slot, error)

    def _beat(self, block: SharedBlock) -> None:
        """The loop turns; and the supervisor hears of what has changed for better or worse."""
        block.beat(time.monotonic_ns())
        told = (self._server.ailment, self._server.weakness)
        if told != self._told:
            self._told = told
            ailment, weakness = told
            failed = self._server.disk_has_failed
            self._line.say({"event": "health", "ailment": ailment, "weakness": weakness, "disk_has_failed": failed})
        self._beat_timer = self._loop.call_later(_BEAT_S, self._beat, block)


def _orphaned() -> None:
    """The supervisor is gone. The kernel kills us for that; should it not, this is the same."""
    os._exit(1)
