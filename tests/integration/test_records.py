"""A client is refused, an operator reads why: what a real server keeps, and what it does where it can keep nothing."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.clients.raw import RawClient
from integration.server import ServerProcess, running_server, wait_until

PLUGINS = """
[[plugin]]
use = "block_sender"
options = { domains = ["spam.example"] }
[[plugin]]
use = "block_recipient"
mode = "shadow"
options = { addresses = ["bob@example.test"] }
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path / "site", {"listen.workers": 2}, plugins=PLUGINS) as running:
        yield running


def explain(server: ServerProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fastsmtp", "explain", "-c", str(server.configuration), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def stories(server: ServerProcess, id_: str) -> list[dict[str, Any]]:
    """As soon as they are written."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        done = explain(server, id_, "--json")
        found[:] = json.loads(done.stdout) if done.returncode == 0 else []
        return bool(found)

    wait_until(is_there, f"{id_} is recorded")
    return found


def id_in(reply: bytes) -> str:
    found = re.search(rb" \(([0-9A-Z]{18})\)\r\n\Z", reply)
    assert found, reply
    return found[1].decode()


def test_who_does_not_get_in_has_a_story_and_a_flood_of_them_has_few(tmp_path: Path) -> None:
    limits = {"limits.connections_per_address": 1, "limits.exempt": []}
    with running_server(tmp_path / "site", limits) as server:
        with RawClient(server.connect()):
            heard = []
            for _ in range(300):
                with server.connect() as turned_away:
                    heard.append(turned_away.makefile("rb").read())
        assert len({id_in(reply) for reply in heard}) == 300
        (story,) = stories(server, id_in(heard[0]))
        assert (story["kind"], story["outcome"], story["remote"]) == ("connection", "deferred", "127.0.0.1")
        (said,) = story["refused_commands"]
        assert said["command"] == "connect"
        assert said["reply"] == "421 4.7.0 Too many connections from your address, come again later"
        unknown = explain(server, id_in(heard[-1]))
        assert unknown.returncode == 1
        assert "there is no record of" in unknown.stderr
        assert server.metric("fastsmtp_connections_refused_total") == 300
        wait_until(lambda: len(server.log_lines("connection")) >= 100, "the log has those who are kept")
        told = [line for line in server.log_lines("connection") if line["id"] == id_in(heard[0])]
        assert [line["reply"] for line in told] == [said["reply"]]
        assert len(server.log_lines("connection")) < 110


def test_the_id_in_a_refusal_tells_the_story(server: ServerProcess) -> None:
    with RawClient(server.connect()) as client:
        client.say(b"EHLO client.example.org")
        blocked = id_in(client.say(b"MAIL FROM:<ann@spam.example>"))
        client.say(b"MAIL FROM:<ann@example.org>")
        unknown = id_in(client.say(b"RCPT TO:<nobody@example.test>"))
        client.say(b"RCPT TO:<bob@example.test>")
        assert id_in(client.say(b"RCPT TO:<bob@example.test")) == unknown
        client.say(b"RSET")
        nothing = id_in(client.say(b"DATA"))
        client.say(b"QUIT")
    [story] = stories(server, blocked)
    assert (story["outcome"], story["sender"], story["reply"][:9]) == ("refused", "ann@spam.example", "550 5.7.1")
    [plugin] = story["plugins"]
    assert (plugin["plugin"], plugin["stage"], plugin["answer"]) == ("block_sender", "mail", story["reply"])
    assert plugin["findings"][0]["outcome"] == "fail"
    [story] = stories(server, unknown)
    assert story["outcome"] == "reset"
    assert [(one["address"], one["reply"][:9]) for one in story["recipients"]] == [
        ("bob@example.test", "250 2.1.5"),
        ("nobody@example.test", "550 5.1.1"),
    ]
    assert story["refused_commands"] == [{"command": "RCPT", "reply": "501 5.1.3 Bad recipient address syntax"}]
    shadow = [one for one in story["plugins"] if one["mode"] == "shadow"]
    assert [one["answer"] is None for one in shadow] == [True, False]
    wait_until(lambda: len(stories(server, nothing)) == 3, "the connection and its transactions")
    connection, *_ = stories(server, nothing)
    assert connection["kind"] == "connection"
    assert connection["refused_commands"] == [{"command": "DATA", "reply": "503 5.5.1 Need MAIL first"}]
    text = explain(server, unknown).stdout
    assert f"Transaction {unknown}  reset\n" in text
    assert "<nobody@example.test>  550 5.1.1 No such user here" in text
    assert [line.split("  ")[1] for line in explain(server, "--plugin", "block_sender").stdout.splitlines()] == [
        blocked
    ]


def test_everything_is_there_after_the_end(tmp_path: Path) -> None:
    with running_server(tmp_path / "site", {"listen.workers": 2}) as server:
        ids = set()
        for _ in range(20):
            with RawClient(server.connect()) as client:
                client.say(b"EHLO client.example.org")
                ids.add(client.deliver(b"Subject: hi\r\n\r\nHello\r\n.\r\n"))
        assert server.stop() == 0
        found = json.loads(explain(server, "--json", "--limit", "100").stdout)
    assert {one["id"] for one in found} == ids
    assert [file.name for file in (tmp_path / "site").glob("records.db*")] == ["records.db"]


@pytest.mark.parametrize("trouble", ["no folder", "no database", "locked"])
def test_where_nothing_can_be_kept_mail_goes_on(tmp_path: Path, trouble: str) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    path = folder / ("nowhere/records.db" if trouble == "no folder" else "records.db")
    database = sqlite3.connect(folder / "records.db", isolation_level=None)
    if trouble == "no database":
        path.write_bytes(b"something else\n" * 500)
    elif trouble == "locked":
        database.execute("BEGIN EXCLUSIVE")
    with running_server(folder, {"records.path": str(path)}) as server:
        with RawClient(server.connect()) as client:
            client.say(b"EHLO client.example.org")
            for _ in range(5):
                client.deliver(b"Subject: hi\r\n\r\nHello\r\n.\r\n")
        wait_until(lambda: bool(server.troubles()), "it says so")
        assert [line["message"] for line in server.troubles()] == ["records cannot be written"]
        assert len(server.messages("alice@example.test")) == 5
        if trouble == "locked":
            database.execute("ROLLBACK")
            wait_until(
                lambda: server.metric("fastsmtp_records_total", result="kept") == 5, "they are written after all"
            )
    database.close()


def test_without_records_there_are_none(tmp_path: Path) -> None:
    with running_server(tmp_path / "site", {"records.enabled": False}) as server:
        with RawClient(server.connect()) as client:
            client.say(b"EHLO client.example.org")
            client.deliver(b"Subject: hi\r\n\r\nHello\r\n.\r\n")
        assert server.stop() == 0
    assert not (tmp_path / "site" / "records.db").exists()
