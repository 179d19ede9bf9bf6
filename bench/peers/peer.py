"""What a peer is: a server that can be measured, and how one is started and ended."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from bench.account import Account, open_account
from bench.load.generator import Load

__all__ = [
    "LOOPBACK",
    "Launch",
    "Peer",
    "RunningPeer",
    "Site",
    "count_files",
    "find_program",
    "free_port",
    "needs_programs",
    "output_of",
]

LOOPBACK: Final = "127.0.0.1"
_LOWEST_PORT: Final = 10_000

_START_S: Final = 60.0
_STOP_S: Final = 30.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Site:
    """A folder that is the peer's own, and the mailboxes that it is to have."""

    folder: Path
    domain: str
    users: Sequence[str]

    @property
    def mail(self) -> Path:
        """Where the Maildirs are, or will be: `domain/user`."""
        return self.folder / "mail"

    @property
    def addresses(self) -> list[str]:
        """Of the users, in order."""
        return [f"{user}@{self.domain}" for user in self.users]


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start it."""

    command: list[str]
    address: str | None
    """HOST:PORT; None: the first line that it prints is the port on the loopback."""
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    metrics: str | None = None
    """HOST:PORT of its /metrics."""
    beside: list[str] | None = None
    """What has to run beside it, in nobody's account: the DNS that it asks."""


class Peer(ABC):
    """A server and its configuration. One that is measured in several ways is several peers."""

    name: str
    promise: str
    """What its 250 stands for."""
    is_lmtp: ClassVar[bool] = False
    stores: ClassVar[bool] = True
    most_connections: ClassVar[int] = 10_000
    """More than this it does not take at once, or not in its usual configuration."""

    @abstractmethod
    def missing(self) -> str:
        """What it needs and is not here, as a sentence; empty when it can run."""

    @abstractmethod
    def version(self) -> str:
        """As it says itself."""

    @abstractmethod
    def prepare(self, site: Site) -> Launch:
        """Write its configuration into the site."""

    def suited(self, load: Load) -> Load:
        """The load as this peer is to get it: two that differ in this only say what it costs."""
        return load

    def settled(self, site: Site) -> bool:  # noqa: ARG002 - most peers have nothing to look at
        """Whether all that it has acknowledged is in the mailboxes."""
        return True

    def stored(self, site: Site) -> int:
        """Messages in the mailboxes."""
        return count_files(site.mail.glob("*/*/new"))


class RunningPeer:
    """A peer's process, its account and its address. Use it in a `with`; at its end nothing of it runs any more."""

    def __init__(self, peer: Peer, site: Site) -> None:
        """Start it. Raises SystemExit when it does not come up."""
        self.peer = peer
        self.site = site
        launch = peer.prepare(site)
        self.metrics = launch.metrics
        self._stop_signal = launch.stop_signal
        self.account: Account = open_account(peer.name)
        self._log = site.folder / "output"
        self._beside = _start_beside(launch.beside)
        begun = time.monotonic()
        with self._log.open("wb") as err:
            self._process = subprocess.Popen(
                self.account.command(launch.command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if launch.address is None else err,
                stderr=err,
                cwd=site.folder,
                env={**os.environ, **launch.environment},
                start_new_session=True,  # Ctrl-C is for the bench, which ends them
            )
        self.account.started(self._process.pid)
        try:
            self.address = launch.address or self._printed_port()
            self._await_banner()
        except BaseException:
            self.stop()
            raise
        self.start_s = time.monotonic() - begun
        """To the first banner."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _printed_port(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - a narrowing for the type checker
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            self._give_up()
        return f"{LOOPBACK}:{int(line)}"

    def _await_banner(self) -> None:
        host, _, port = self.address.rpartition(":")
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((host, int(port)), 1) as connection:
                connection.settimeout(10)
                if connection.recv(512).startswith(b"220"):
                    connection.sendall(b"QUIT\r\n")
                    connection.recv(512)
                    return
            if self._process.poll() is not None:
                break
            time.sleep(_POLL_S)
        self._give_up()

    def _give_up(self) -> None:
        said = self._log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{self.peer.name} does not start:\n{said}")

    def is_alive(self) -> bool:
        """Whether what was started still runs."""
        return self._process.poll() is None

    def await_settled(self, within_s: float) -> None:
        """Until all that was acknowledged is in the mailboxes. Raises SystemExit when that takes too long."""
        deadline = time.monotonic() + within_s
        while not self.peer.settled(self.site):
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.peer.name} has not delivered everything after {within_s:.0f} s")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Ask it to end, and see to it that nothing is left."""
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self.account.close()
        if self._beside is not None:
            self._beside.kill()
            self._beside.wait()


def _start_beside(command: list[str] | None) -> "subprocess.Popen[bytes] | None":
    if command is None:
        return None
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def free_port() -> int:
    """A port of the loopback that nobody has now, and that the kernel gives to nobody before the peer is there."""
    given_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(_LOWEST_PORT, max(given_out, 2 * _LOWEST_PORT))  # noqa: S311 - nothing is secret here
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return port


def find_program(program: str) -> str | None:
    """Its path, also where Debian has servers."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def needs_programs(package: str, *programs: str) -> str:
    """A sentence when one of the programs is not here."""
    absent = [program for program in programs if find_program(program) is None]
    return f"{', '.join(absent)} not found; it comes with {package}" if absent else ""


def output_of(*command: str) -> str:
    """The first line that a command prints; empty when it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "")


def count_files(folders: Iterable[Path]) -> int:
    """How many files lie in these folders together."""
    return sum(1 for folder in folders for _ in folder.iterdir())
