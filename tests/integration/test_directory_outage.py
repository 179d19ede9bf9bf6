"""PostgreSQL is stopped, killed, frozen, cut off and restarted in the middle of a stream of mail, for real.

Whoever is known goes on getting mail, nobody else is told "no" in the meantime, and nobody waits for long. What each
kind of recipient heard is printed as a table.
"""

import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from signal import SIGQUIT
from typing import Final, Literal, TypeAlias, get_args

import postgres
import pytest
from integration.server import ServerProcess, make_site, serve, serve_command, wait_until
from ports import free_port
from postgres import PostgresServer
from wire import Wire

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.migrate_postgres import migrate_postgres

Kind: TypeAlias = Literal["known", "new", "alias", "unknown", "foreign"]
Phase: TypeAlias = Literal["before", "it begins", "outage", "it ends", "after"]

CLIENTS: Final = 4
HANG_S: Final = 60.0
"""Who waits as long as this hangs: the statement timeout, and what a busy machine may add to it."""

KNOWN: Final = 20
ENOUGH: Final = 20
"""So many answers of a kind make a phase."""

# What each kind of recipient hears when the database is there.
ANSWERS: Final[dict[Kind, str]] = {
    "known": "250 2.1.5",
    "new": "250 2.1.5",
    "alias": "250 2.1.5",
    "unknown": "550 5.1.1",
    "foreign": "550 5.7.1",
}
CHANGES: Final[dict[Phase, Phase]] = {"before": "it begins", "outage": "it ends"}
TRY_LATER: Final = "451 4.4.3"
REMEMBERED: Final[tuple[Kind, ...]] = ("known", "alias")
STRANGERS: Final[tuple[Kind, ...]] = ("new", "unknown", "foreign")

_SETTINGS: Final = {
    "directory.statement_timeout": "2s",
    "directory.connect_timeout": "2s",
    # Answers are out of date all the time, so that all the time there is something to ask the database.
    "directory.cache_ttl": "100ms",
    "directory.negative_ttl": "100ms",
    # The clients stay connected for as long as it takes.
    "limits.messages": 0,
    "limits.commands": 0,
    "limits.nonmail_commands": 0,
}


@dataclass
class Tally:
    """What was heard, by phase and kind of recipient; the longest wait for an answer, in seconds."""

    phase: Phase = "before"
    heard: Counter[tuple[Phase, Kind, str]] = field(default_factory=Counter)
    longest_s: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(get_args(Phase), 0.0))
    stored: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    def count(self, phase: Phase, kind: Kind, answer: str) -> int:
        return self.heard[phase, kind, answer]

    def wait_for(self, phase: Phase, answers: dict[Kind, str]) -> None:
        """Until each kind has heard this answer often enough in this phase."""
        wait_until(
            lambda: all(self.count(phase, kind, answer) >= ENOUGH for kind, answer in answers.items()),
            f"{answers} {phase} the outage; heard: {self.heard}",
        )

    def table(self, title: str) -> str:
        lines = [f"\n{title}", f"  {'phase':9} {'recipient':10} answers"]
        for phase, longest_s in self.longest_s.items():
            for kind in ANSWERS:
                answers = {key[2]: number for key, number in sorted(self.heard.items()) if key[:2] == (phase, kind)}
                shown = ", ".join(f"{answer}: {number}" for answer, number in answers.items())
                lines.append(f"  {phase:9} {kind:10} {shown}")
            lines.append(f"  {phase:9} the longest wait for an answer was {longest_s * 1000:.0f} ms")
        return "\n".join(lines) + "\n"


