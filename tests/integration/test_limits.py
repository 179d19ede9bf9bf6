"""Who gets in, and for how long, over real sockets; every address of 127.0.0.0/8 is a client of its own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL

import pytest
from integration.clients.swarm import Swarm
from integration.server import DEADLINE_S, ServerProcess, running_server, wait_until
from refusals import plain

LIMITS = {
    "limits.exempt": [],
    "limits.connections_per_address": 3,
    "limits.connections_per_network": 5,
    "limits.arrivals_per_network": 40,
}

ADDRESS = "421 4.7.0 Too many connections from your address, come again later"
NETWORK = "421 4.7.0 Too many connections from your network, come again later"
OFTEN = "421 4.7.0 Too many new connections within a minute from your network, come again later"
GREETING = "220 mx.example.test ESMTP fastsmtp"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path / "site", LIMITS) as server:
        yield server


def test_each_address_and_each_network_has_its_own(server: ServerProcess) -> None:
    with ExitStack() as held:
        first = held.enter_context(Swarm(server, 5, "127.1.1.1"))
        assert first.greetings == {GREETING: 3, ADDRESS: 2}
        neighbour = held.enter_context(Swarm(server, 3, "127.1.1.2"))
        assert neighbour.greetings == {GREETING: 2, NETWORK: 1}
        stranger = held.enter_context(Swarm(server, 3, "127.1.2.1"))
        assert stranger.greetings == {GREETING: 3}
        assert server.metric("fastsmtp_connections") == 8
        assert server.metric("fastsmtp_connections_refused_total") == 3
        assert server.metric("fastsmtp_limits_total", limit="connections_per_address") == 2
        assert server.metric("fastsmtp_limits_total", limit="connections_per_network") == 1
    wait_until(lambda: server.metric("fastsmtp_connections") == 0)
    with Swarm(server, 3, "127.1.1.1") as again:
        assert again.greetings == {GREETING: 3}
    wait_until(lambda: sum("limit" in line for line in server.log_lines("fastsmtp.server")) == 2)
    told = {line["limit"]: line for line in server.log_lines("fastsmtp.server") if "limit" in line}
    assert told["connections_per_address"]["last_address"] == "127.1.1.1"


def test_who_comes_too_often(server: ServerProcess) -> None:
    heard = Swarm(server, 0).greetings
    for number in range(1, 61):
        with Swarm(server, 1, f"127.2.1.{number}") as one:
            heard += one.greetings
    # A window of the clock may end in between, and then what was before counts a little less.
    assert heard[GREETING] >= 40
    assert heard[OFTEN] == 60 - heard[GREETING] > 0
    with Swarm(server, 1, "127.2.2.1") as other:
        assert other.greetings == {GREETING: 1}


def test_the_reply_comes_at_once_and_is_the_last_word(server: ServerProcess) -> None:
    with Swarm(server, 3, "127.3.1.1"):
        late = socket.create_connection((server.host, server.port), DEADLINE_S, ("127.3.1.1", 0))
        with late, late.makefile("rb") as replies:
            assert plain(replies.read().decode()) == f"{ADDRESS}\r\n"
    assert server.descriptors() < 40


WORKERS = 3


@pytest.fixture
def many(tmp_path: Path) -> Iterator[ServerProcess]:
    limits = {"limits.connections": 40, "limits.connections_per_address": 8, "limits.connections_per_network": 0}
    with running_server(tmp_path / "site", {**LIMITS, **limits, "listen.workers": WORKERS}) as server:
        yield server


def in_workers(server: ServerProcess) -> list[int]:
    """How many connections each worker has: sockets with a peer are not those that listen."""
    found = subprocess.run(["ss", "-Htnp", "state", "established"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in found.splitlines() if line.split()[2].endswith(f":{server.port}")]
    return [sum(f"pid={pid}," in line for line in lines) for pid in server.workers()]


def test_workers_count_together(many: ServerProcess) -> None:
    """The kernel spreads connections over workers as it likes, and the limits are those of one server."""
    with ExitStack() as held:
        heard = Swarm(many, 0).greetings
        for number in range(1, 5):
            crowd = held.enter_context(Swarm(many, 12, f"127.4.1.{number}"))
            assert crowd.greetings == {GREETING: 8, ADDRESS: 4}
            heard += crowd.greetings
        heard += held.enter_context(Swarm(many, 8, "127.4.1.5")).greetings
        assert heard[GREETING] == 40 == many.metric("fastsmtp_connections")
        one_more = held.enter_context(Swarm(many, 3, "127.5.1.1"))
        assert one_more.greetings == {"421 4.3.2 Too many connections, come again later": 3}
        assert many.metric("fastsmtp_limits_total", limit="connections_per_address") == 16
        assert many.metric("fastsmtp_limits_total", limit="connections") == 3
        if shutil.which("ss"):
            assert sum(in_workers(many)) == 40
            assert sum(count > 0 for count in in_workers(many)) > 1, "or this has shown nothing"


def test_a_dead_worker_has_no_connections(many: ServerProcess) -> None:
    with Swarm(many, 8, "127.6.1.1") as first:
        assert first.greetings == {GREETING: 8}
        dead = many.workers()
        for pid in dead:
            os.kill(pid, SIGKILL)
        wait_until(lambda: not set(dead) & set(many.workers()), "they are dead")
        wait_until(lambda: len(many.workers()) == WORKERS, "there are successors")
        with Swarm(many, 8, "127.6.1.1") as again:
            assert again.greetings == {GREETING: 8}
            assert many.metric("fastsmtp_connections") == 8


GREETER = """
import asyncio
import os
from dataclasses import dataclass
from fastsmtp.plugin import Connection, Hello, Plugin

