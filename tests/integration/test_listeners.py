"""Listeners that differ: a Unix socket beside TCP, each with its own plugins."""

import smtplib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from integration.clients.raw import RawClient
from integration.server import ServerProcess, running_server, serve, wait_until

SETTINGS: Final = {"listen.smtp": ["127.0.0.1:0"]}
TABLES: Final = """
[[listener]]
name = "relay"
address = "unix:relay.sock"
plugins = []

[[plugin]]
use = "block_sender"
options = { domains = ["spam.example"] }
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path, SETTINGS, plugins=TABLES) as server:
        yield server


def test_each_listener_has_its_own_plugins(server: ServerProcess) -> None:
    spam = b"<a@spam.example>"
    with RawClient(server.connect()) as client:
        client.say(b"EHLO client.example.org")
        assert client.say(b"MAIL FROM:" + spam).startswith(b"550 ")
    with RawClient(server.connect("relay")) as client:
        client.say(b"EHLO client.example.org")
        client.deliver(b"Subject: x\r\n\r\nbody\r\n", sender=spam)
    [message] = server.messages("alice@example.test")
    assert b"Subject: x\n\nbody\n" in message


def test_a_client_on_a_unix_socket_has_no_address(server: ServerProcess) -> None:
    with RawClient(server.connect("relay")) as client:
        client.say(b"EHLO client.example.org")
        stored = client.deliver(b"Subject: x\r\n\r\nbody\r\n")
    [message] = server.messages("alice@example.test")
    assert b"\nReceived: from client.example.org by mx.example.test with ESMTP\n\tid " in message
    wait_until(lambda: bool(server.log_lines("transaction")), "the transaction is logged")
    [line] = server.log_lines("transaction")
    assert (line["id"], line["listener"], line["remote"]) == (stored, "relay", "")


def test_the_log_names_the_listener(server: ServerProcess) -> None:
    with smtplib.SMTP(server.host, server.port) as client:
        client.sendmail("a@example.org", ["alice@example.test"], b"Subject: x\r\n\r\nbody\r\n")
    wait_until(lambda: bool(server.log_lines("transaction")), "the transaction is logged")
    [line] = server.log_lines("transaction")
    assert (line["listener"], line["remote"]) == ("127.0.0.1:0", "127.0.0.1")  # as it is configured


def test_a_unix_socket_lives_as_long_as_its_server(server: ServerProcess) -> None:
    path = server.folder / "relay.sock"
    assert server.listeners["relay"] == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert server.stop() == 0
    assert not path.exists()


def test_a_socket_left_behind_by_a_kill_is_replaced(server: ServerProcess) -> None:
    path = server.folder / "relay.sock"
    server.process.kill()
    server.wait()
    assert path.exists()
    with serve(server.configuration) as again, RawClient(again.connect("relay")) as client:
        assert client.say(b"NOOP").startswith(b"250 ")


def test_a_socket_that_is_taken_is_a_sentence(server: ServerProcess, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as rival:
        rival.bind(str(tmp_path / "rival.sock"))
        rival.listen()
        server.stop()
        configuration = server.configuration.read_text().replace("relay.sock", "rival.sock")
        server.configuration.write_text(configuration)
        with pytest.raises(AssertionError, match=r"exit code 3: .*rival\.sock: Address already in use"):
            serve(server.configuration).__enter__()
