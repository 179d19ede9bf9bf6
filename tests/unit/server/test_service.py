"""What the connections of a listener share: accounting for a transaction."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from admissions import admission

from fastsmtp.config.model import Settings
from fastsmtp.config.networks import parse_networks
from fastsmtp.delivery.discard import DiscardStore
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.log import LineLog
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.server.clock import SystemClock
from fastsmtp.server.identifiers import identifiers
from fastsmtp.server.pace import Patience
from fastsmtp.server.service import Service, Trust
from fastsmtp.server.shared import ConnectionStats, ListenerStats, Shared
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.replies import accept
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.stats import Stats

PATIENCE = Patience.of(Settings())


def service(log: LineLog, stats: Stats) -> Service:
    clock = SystemClock()
    pipeline = Pipeline(Chain([], stats, clock), MemoryDirectory(), DiscardStore(), stats)
    counted = ConnectionStats(stats, pipeline.asks)
    shared = Shared(asyncio.get_running_loop(), admission(stats), counted, clock, log, identifiers(clock.time))
    return Service("test", shared, SessionOptions("mx.example.org", asks=pipeline.asks), PATIENCE, pipeline)


def test_a_transaction_is_one_log_line_and_one_count(tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    stats = Stats()

    async def account() -> ListenerStats:
        log = LineLog.open(log_file)
        listener = service(log, stats)
        connection = Connection("C1", "192.0.2.1", 4711, "192.0.2.2", 25)
        transaction = Transaction("T1", connection, Address("a", "example.org"))
        transaction.outcome, transaction.reply = "stored", accept("stored as T1")
        transaction.begun_ns = listener.shared.clock.monotonic_ns() - 2_000_000
        listener.ended(transaction)
        log.close()
        return listener.counts

    counted = asyncio.run(account())
    (line,) = log_file.read_text().splitlines()
    written = json.loads(line)
    assert (written["event"], written["id"], written["outcome"]) == ("transaction", "T1", "stored")
    assert written["reply"] == "250 2.0.0 stored as T1"
    assert written["duration_ms"] >= 2
    assert stats.cells[counted.ended["stored"]] == 1
    assert stats.cells[counted.ended["refused"]] == 0


def test_a_client_turned_away_at_the_door_is_a_line(tmp_path: Path) -> None:
    async def leave() -> None:
        log = LineLog.open(tmp_path / "log")
        listener = service(log, Stats())
        quiet, refused = Connection("C1", "192.0.2.1", 1, "192.0.2.2", 25), Connection("C2", "192.0.2.3", 1, "", 25)
        refused.results.append(Result("gate", "fail", "connect: 550 5.7.1 no"))
        listener.left(quiet, had_transaction=False)
        listener.left(refused, had_transaction=True)
        listener.left(refused, had_transaction=False)
        log.close()

    asyncio.run(leave())
    (line,) = (tmp_path / "log").read_text().splitlines()
    written = json.loads(line)
    assert (written["event"], written["id"], written["remote"]) == ("connection", "C2", "192.0.2.3")
    assert written["results"] == [{"plugin": "gate", "outcome": "fail", "evidence": "connect: 550 5.7.1 no"}]


def test_who_is_trusted_is_offered_more(tmp_path: Path) -> None:
    async def look() -> None:
        log = LineLog.open(tmp_path / "log")
        listener = service(log, Stats())
        assert listener.options_for("192.0.2.1") is listener.options
        listener.trust = Trust(parse_networks(["192.0.2.0/24"]), replace(listener.options, xclient=True))
        assert listener.options_for("192.0.2.1") is listener.trust.options
        assert listener.options_for("198.51.100.1") is listener.options
        log.close()

    asyncio.run(look())
