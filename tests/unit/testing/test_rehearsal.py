"""A transaction is played to plugins, as far as it gets, and leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.config.load import load
from fastsmtp.config.model import PluginEntry
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.errors import StartError
from fastsmtp.pipeline.loader import load_plugins
from fastsmtp.testing.rehearsal import Part, Performance, Rehearsal

PLUGIN = """
from fastsmtp.plugin import Plugin, accept, defer, reject


class Judge(Plugin):
    async def start(self, services):
        assert services.hostname == "mx.example.test"

    def on_connect(self, connection):
        if connection.remote_address == "192.0.2.66":
            return reject("5.7.1", "not you")
        self.record(connection, "pass", f"came through {connection.listener or 'nothing'}")

    def on_hello(self, connection, hello):
        return defer("4.7.1", "not yet") if hello.name == "later.example" else None

    def on_mail(self, txn, sender):
        self.record(txn, "pass", f"{txn.connection.user} {txn.connection.tls is not None}")

    def on_message(self, txn, message):
        message.add_header("X-Judge", "seen")
        return reject("5.7.1", "spam") if b"spam" in bytes(message) else None
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "judge.py").write_text(PLUGIN)
    with SqliteAdmin(tmp_path / "directory.db", create=True) as admin:
        admin.add_domain("example.test")
        admin.add_user("alice@example.test")
    (tmp_path / "fastsmtp.toml").write_text('hostname = "mx.example.test"\nlisten.smtp = ["127.0.0.1:2525"]\n')
    before = sorted(tmp_path.iterdir())
    yield tmp_path
    made = {path.name for path in set(tmp_path.iterdir()) - set(before)}
    assert made <= {"__pycache__", "directory.db-wal", "directory.db-shm"}


def play(folder: Path, *, anybody: bool = False, **part: Any) -> Performance:
    settings = load(folder / "fastsmtp.toml")
    plugins = load_plugins([PluginEntry(use="judge")], [folder])
    given = {"ip": "192.0.2.1", "hello": "a.example", "sender": "a@a.example", "recipients": ["alice@example.test"]}
    with Rehearsal(settings, settings.listeners[0], plugins, anybody=anybody) as rehearsal:
        return rehearsal.play(Part(**{**given, "message": b"Subject: hi\n\nHello\n", **part}))


def test_to_the_end(folder: Path) -> None:
    done = play(folder, user="ann@example.test", tls=True)
    assert [command for command, _ in done.said] == [
        "connect", "EHLO a.example", "MAIL FROM:<a@a.example>", "RCPT TO:<alice@example.test>", "message",
    ]  # fmt: skip
    assert done.verdict.code == 250
    assert done.added == "X-Judge: seen\n"
    told = [
        (one["stage"], one["answer"], [each["evidence"] for each in one["findings"]]) for one in done.story["plugins"]
    ]
    assert told == [
        ("connect", None, ["came through 127.0.0.1:2525"]),
        ("hello", None, []),
        ("mail", None, ["ann@example.test True"]),
        ("message", None, []),
    ]


@pytest.mark.parametrize(
    ("part", "commands", "verdict"),
    [
        ({"ip": "192.0.2.66"}, 1, "554 5.7.1 not you"),
        ({"hello": "later.example"}, 2, "450 4.7.1 not yet"),
        ({"sender": "<"}, 3, "501 5.1.7 Bad sender address syntax"),
        ({"recipients": ["nobody@example.test"]}, 4, "550 5.1.1 No such user here"),
        ({"message": b"Subject: spam\n\n"}, 5, "550 5.7.1 spam"),
    ],
)
def test_as_far_as_it_gets(folder: Path, part: dict[str, Any], commands: int, verdict: str) -> None:
    done = play(folder, **part)
    assert len(done.said) == commands
    assert str(done.verdict) == verdict
    assert done.story["plugins"]


def test_for_one_plugin_everybody_is_there(folder: Path) -> None:
    assert play(folder, anybody=True, recipients=["nobody@elsewhere.example"]).verdict.code == 250


def test_a_plugin_that_does_not_start(folder: Path) -> None:
    (folder / "fastsmtp.toml").write_text('hostname = "mx.example.org"\n')
    with pytest.raises(StartError, match="a plugin does not start: AssertionError"):
        play(folder)
