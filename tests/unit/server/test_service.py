"""What the connections of a listener share: accounting for a transaction."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from admissions import admission
from refusals import without_id

from fastsmtp.config.model import Settings
from fastsmtp.config.networks import parse_networks
from fastsmtp.delivery.discard import DiscardStore
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.log import LineLog
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.records.file import RecordFile
from fastsmtp.records.story import tell
from fastsmtp.records.writer import RecordWriter
from fastsmtp.server.clock import SystemClock
from fastsmtp.server.endpoints import Endpoints
from fastsmtp.server.identifiers import Identifiers
from fastsmtp.server.pace import Patience
from fastsmtp.server.service import Service, Trust
from fastsmtp.server.shared import ConnectionStats, ListenerStats, Shared
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.replies import MAIL_FIRST, TOO_MANY_OF_ADDRESS, accept
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.stats import Stats

PATIENCE = Patience.of(Settings())


def service(log: LineLog, stats: Stats) -> Service:
    clock = SystemClock()
    pipeline = Pipeline(Chain([], stats, clock), MemoryDirectory(), DiscardStore(), stats)
    counted = ConnectionStats(stats, pipeline.asks)
    shared = Shared(asyncio.get_running_loop(), admission(stats), counted, clock, log, Identifiers(clock.time))
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


def test_who_does_not_get_in_hears_an_id_and_has_a_story(tmp_path: Path) -> None:
    async def turn_away() -> tuple[list[bytes], list[Mapping[str, Any]]]:
        log = LineLog.open(tmp_path / "log")
        stats = Stats()
        listener = service(log, stats)
        listener.shared.records = records = Recorder(tmp_path / "records", stats)
        ends = Endpoints("192.0.2.1", 4711, "192.0.2.2", 25)
        heard = [listener.turned_away(ends, "10.0.0.1", TOO_MANY_OF_ADDRESS) for _ in range(1_000)]
        assert stats.cells[listener.counts.turned_away] == 1_000
        log.close()
        return heard, records.taken

    heard, taken = asyncio.run(turn_away())
    ids = [line.split()[-1].strip(b"()").decode() for line in heard]
    assert len(set(ids)) == 1_000
    assert {without_id(line) for line in heard} == {TOO_MANY_OF_ADDRESS.wire}
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["id"] for line in lines] == [record["id"] for record in taken]
    assert ids[:100] == [line["id"] for line in lines][:100]
    assert len(lines) < 150  # a flood shall be none there
    assert (lines[0]["remote"], lines[0]["proxy"]) == ("192.0.2.1", "10.0.0.1")
    assert lines[0]["reply"] == str(TOO_MANY_OF_ADDRESS)
    story = tell(json.loads(json.dumps(taken[0])))  # as it comes out of the file
    assert (story["kind"], story["outcome"]) == ("connection", "deferred")
    assert story["refused_commands"] == [{"command": "connect", "reply": str(TOO_MANY_OF_ADDRESS)}]


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


class Recorder(RecordWriter):
    """Keeps what it takes."""

    def __init__(self, path: Path, stats: Stats) -> None:
        super().__init__(RecordFile(path, 1.0, 1 << 20), asyncio.get_running_loop(), stats)
        self.taken: list[Mapping[str, Any]] = []

    def take(self, record: Mapping[str, Any]) -> None:
        self.taken.append(record)

    def take_encoded(self, record: bytes) -> None:
        self.take(json.loads(record))


def test_records_hear_of_transactions_and_of_who_was_told_an_id(tmp_path: Path) -> None:
    async def account() -> list[Mapping[str, Any]]:
        log, stats = LineLog.open(tmp_path / "log"), Stats()
        listener = service(log, stats)
        recorder = listener.shared.records = Recorder(tmp_path / "records.db", stats)
        quiet, refused = Connection("C1", "192.0.2.1", 1, "", 25), Connection("C2", "192.0.2.3", 1, "", 25)
        refused.refused_commands = [(b"DATA", MAIL_FIRST)]
        transaction = Transaction("T1", quiet)
        transaction.outcome = "reset"
        listener.ended(transaction)
        listener.left(quiet, had_transaction=True)
        listener.left(refused, had_transaction=True)
        log.close()
        return recorder.taken

    transaction, connection = asyncio.run(account())
    assert (transaction["event"], transaction["id"], transaction["connection"]) == ("transaction", "T1", "C1")
    assert (connection["event"], connection["id"], connection["outcome"]) == ("connection", "C2", "refused")
    [line] = (tmp_path / "log").read_text().splitlines()  # the log has its own mind
    assert json.loads(line)["id"] == "T1"
