"""XCLIENT with a real server: what a client that is trusted says of another one arrives everywhere."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from integration.clients import trace
from integration.clients.raw import RawClient
from integration.clients.senders import Mail, missing, with_swaks
from integration.server import DEADLINE_S, ServerProcess, running_server, wait_until
from refusals import without_id

needs_swaks = pytest.mark.skipif(bool(missing("swaks", "swaks")), reason=missing("swaks", "swaks"))

CONTENT: Final = b"Subject: on behalf\r\n\r\nbody\r\n"
PLUGIN: Final = """
from fastsmtp.plugin import Connection, NoOptions, Plugin, Reply, Result, Transaction, reject


class Witness(Plugin[NoOptions]):
    def on_connect(self, connection: Connection) -> Reply | None:
        self.tell(connection, "came")
        return reject("5.7.1", "not you") if connection.remote_address == "198.51.100.66" else None

    def on_disconnect(self, connection: Connection) -> None:
        self.tell(connection, "left")

    def tell(self, connection: Connection, what: str) -> None:
        seen = f"{what}: {connection.remote_name} {connection.remote_address}:{connection.remote_port}"
        said = f"by {connection.proxy_address} to {connection.local_address} as {connection.user}"
        connection.results.append(Result(self.name, "pass", f"{seen} {said}"))
"""
TABLES: Final = """
[[listener]]
name = "trusting"
address = "127.0.0.1:0"
xclient = ["127.0.0.1"]

[[plugin]]
use = "witness"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("xclient")
    (folder / "witness.py").write_text(PLUGIN)
    settings = {"plugin_path": [str(folder)], "limits.exempt": [], "limits.connections_per_address": 2}
    with running_server(folder / "site", settings, plugins=TABLES) as server:
        yield server


@pytest.fixture
def client(server: ServerProcess) -> Iterator[RawClient]:
    with RawClient(server.connect("trusting")) as client:
        yield client


def line_of(server: ServerProcess, stored_as: str) -> dict[str, Any]:
    wait_until(lambda: any(one["id"] == stored_as for one in server.log_lines("transaction")), "the log has it")
    return next(one for one in server.log_lines("transaction") if one["id"] == stored_as)


def stored(server: ServerProcess, stored_as: str) -> trace.Trace:
    [message] = [one for one in server.messages("alice@example.test") if stored_as.encode() in one]
    return trace.split(message)


def evidence(line: dict[str, Any]) -> list[str]:
    return [result["evidence"] for result in line["results"]]


def test_the_client_arrives_in_received_log_and_hooks(server: ServerProcess, client: RawClient) -> None:
    claim = b"NAME=client.example.org ADDR=198.51.100.7 PORT=4321 LOGIN=ann+40example.org DESTADDR=203.0.113.25"
    assert b"XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in client.say(b"EHLO proxy.example.org")
    assert client.say(b"XCLIENT " + claim).startswith(b"220 ")
    client.say(b"EHLO client.example.org")
    stored_as = client.deliver(CONTENT)
    logged = line_of(server, stored_as)
    assert stored(server, stored_as).client == "client.example.org [198.51.100.7]"
    assert (logged["remote"], logged["proxy"], logged["helo"]) == ("198.51.100.7", "127.0.0.1", "client.example.org")
    seen = "client.example.org 198.51.100.7:4321 by 127.0.0.1 to 203.0.113.25 as ann@example.org"
    assert evidence(logged) == [f"came: {seen}"]


def test_one_session_for_many_clients(server: ServerProcess, client: RawClient) -> None:
    for number in (1, 2, 3):
        assert client.say(b"XCLIENT ADDR=IPV6:2001:db8:%d::1" % number).startswith(b"220 ")
        client.say(b"EHLO client.example.org")
        stored_as = client.deliver(CONTENT)
        assert stored(server, stored_as).client == f"[IPv6:2001:db8:{number}::1]"
        assert line_of(server, stored_as)["remote"] == f"2001:db8:{number}::1"


def test_a_client_whom_a_plugin_refuses(server: ServerProcess, client: RawClient) -> None:
    assert without_id(client.say(b"XCLIENT ADDR=198.51.100.66")) == b"554 5.7.1 not you\r\n"
    wait_until(lambda: any(one["remote"] == "198.51.100.66" for one in server.log_lines("connection")), "it is logged")
    [line] = [one for one in server.log_lines("connection") if one["remote"] == "198.51.100.66"]
    assert [seen.partition(":")[0] for seen in evidence(line)] == ["came", "left"]


def test_limits_count_the_clients(server: ServerProcess) -> None:
    claim = b"XCLIENT ADDR=198.51.100.70"
    with RawClient(server.connect("trusting")) as one, RawClient(server.connect("trusting")) as two:
        assert one.say(claim).startswith(b"220 ")
        assert two.say(claim).startswith(b"220 ")
        with RawClient(server.connect("trusting")) as three:
            assert three.say(claim).startswith(b"421 4.7.0 ")
        assert two.say(b"XCLIENT ADDR=198.51.100.71").startswith(b"220 ")
        with RawClient(server.connect("trusting")) as three:
            assert three.say(claim).startswith(b"220 ")


@pytest.mark.parametrize(("listener", "source"), [("trusting", "127.0.0.9"), ("127.0.0.1:0", "127.0.0.1")])
def test_for_others_nobody_knows_it(server: ServerProcess, listener: str, source: str) -> None:
    host, _, port = server.listeners[listener].rpartition(":")
    stranger = socket.create_connection((host, int(port)), DEADLINE_S, source_address=(source, 0))
    with RawClient(stranger) as client:
        assert b"XCLIENT" not in client.say(b"EHLO client.example.org")
        assert without_id(client.say(b"XCLIENT ADDR=198.51.100.7")) == b"500 5.5.1 Command not recognized\r\n"
        assert stored(server, client.deliver(CONTENT)).client == f"[{source}]"


@needs_swaks
def test_swaks(server: ServerProcess, tmp_path: Path) -> None:
    host, _, port = server.listeners["trusting"].rpartition(":")
    claim = [
        "--xclient-name",
        "spike.example.org",
        "--xclient-addr",
        "198.51.100.8",
        "--xclient-helo",
        "spike.example.org",
    ]
    with_swaks((host, int(port)), Mail(CONTENT), tmp_path, *claim, "--xclient-proto", "ESMTP")
    newest = trace.split(server.messages("alice@example.test")[-1])
    assert (newest.client, newest.name) == ("spike.example.org [198.51.100.8]", "swaks.example.org")
