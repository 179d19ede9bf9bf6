"""What all connections of a worker share, whichever listener they came through."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from fastsmtp.log.line_log import LineLog
from fastsmtp.ports import Clock
from fastsmtp.records.writer import RecordWriter
from fastsmtp.server.admission import Admission
from fastsmtp.server.deadlines import Expires
from fastsmtp.server.pace import COMMAND_TIME, CONNECTION_TIME, DATA_RATE, IDLE_TIME
from fastsmtp.server.refusals import Sample
from fastsmtp.server.round import AtOnce, Round
from fastsmtp.server.turns import Turns
from fastsmtp.smtp.counters import ReplyCounter, limit_cells
from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.transaction import TRANSACTION_OUTCOMES
from fastsmtp.stats import Histogram, Stats

__all__ = ["READING_TIME", "ConnectionStats", "ListenerStats", "OpenConnection", "Shared"]


READING_TIME: Final = "reading_time"
_TIME_LIMITS: Final = (*(limit.name for limit in (COMMAND_TIME, DATA_RATE, IDLE_TIME, CONNECTION_TIME)), READING_TIME)


class OpenConnection(Expires, Protocol):
    """A connection as the worker sees it."""

    def drain(self, *, finishing: bool = False) -> None:
        """Finish the message that is arriving, if there is one, then say 421 and close.

        With `finishing` a transaction that has begun is finished, too.
        """
        ...

    def cut(self) -> None:
        """Say 421 now, in the middle of whatever it is, and close."""
        ...

    def abort(self) -> None:
        """Close without a word."""
        ...

    @property
    def held_octets(self) -> int:
        """Octets in memory that `shed` lets go: of a message that is arriving, or the input of who does not read."""
        ...

    @property
    def begun_ns(self) -> int:
        """When its transaction began, on the monotonic clock."""
        ...

    def shed(self) -> None:
        """Hold no more: refuse, at its end, the message that is arriving, or close on who does not read."""
        ...


class ConnectionStats:
    """The cells that connections count in."""

    def __init__(self, stats: Stats, asks: frozenset[Stage]) -> None:
        self._stats = stats
        self.cells = stats.cells
        self.replies = ReplyCounter(stats)
        self.open = stats.cell(stats.gauge("fastsmtp_connections", "Connections that are open."))
        self.received = stats.cell(stats.counter("fastsmtp_received_bytes_total", "Octets read from clients."))
        self.faults = stats.cell(
            stats.counter("fastsmtp_internal_errors_total", "Faults of our own that ended a connection.")
        )
        self.early_talkers = stats.cell(
            stats.counter("fastsmtp_early_talkers_total", "Clients that spoke before they were greeted.")
        )
        self.limits = limit_cells(stats, *_TIME_LIMITS)
        seconds = stats.histogram(
            "fastsmtp_transaction_seconds",
            "Duration of mail transactions, from the first question to the last reply.",
            outcome=TRANSACTION_OUTCOMES,
        )
        self.seconds = {outcome: stats.timer(seconds, outcome) for outcome in TRANSACTION_OUTCOMES}
        stage_seconds = stats.histogram(
            "fastsmtp_stage_seconds",
            "Time until a stage was answered: plugins, directory and store together.",
            stage=[stage.label for stage in Stage if stage in asks],
        )
        self.stages: dict[Stage, Histogram] = {stage: stats.timer(stage_seconds, stage.label) for stage in asks}

    def at_listener(self, name: str) -> "ListenerStats":
        """The cells of one listener."""
        return ListenerStats(self._stats, name)


class ListenerStats:
    """What is counted at each listener by itself: who comes, and what becomes of the mail."""

    __slots__ = ("accepted", "ended", "turned_away")

    def __init__(self, stats: Stats, name: str) -> None:
        accepted = stats.counter("fastsmtp_connections_total", "Connections accepted.", listener=[name])
        self.accepted = stats.cell(accepted, name)
        turned_away = stats.counter(
            "fastsmtp_connections_refused_total", "Connections turned away at the door.", listener=[name]
        )
        self.turned_away = stats.cell(turned_away, name)
        ended = stats.counter(
            "fastsmtp_transactions_total",
            "Mail transactions by how they ended.",
            listener=[name],
            outcome=TRANSACTION_OUTCOMES,
        )
        self.ended = {outcome: stats.cell(ended, name, outcome) for outcome in TRANSACTION_OUTCOMES}


@dataclass(eq=False)
class Shared:
    """One per worker. `open` are the connections; `emptied` is set when the last one has gone."""

    loop: asyncio.AbstractEventLoop
    admission: Admission
    stats: ConnectionStats
    clock: Clock
    log: LineLog
    ids: Iterator[str]
    records: RecordWriter | None = None
    draining: bool = False
    open: set[OpenConnection] = field(default_factory=set)
    sample: Sample = field(default_factory=Sample)
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    turns: Turns = field(init=False)
    round: Round | AtOnce = field(init=False)

    def __post_init__(self) -> None:
        self.turns = Turns(self.loop, self.clock)
        self.round = Round(self.loop)

    def now_s(self) -> int:
        """The time of the table of clients."""
        return self.clock.monotonic_ns() // 1_000_000_000
