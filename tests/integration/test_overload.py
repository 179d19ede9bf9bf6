"""Real overload: a plugin that keeps the loop busy, a disk that stands still, memory that is full.

Strangers wait first, then new transactions; what was accepted is stored all the same, and it is over when it is over.
"""

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from integration.clients.swarm import Swarm
from integration.faults.victim import build_shim
from integration.server import DEADLINE_S, ServerProcess, make_site, running_server, serve, wait_until

KNOWN, STRANGER, OTHER_STRANGER = "127.1.1.1", "127.2.2.2", "127.3.3.3"
GREETING = "220 mx.example.test ESMTP fastsmtp"
WAIT = "421 4.3.2 Busy, and only those get in who sent good mail lately, come again later"
LATER = "452 4.3.2 Too busy for another message, try again later"
ENVELOPE = b"EHLO c.example\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
MESSAGE = b"Subject: hello\r\n\r\ntext\r\n.\r\n"

SLEEPER = """
import time
from dataclasses import dataclass
from fastsmtp.plugin import Address, Plugin, Transaction

@dataclass(frozen=True, slots=True)
class Options:
    seconds: float

class Sleeper(Plugin[Options]):
    def on_mail(self, txn: Transaction, sender: Address) -> None:
        if sender.domain == "slow.example":
            time.sleep(self.options.seconds)
"""


def deliver(server: ServerProcess, source: str) -> None:
    with Swarm(server, 1, source) as client:
        client.say(ENVELOPE + MESSAGE + b"QUIT\r\n")
        heard = client.hear(DEADLINE_S, "closed", 1)
        assert any(line.startswith("250 2.0.0 stored") for line in heard), heard


def greeting(server: ServerProcess, source: str) -> str:
    with Swarm(server, 1, source) as client:
        return next(iter(client.greetings))


def readiness(server: ServerProcess) -> str:
    assert server.metrics_address is not None
    host, port = server.metrics_address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=DEADLINE_S) as answer:
            return f"{answer.read().decode().strip()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.read().decode().strip()}"


@contextmanager
def kept_up(work: Callable[[], object]) -> Iterator[None]:
    """Do it again and again meanwhile."""
    over = threading.Event()

    def loop() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_plugin_that_blocks_the_loop(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    settings = {
        "limits.exempt": [],
        "overload.lag": "800ms",  # more than a busy machine has of it, twice in a row
        "overload.calm": "3s",
        "plugin_path": [str(tmp_path)],
        "limits.nonmail_commands": 0,
    }
    plugin = '[[plugin]]\nuse = "sleeper"\noptions = { seconds = 1.2 }\n'
    with running_server(tmp_path / "site", settings, plugins=plugin) as server:
        deliver(server, KNOWN)
        assert readiness(server) == "ok"
        with Swarm(server, 1, KNOWN) as busy:

            def keep_busy() -> None:
                busy.say(b"EHLO c.example\r\nMAIL FROM:<ann@slow.example>\r\nRSET\r\n")
                busy.hear(DEADLINE_S, "250 2.0.0 Flushed", 1)

            with kept_up(keep_busy):
                wait_until(lambda: readiness(server) == "worker 0: overloaded: lag", "the lag is noticed")
                assert greeting(server, STRANGER) == WAIT
                assert greeting(server, KNOWN) == GREETING
                assert server.metric("fastsmtp_overload", sign="lag") >= 1
        wait_until(lambda: readiness(server) == "ok", "it is over")
        assert greeting(server, STRANGER) == GREETING
        assert server.metric("fastsmtp_shed_total", what="stranger") == 1
        assert server.metric("fastsmtp_overload", sign="lag") == 0

        def messages() -> list[str]:
            return [line["message"] for line in server.log_lines("fastsmtp.server")]

        wait_until(lambda: messages()[-1] == "no longer overloaded", "the log says so")
        assert "overloaded" in messages()


def test_a_disk_that_stands_still(tmp_path: Path) -> None:
    stall = tmp_path / "stall"
    settings = {
        "limits.exempt": [],
        "overload.commit": "400ms",
        "overload.calm": "500ms",
        "maildir.durability": "journal",
        "maildir.journal_size": "4MiB",
    }
    environment = {**os.environ, "LD_PRELOAD": str(build_shim(tmp_path)), "FAULT_STALL": str(stall)}
    site = make_site(tmp_path / "site", settings, ["alice@example.test"], "")
    with serve(site, environment) as server:
        deliver(server, KNOWN)
        with Swarm(server, 3, KNOWN) as open_before, Swarm(server, 1, KNOWN) as idle:
            stall.touch()
            open_before.say(ENVELOPE + MESSAGE)
            wait_until(lambda: readiness(server) == "worker 0: overloaded: store", "the stall is noticed")
            assert greeting(server, STRANGER) == WAIT
            wait_until(lambda: server.metric("fastsmtp_overload", sign="store") == 2, "it gets worse")
            idle.say(b"EHLO c.example\r\nMAIL FROM:<ann@example.org>\r\n")
            assert LATER in idle.hear(DEADLINE_S, LATER, 1)
            assert greeting(server, KNOWN) == GREETING  # it may wait inside
            stall.unlink()
            heard = open_before.hear(DEADLINE_S, "250 2.0.0 stored", 3)
            assert sum(count for line, count in heard.items() if line.startswith("250 2.0.0 stored")) == 3
            wait_until(lambda: readiness(server) == "ok", "it is over")
            assert greeting(server, OTHER_STRANGER) == GREETING
            assert server.metric("fastsmtp_shed_total", what="transaction") == 1
        assert len(server.messages("alice@example.test")) == 4


def test_the_last_connections_are_kept_for_those_who_are_known(tmp_path: Path) -> None:
    settings = {
        "limits.exempt": [],
        "limits.connections": 20,
        "limits.connections_per_address": 0,
        "overload.calm": "300ms",
    }
    with running_server(tmp_path / "site", settings) as server:
        deliver(server, KNOWN)
        with Swarm(server, 18, STRANGER) as flood:
            assert flood.greetings == {GREETING: 18}
            wait_until(lambda: readiness(server) == "worker 0: overloaded: connections", "it is noticed")
            assert greeting(server, OTHER_STRANGER) == WAIT
            deliver(server, KNOWN)
        wait_until(lambda: readiness(server) == "ok", "it is over")