class Client(threading.Thread):
    """Sends one small letter after the other, to whomever the dice choose, over one connection."""

    def __init__(self, server: ServerProcess, tally: Tally, number: int) -> None:
        super().__init__(name=f"client {number}")
        self._tally = tally
        self._dice = Random(number)  # noqa: S311 - nothing is secret here
        self._fresh = count(number, CLIENTS)
        self._connection = socket.create_connection((server.host, server.port), timeout=HANG_S)
        self._replies = self._connection.makefile("rb")
        self.error: BaseException | None = None

    def run(self) -> None:
        """Until it is over. What goes wrong is in `error`."""
        try:
            with self._connection, self._replies:
                assert self._read().startswith("220 ")
                assert self._say("EHLO client.example.org").startswith("250 ")
                while not self._tally.is_over:
                    self._send(self._dice.choice(list(ANSWERS)))
        except (OSError, AssertionError) as error:
            self.error = error

    def _send(self, kind: Kind) -> None:
        recipient = self._recipient(kind)
        assert self._say("MAIL FROM:<ann@example.org>").startswith("250 ")
        begin, phase = time.monotonic(), self._tally.phase
        reply = self._say(f"RCPT TO:<{recipient}>")
        if phase != self._tally.phase:  # asked before, answered in the middle of it
            phase = CHANGES.get(phase, phase)
        self._tally.longest_s[phase] = max(self._tally.longest_s[phase], time.monotonic() - begin)
        self._tally.heard[phase, kind, reply[:9]] += 1
        if reply.startswith("250 "):
            assert self._say("DATA").startswith("354 ")
            assert self._say("Subject: hello\r\n\r\nhello\r\n.").startswith("250 ")
            self._tally.stored[recipient] += 1
        else:
            assert self._say("RSET").startswith("250 ")

    def _recipient(self, kind: Kind) -> str:
        """Somebody new each time, where it matters."""
        match kind:
            case "known":
                return f"known{self._dice.randrange(KNOWN)}@example.test"
            case "new":
                return f"new{next(self._fresh)}@example.test"
            case "alias":
                return "everybody@alias.test"
            case "unknown":
                return f"x{next(self._fresh)}@example.test"
            case "foreign":
                return f"joe@d{next(self._fresh)}.example.net"

    def _say(self, line: str) -> str:
        self._connection.sendall(f"{line}\r\n".encode())
        return self._read()

    def _read(self) -> str:
        line = self._replies.readline()
        while line[3:4] == b"-":
            line = self._replies.readline()
        assert line.endswith(b"\r\n"), f"{self.name}: the server is gone"
        return line.decode()


@dataclass(frozen=True, slots=True)
class Outage:
    """Something bad that happens to the database, and its end."""

    begin: Callable[[PostgresServer, Wire], None]
    end: Callable[[PostgresServer, Wire], None]


