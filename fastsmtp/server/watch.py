"""Looks four times a second at what a worker can bear, and makes of it what is shed."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from fastsmtp.config.model import Settings
from fastsmtp.server.overload import SIGNS, Shed
from fastsmtp.server.shared import Shared
from fastsmtp.smtp.counters import shed_cells
from fastsmtp.smtp.load import Load
from fastsmtp.smtp.options import Room
from fastsmtp.smtp.replies import OVERLOADED
from fastsmtp.stats import Stats

__all__ = ["LoadWatch"]

_LOOK_EVERY_S: Final = 0.25
_FULL_MESSAGES: Final = 4
"""The disk is near its end when it has not room for so many messages of the largest size."""
_MEMORY_SHARE: Final = 0.75
"""Of `limits.message_memory`: from there on strangers have to wait; and so much is left when messages are shed."""

_log = logging.getLogger("fastsmtp.server")


class LoadWatch:
    """One per worker. `busy_s` says for how many seconds the store has been busy with what it is writing."""

    def __init__(
        self,
        shared: Shared,
        settings: Settings,
        load: Load,
        room: Room,
        busy_s: Callable[[], float],
        stats: Stats,
    ) -> None:
        self._shared = shared
        self._loop = shared.loop
        self._admission = shared.admission
        self._overload = shared.admission.overload
        self._settings = settings
        self._load = load
        self._room = room
        self._busy_s = busy_s
        self._cells = stats.cells
        overloaded = stats.gauge(
            "fastsmtp_overload",
            "What is shed by a sign of overload: 0 nothing, 1 strangers, 2 transactions too; that of the worst worker.",
            merge="most",
            sign=[sign.name for sign in SIGNS],
        )
        self._signs = {sign.name: stats.cell(overloaded, sign.name) for sign in SIGNS}
        self._memory = stats.cell(
            stats.gauge("fastsmtp_message_memory_bytes", "Memory for messages that are not complete or not stored yet.")
        )
        self._lag = stats.timer(
            stats.histogram("fastsmtp_loop_lag_seconds", "How late the event loop was, four times a second.")
        )
        self._shed = shed_cells(stats, "message")["message"]
        self._due_s = 0.0
        self._was_full = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._due_s = self._loop.time() + _LOOK_EVERY_S
        self._timer = self._loop.call_at(self._due_s, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now_s = self._loop.time()
        lag_s = max(0.0, now_s - self._due_s)
        self._lag.observe(int(lag_s * 1e9))
        self.look(now_s, lag_s)
        self.start()

    def look(self, now_s: float, lag_s: float) -> None:
        """See how things are, `lag_s` seconds late."""
        settings, load = self._settings, self._load
        limits, bounds = settings.limits, settings.overload
        self._cells[self._memory] = load.octets
        values = {
            "lag": lag_s / bounds.lag if bounds.lag else 0.0,
            "store": self._busy_s() / bounds.commit if bounds.commit else 0.0,
            "memory": load.octets / (load.limit * _MEMORY_SHARE),
            "disk": _FULL_MESSAGES * limits.message_size / max(self._room.octets, 1),
            "connections": self._admission.open * 100 / (limits.connections * bounds.connections),
        }
        if self._overload.look(values, now_s):
            self._tell(values)
        load.deferral = OVERLOADED if self._overload.sheds is Shed.TRANSACTIONS else None
        for name, sheds in self._overload.by_sign().items():
            self._cells[self._signs[name]] = sheds
        # Those that came first and move least would otherwise have the memory until they end, and nobody else any.
        is_full = load.octets > load.limit
        if is_full and self._was_full:
            self._relieve()
        self._was_full = is_full
        self._admission.refusals.tell(now_s)

    def _relieve(self) -> None:
        """End those that have held most memory for the longest time, until there is room for others."""
        load, now_ns = self._load, self._shared.clock.monotonic_ns()
        most = load.limit * _MEMORY_SHARE
        holding = [connection for connection in self._shared.open if connection.held_octets]
        holding.sort(key=lambda connection: connection.held_octets * (now_ns - connection.begun_ns), reverse=True)
        ended = 0
        for connection in holding:
            if load.octets <= most:
                break
            connection.shed()
            ended += 1
        if ended:
            self._cells[self._shed] += ended
            _log.warning("memory was needed for other messages", extra={"ended": ended, "held_bytes": load.octets})

    def _tell(self, values: Mapping[str, float]) -> None:
        """Nobody should have to guess why mail is turned away, or since when it is not."""
        overload = self._overload
        if overload.sheds:
            shares = {name: round(value, 3) for name, value in values.items()}
            _log.warning("overloaded", extra={"sheds": overload.sheds.name.lower(), "sign": overload.reason, **shares})
        else:
            _log.info("no longer overloaded")
