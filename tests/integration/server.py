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
from signal import SIGSTOP, SIGTERM, Signals
from types import MappingProxyType
from typing import Any, Final

from argon2.profiles import CHEAPEST
from prometheus_client.parser import text_string_to_metric_families

from fastsmtp.config.template import render_bare
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.schemes import hash_password
from fastsmtp.smtp.address import parse_mailbox

DEADLINE_S: Final = 60.0
"""Nothing that a test waits for takes this long, even on a busy machine."""

_DEFAULTS: Final[Mapping[str, object]] = {
    "hostname": "mx.example.test",
    "listen.smtp": ["127.0.0.1:0"],
    "metrics.listen": "127.0.0.1:0",
    "maildir.durability": "none",
    "listen.workers": 1,
    # A machine that is busy with other things is no overload that a test has asked for.
    "overload.lag": 0,
    "overload.commit": 0,
}


def wait_until(condition: Callable[[], bool], what: str = "") -> None:
    """Look until the condition holds. Raises AssertionError when it has not by the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what or condition}"
        time.sleep(0.01)


@dataclass(slots=True)
class ServerProcess:
    """A server that runs: a supervisor, and one worker unless it is asked for more.

    `folder` has its configuration, its database, its output and its mail.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    smtp_addresses: list[tuple[str, int]]
    metrics_address: tuple[str, int] | None
    listeners: dict[str, str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self.process.pid

    def workers(self) -> list[int]:
        """The processes of the workers that live, the eldest first."""
        return children(self.pid)

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

    def troubles(self) -> list[dict[str, Any]]:
        """What the log has of warnings and worse; not that tests are run by root."""
        grave = [line for line in self.log_lines() if line.get("level") in ("warning", "error", "critical")]
        return [line for line in grave if "runs as root" not in line["message"]]

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def http(self, path: str) -> str:
        """What is to be read there."""
        assert self.metrics_address is not None
        host, port = self.metrics_address
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=DEADLINE_S) as response:
            return str(response.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name (as it stands in /metrics) that have these labels."""
        families = text_string_to_metric_families(self.http("/metrics"))
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        assert samples, f"no metric {name}"
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def descriptors(self) -> int:
        """How many files and sockets the workers have open, all together."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.workers())

    def memory_bytes(self) -> int:
        """Resident memory of the workers, all together."""
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in self.workers()]
        lines = [line for status in statuses for line in status.splitlines() if line.startswith("VmRSS:")]
        return sum(int(line.split()[1]) * 1024 for line in lines)

    def signal(self, number: Signals = SIGTERM) -> None:
        """To the supervisor."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once the supervisor has ended, and with it the workers."""
        return self.process.wait(DEADLINE_S)

    def stop(self, number: Signals = SIGTERM) -> int:
        """Ask it to end, and return the exit code. SIGKILL is for the supervisor alone, and no worker outlives that."""
        workers = self.workers()
        self.signal(number)
        return end(self.process, DEADLINE_S, workers)


def children(pid: int) -> list[int]:
    """The processes that this one has started, the eldest first; none when it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def state(pid: int) -> str:
    """The letter of proc(5): R, S, T, Z; Z also for a process that is not there any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and not only what nobody has asked about since it ended."""
    return state(pid) != "Z"


def is_stopped(pid: int) -> bool:
    """Whether it starts nothing any more: SIGSTOP has reached it, or it has ended."""
    return state(pid) in "TZ"


def end(process: "subprocess.Popen[bytes]", timeout_s: float, workers: Sequence[int] = ()) -> int:
    """The exit code of a supervisor, once it has ended and these workers of it, too."""
    code = process.wait(timeout_s)
    wait_until(lambda: not any(map(is_alive, workers)), "the workers end with their supervisor")
    return code


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

    `settings` are key paths with their values (`{"limits.recipients": 2}`) on top of free ports on 127.0.0.1, one
    worker and `durability = "none"`; `users` get mailboxes and their domains become ours; `plugins` is TOML,
    `[[plugin]]` tables and others that repeat; `passwords` are those of users.
    """
    with serve(make_site(folder, settings or {}, users, plugins, passwords)) as server:
        yield server


def serve_command(configuration: Path) -> list[str]:
    """What to run for a server."""
    return [sys.executable, "-m", "fastsmtp", "serve", "-c", str(configuration)]


@contextmanager
def serve(
    configuration: Path,
    environment: Mapping[str, str] | None = None,
    *,
    starter: Sequence[str] = (),
    descriptors: Sequence[int] = (),
) -> Iterator[ServerProcess]:
    """Start a server in a site that is there, and stop it at the end with SIGTERM, which must give exit code 0.

    A test may end it earlier. What an earlier server of the site printed is gone. It inherits our environment unless
    it is given one, and these descriptors. `starter` is a command that runs the one that is behind it.
    """
    folder = configuration.parent
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        command = [*starter, *serve_command(configuration)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, pass_fds=descriptors
        )
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
        kill(process)


def start_and_kill(configuration: Path, moment: Callable[[], object]) -> None:
    """Start a server in a site that is there, and SIGKILL it after `moment`, however far its start has come."""
    process = subprocess.Popen(serve_command(configuration), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        moment()
    finally:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL a supervisor, if it is still there; returns when no worker of it is left."""
    workers = []
    if process.poll() is None:
        process.send_signal(SIGSTOP)
        wait_until(lambda: is_stopped(process.pid), "it starts no more workers")
        workers = children(process.pid)
    process.kill()
    end(process, DEADLINE_S, workers)


def _started(server: ServerProcess) -> list[dict[str, Any]]:
    return [line for line in server.log_lines() if line.get("message") == "started"]