OUTAGES: Final[dict[str, Outage]] = {
    "stopped": Outage(lambda server, _: server.stop(), lambda server, _: server.start()),
    "crashed": Outage(lambda server, _: server.stop(SIGQUIT), lambda server, _: server.start()),
    "frozen": Outage(lambda server, _: server.freeze(), lambda server, _: server.thaw()),
    "cut off": Outage(lambda _, wire: wire.cut(), lambda _, wire: wire.mend()),
    "silent": Outage(lambda _, wire: wire.silence(), lambda _, wire: wire.mend()),
}


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A server of our own, with somebody in it."""
    database = postgres.started_server()
    yield database
    database.remove()


@contextmanager
def site(folder: Path, database: PostgresServer) -> Iterator[tuple[ServerProcess, Wire]]:
    """A server whose directory lies at the other end of a wire."""
    dsn = database.new_database()
    migrate_postgres(PostgresUrl(dsn))
    postgres.run(
        dsn,
        "INSERT INTO domain (domain_name) VALUES ('example.test'), ('alias.test')",
        "INSERT INTO \"user\" (domain_id, username) SELECT 1, 'known' || g FROM generate_series(0, 99) AS g",
        "INSERT INTO \"user\" (domain_id, username) SELECT 1, 'new' || g FROM generate_series(0, 99999) AS g",
        "INSERT INTO alias (domain_id, alias_name, target) VALUES"
        " (2, 'everybody', 'known0@example.test'), (2, 'everybody', 'known1@example.test')",
    )
    with Wire(database.port) as wire:
        url = dsn.replace(str(database.port), str(wire.port))
        with serve(make_site(folder, {**_SETTINGS, "directory.url": url}, [], "")) as server:
            yield server, wire


@contextmanager
def stream_of_mail(server: ServerProcess) -> Iterator[Tally]:
    """Clients at work; at the end, everything that was promised is there."""
    tally = Tally()
    clients = [Client(server, tally, number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield tally
    finally:
        tally.is_over = True
        for client in clients:
            client.join()
    for client in clients:
        if client.error is not None:
            raise client.error
    promised = tally.stored["everybody@alias.test"]
    for number in range(KNOWN):
        address = f"known{number}@example.test"
        assert len(server.messages(address)) == tally.stored[address] + (promised if number < 2 else 0)


def check(tally: Tally) -> None:
    """Nobody ever hears what is wrong; who is remembered never hears that they shall come again."""
    for phase, kind, answer in tally.heard:
        if kind in REMEMBERED or phase in ("before", "after"):
            allowed = {ANSWERS[kind]}
        elif phase == "outage":
            allowed = {TRY_LATER}
        else:
            allowed = {ANSWERS[kind], TRY_LATER}
        assert answer in allowed, (phase, kind, answer)


@pytest.mark.parametrize("name", OUTAGES)
def test_mail_for_the_known_goes_on_and_nobody_is_bounced(
    name: str, tmp_path: Path, database: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    outage = OUTAGES[name]
    with site(tmp_path / "site", database) as (server, wire), stream_of_mail(server) as tally:
        tally.wait_for("before", ANSWERS)
        wait_until(lambda: all(tally.stored[f"known{number}@example.test"] for number in range(KNOWN)), "all are known")
        tally.phase = "it begins"
        outage.begin(database, wire)
        tally.phase = "outage"
        tally.wait_for("outage", {kind: ANSWERS[kind] for kind in REMEMBERED})
        tally.wait_for("outage", dict.fromkeys(STRANGERS, TRY_LATER))
        assert server.metric("fastsmtp_cache_degraded") == 1
        tally.phase = "it ends"
        outage.end(database, wire)
        tally.wait_for("it ends", ANSWERS)
        tally.phase = "after"
        tally.wait_for("after", ANSWERS)
        assert server.metric("fastsmtp_cache_degraded") == 0
    with capsys.disabled():
        print(tally.table(f"PostgreSQL {name}"), flush=True)  # noqa: T201 - the figures are asked for
    check(tally)


def test_a_restart_under_load_bounces_nobody(
    tmp_path: Path, database: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with site(tmp_path / "site", database) as (server, _), stream_of_mail(server) as tally:
        tally.wait_for("before", ANSWERS)
        wait_until(lambda: all(tally.stored[f"known{number}@example.test"] for number in range(KNOWN)), "all are known")
        tally.phase = "it begins"
        for _ in range(3):
            database.stop()
            database.start()
        tally.phase = "it ends"
        tally.wait_for("it ends", ANSWERS)
        tally.phase = "after"
        tally.wait_for("after", ANSWERS)
    with capsys.disabled():
        print(tally.table("PostgreSQL restarted three times"), flush=True)  # noqa: T201 - the figures are asked for
    check(tally)


def test_at_first_start_a_database_that_is_away_is_told_and_the_exit_code_is_3(tmp_path: Path) -> None:
    url = f"postgresql://joe:S3cret@127.0.0.1:{free_port()}/mail"
    configuration = make_site(tmp_path / "site", {"directory.url": url}, [], "")
    done = subprocess.run(serve_command(configuration), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    said = done.stdout + done.stderr
    assert "cannot connect to the directory postgresql://joe@127.0.0.1:" in said
    assert "S3cret" not in said
