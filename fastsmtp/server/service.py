"""What all connections of a worker share."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from fastsmtp.log import LineLog, connection_line, transaction_line
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.ports import Clock
from fastsmtp.smtp.counters import ReplyCounter
from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.transaction import TRANSACTION_OUTCOMES, Connection, Transaction
from fastsmtp.stats import Histogram, Stats

__all__ = ["Service", "ServiceStats"]


class ServiceStats:
    """The cells that connections count in."""

    def __init__(self, stats: Stats, asks: frozenset[Stage]) -> None:
        self.cells = stats.cells
        self.replies = ReplyCounter(stats)
        self.accepted = stats.cell(stats.counter("fastsmtp_connections_total", "Connections accepted."))
        self.turned_away = stats.cell(
            stats.counter("fastsmtp_connections_refused_total", "Connections turned away: too many at once.")
        )
        self.open = stats.cell(stats.gauge("fastsmtp_connections", "Connections that are open."))
        self.received = stats.cell(stats.counter("fastsmtp_received_bytes_total", "Octets read from clients."))
        self.faults = stats.cell(
            stats.counter("fastsmtp_internal_errors_total", "Faults of our own that ended a connection.")
        )
        ended = stats.counter(
            "fastsmtp_transactions_total", "Mail transactions by how they ended.", outcome=TRANSACTION_OUTCOMES
        )
        self.ended = {outcome: stats.cell(ended, outcome) for outcome in TRANSACTION_OUTCOMES}
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


@dataclass(slots=True)
class Service:
    """One per worker. `command_s` and `data_s` are how many seconds a client may take for a command and for a piece of
    a message; `emptied` is set when the last connection has gone.
    """

    loop: asyncio.AbstractEventLoop
    options: SessionOptions
    command_s: float
    data_s: float
    max_connections: int
    pipeline: Pipeline
    stats: ServiceStats
    clock: Clock
    log: LineLog
    ids: Iterator[str]
    draining: bool = False
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    def ended(self, transaction: Transaction) -> None:
        """Account for a transaction: plugins, metrics, one log line."""
        duration_ns = self.clock.monotonic_ns() - transaction.begun_ns if transaction.begun_ns else 0
        stats = self.stats
        stats.cells[stats.ended[transaction.outcome]] += 1
        stats.seconds[transaction.outcome].observe(duration_ns)
        self.pipeline.ended(transaction)
        self.log.write(transaction_line(transaction, time=self.clock.time(), duration_ns=duration_ns))

    def left(self, connection: Connection, *, had_transaction: bool) -> None:
        """A client is gone: plugins hear of it, and the log of whom they turned away at the door."""
        self.pipeline.disconnected(connection)
        if connection.results and not had_transaction:
            self.log.write(connection_line(connection, time=self.clock.time()))
