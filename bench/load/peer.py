"""A server process under measurement: start it, give it a round of load, see what that cost."""

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from load.closed_loop import as_chunk, message, run

__all__ = ["DOMAIN", "RECIPIENTS", "Peer", "Round", "fastsmtp", "spread"]

DOMAIN = "bench.example"
RECIPIENTS = tuple(f"user{number}@{DOMAIN}" for number in range(100))
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

CONFIGURATION = """\
hostname = "mx.{domain}"
[listen]
smtp = ["127.0.0.1:0"]
[directory]
url = "sqlite:directory.db"
[maildir]
root = "mail"
durability = "{durability}"
[metrics]
listen = false
[log]
destination = "fastsmtp.log"
"""


@dataclass(frozen=True, slots=True)
class Round:
    """Microseconds of CPU (user and system, all threads) for each message, and messages a second."""

    cpu_us: float
    rate: float


class Peer:
    """A server that runs in `folder`. `port_of` is where it tells its port: "stdout", or its log."""

    def __init__(self, name: str, command: list[str], port_of: str, folder: Path) -> None:
        self.name = name
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, text=True)
        self._folder = folder
        self._port = self._find_port(port_of)

    def _find_port(self, port_of: str) -> int:
        if port_of == "stdout":
            assert self._process.stdout is not None  # noqa: S101 - a narrowing for the type checker
            return int(self._process.stdout.readline())
        log = self._folder / port_of
        while True:  # the server's own start time is bounded; a dead process ends the wait
            lines = log.read_text().splitlines(keepends=True) if log.exists() else []
            for line in lines:
                if line.endswith("\n") and "smtp" in (said := json.loads(line)):
                    return int(said["smtp"][0][1])
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name} did not start")

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._port

    def memory_bytes(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def take(
        self,
        *,
        connections: int,
        messages: int,
        size: int,
        tls: ssl.SSLContext | None = None,
        by_bdat: bool = False,
    ) -> Round:
        """One round: so many messages of `size` octets to `RECIPIENTS` in turn."""
        before = self.cpu_seconds()
        load = uvloop.run(
            run(
                self._port,
                connections=connections,
                messages=messages,
                body=as_chunk(message(size)) if by_bdat else message(size),
                recipients=RECIPIENTS,
                tls=tls,
            )
        )
        if load.refused:
            raise SystemExit(f"{self.name} refused: {load.refused[0]}")
        return Round((self.cpu_seconds() - before) / load.messages * 1e6, load.messages / load.seconds)

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(30)


def fastsmtp(name: str, folder: Path, durability: str, more: str = "") -> Peer:
    """Ours, without plugins, in a new site; `more` is TOML."""
    from fastsmtp.directory.admin import SqliteAdmin

    folder.mkdir()
    (folder / "fastsmtp.toml").write_text(CONFIGURATION.format(domain=DOMAIN, durability=durability) + more)
    with SqliteAdmin(folder / "directory.db", create=True) as admin:
        admin.add_domain(DOMAIN)
        for recipient in RECIPIENTS:
            admin.add_user(recipient)
    return Peer(name, [sys.executable, "-m", "fastsmtp", "serve", "-c", "fastsmtp.toml"], "fastsmtp.log", folder)


def spread(values: Sequence[float]) -> str:
    """The least and the most of them, in brackets."""
    return f"({min(values):.0f}..{max(values):.0f})"