@dataclass(frozen=True, slots=True)
class Options:
    until: str

class Greeter(Plugin[Options]):
    async def on_connect(self, connection: Connection) -> None:
        at_once = connection.early_talker
        while not os.path.exists(self.options.until):
            await asyncio.sleep(0.01)
        self.record(connection, "pass", f"{at_once} {connection.early_talker}")
"""


@pytest.mark.parametrize(
    ("at_once", "in_between", "evidence"),
    [
        (b"EHLO a\r\n", b"", {"True True", "False True"}),
        (b"", b"EHLO a\r\n", {"False True"}),
        (b"", b"", {"False False"}),
    ],
)
def test_plugins_are_told_who_speaks_before_the_greeting(
    tmp_path: Path, at_once: bytes, in_between: bytes, evidence: set[str]
) -> None:
    (tmp_path / "greeter.py").write_text(GREETER)
    flag = tmp_path / "flag"
    plugin = '[[plugin]]\nuse = "greeter"\noptions = { until = "FLAG" }\n'.replace("FLAG", str(flag))
    with running_server(tmp_path / "site", {"plugin_path": [str(tmp_path)]}, plugins=plugin) as server:
        with server.connect() as client, client.makefile("rb") as replies:
            client.sendall(at_once)  # before or after it was accepted: both are possible
            wait_until(lambda: server.metric("fastsmtp_connections_total") == 1)
            client.sendall(in_between)
            early = int(bool(at_once or in_between))
            wait_until(lambda: server.metric("fastsmtp_early_talkers_total") == early, "it is heard")
            flag.touch()
            assert replies.readline().startswith(b"220 ")
            client.sendall(b"QUIT\r\n")
            assert replies.read().endswith(b"221 2.0.0 Bye\r\n")
        wait_until(lambda: bool(server.log_lines("connection")))
        [line] = server.log_lines("connection")
        assert line["results"][0]["evidence"] in evidence
        assert server.metric("fastsmtp_early_talkers_total") == early


def test_a_connection_without_a_message_ends(tmp_path: Path) -> None:
    settings = {"timeouts.idle": "2s", "timeouts.connection": "1h"}
    with running_server(tmp_path / "site", settings) as server, Swarm(server, 1) as one:
        heard = one.hear(0)
        while "closed" not in heard:
            one.say(b"NOOP\r\n")
            heard += one.hear(0.2)
        assert heard["421 4.4.2 No message came for too long"] == 1
        assert server.metric("fastsmtp_limits_total", limit="idle_time") == 1


def test_a_connection_ends(tmp_path: Path) -> None:
    settings = {"timeouts.connection": "2s"}
    with running_server(tmp_path / "site", settings) as server, Swarm(server, 1) as one:
        heard = one.hear(DEADLINE_S, "closed", 1)
        assert heard == {"421 4.4.2 You were connected long enough, connect anew": 1, "closed": 1}
        assert server.metric("fastsmtp_limits_total", limit="connection_time") == 1
