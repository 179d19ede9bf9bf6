"""A real server for tests: `python -m fastsmtp serve` on free ports, in a site of its own.

with running_server(tmp_path, {"limits.recipients": 2}, users=["alice@example.test"]) as server:
    with server.connect() as client:
        ...
    assert server.messages("alice@example.test") == [...]
"""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, Signals
from types import MappingProxyType
from typing import Any, Final

from argon2.profiles import CHEAPEST
from prometheus_client.parser import text_string_to_metric_families

from fastsmtp.config.template import render_bare
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.schemes import hash_password
from fastsmtp.smtp.address import parse_mailbox

DEADLINE_S: Final = 20.0
"""Nothing that a test waits for takes this long, even on a busy machine."""

_DEFAULTS: Final[Mapping[str, object]] = {
    "hostname": "mx.example.test",
    "listen.smtp": ["127.0.0.1:0"],
    "metrics.listen": "127.0.0.1:0",
    "maildir.durability": "none",
}


def wait_until(condition: Callable[[], bool], what: str = "") -> None:
    """Look until the condition holds. Raises AssertionError when it has not by the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what or condition}"
        time.sleep(0.01)


@dataclass(slots=True)
class ServerProcess:
    """A server that runs; `folder` has its configuration, its database, its output and its mail."""

    folder: Path
    process: subprocess.Popen[bytes]
    smtp_addresses: list[tuple[str, int]]
    metrics_address: tuple[str, int] | None
    listeners: dict[str, str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def configuration(self) -> Path:
        return self.folder / "fastsmtp.toml"

    @property
    def mail_root(self) -> Path:
        return self.folder / "mail"

    @property
    def host(self) -> str:
        return self.smtp_addresses[0][0]

    @property
    def port(self) -> int:
        return self.smtp_addresses[0][1]

    def connect(self, listener: str | None = None) -> socket.socket:
        """A connection to the listener of this name, else to the first on TCP; no operation on it waits for ever."""
        if listener is None:
            return socket.create_connection((self.host, self.port), timeout=DEADLINE_S)
        address = self.listeners[listener]
        if not address.startswith("unix:"):
            host, _, port = address.rpartition(":")
            return socket.create_connection((host.strip("[]"), int(port)), timeout=DEADLINE_S)
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE_S)
        client.connect(address.removeprefix("unix:"))
        return client

    def mailbox(self, address: str) -> Path:
        """The Maildir of a user (made by the first delivery)."""
        user = parse_mailbox(address)
        return self.mail_root / user.domain / user.folded_local

    def messages(self, address: str) -> list[bytes]:
        """What lies in new/ of a user, oldest first."""
        return [path.read_bytes() for path in sorted((self.mailbox(address) / "new").glob("*"), key=_age)]

    def unfinished(self) -> list[Path]:
        """What lies in any tmp/: nothing, once no delivery is under way."""
        return list(self.mail_root.glob("*/*/tmp/*"))

    def log_lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log so far (the server gathers lines for a moment), or its lines of one event."""
        text = (self.folder / "stdout").read_text()
        lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [line for line in lines if event is None or line["event"] == event]

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name (as it stands in /metrics) that have these labels."""
        assert self.metrics_address is not None
        host, port = self.metrics_address
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=DEADLINE_S) as response:
            families = text_string_to_metric_families(response.read().decode())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        assert samples, f"no metric {name}"
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def descriptors(self) -> int:
        """How many files and sockets the process has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def memory_bytes(self) -> int:
        """Resident memory of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    def signal(self, number: Signals = SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once the process has ended."""
        return self.process.wait(DEADLINE_S)

    def stop(self, number: Signals = SIGTERM) -> int:
        """Ask it to end, and return the exit code."""
        self.signal(number)
        return self.wait()


def _age(path: Path) -> tuple[int, ...]:
    """Time, microseconds, process and counter out of the file's name."""
    return tuple(map(int, re.findall(r"[0-9]+", path.name)[:4]))


def make_site(
    folder: Path,
    settings: Mapping[str, object],
    users: Sequence[str],
    plugins: str,
    passwords: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write configuration and directory; returns the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    with SqliteAdmin(folder / "directory.db", create=True) as admin:
        for domain in sorted({parse_mailbox(user).domain for user in users}):
            admin.add_domain(domain)
        for user in users:
            admin.add_user(user)
        for user, password in passwords.items():
            admin.set_password(user, hash_password(password, parameters=CHEAPEST))
    configuration = folder / "fastsmtp.toml"
    configuration.write_text(f"{render_bare({**_DEFAULTS, **settings})}\n{plugins}")
    return configuration


@contextmanager
def running_server(
    folder: Path,
    settings: Mapping[str, object] | None = None,
    *,
    users: Sequence[str] = ("alice@example.test", "bob@example.test"),
    plugins: str = "",
    passwords: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[ServerProcess]:
    """Start a server in a new site, and stop it at the end with SIGTERM, which must give exit code 0.

    `settings` are key paths with their values (`{"limits.recipients": 2}`) on top of free ports on 127.0.0.1 and
    `durability = "none"`; `users` get mailboxes and their domains become ours; `plugins` is TOML, `[[plugin]]` tables
    and others that repeat; `passwords` are those of users.
    """
    with serve(make_site(folder, settings or {}, users, plugins, passwords)) as server:
        yield server


def serve_command(configuration: Path) -> list[str]:
    """What to run for a server."""
    return [sys.executable, "-m", "fastsmtp", "serve", "-c", str(configuration)]


@contextmanager
def serve(configuration: Path, environment: Mapping[str, str] | None = None) -> Iterator[ServerProcess]:
    """Start a server in a site that is there, and stop it at the end with SIGTERM, which must give exit code 0.

    A test may end it earlier. What an earlier server of the site printed is gone. It inherits our environment unless
    it is given one.
    """
    folder = configuration.parent
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        command = serve_command(configuration)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
    server = ServerProcess(folder, process, [], None)
    try:
        wait_until(lambda: process.poll() is not None or bool(_started(server)), "the server starts")
        assert process.poll() is None, f"exit code {process.returncode}: {server.stderr()}"
        started = _started(server)[0]
        server.smtp_addresses = [(host, port) for host, port in started["smtp"]]
        server.listeners = {one["name"]: one["address"] for one in started["listeners"]}
        server.metrics_address = tuple(started["metrics"]) if started["metrics"] else None
        yield server
        if process.poll() is None:
            assert server.stop() == 0, server.stderr()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def start_and_kill(configuration: Path, moment: Callable[[], object]) -> None:
    """Start a server in a site that is there, and SIGKILL it after `moment`, however far its start has come."""
    process = subprocess.Popen(serve_command(configuration), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        moment()
    finally:
        process.kill()
        process.wait()


def _started(server: ServerProcess) -> list[dict[str, Any]]:
    return [line for line in server.log_lines() if line.get("message") == "started"]
