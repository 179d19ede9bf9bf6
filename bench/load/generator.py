"""One run of the load generator: `bench/load/native`, in C, to take a fraction of what a server takes."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from bench.load.histogram import Histogram
from bench.load.messages import Weighted, of_size
from bench.native import program

__all__ = ["Load", "LoadResult", "RunningLoad", "recipients_file", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent, and how. It ends with `messages` or after `seconds`, whichever comes first."""

    mix: tuple[Weighted, ...] = (Weighted(4096, 1),)
    connections: int = 20
    opening: int = 64
    """So many of them may wait for their greeting at once, before the clock starts."""
    messages: int = 0
    seconds: float = 0.0
    per_connection: int = 0
    """Messages on one connection; 0 is no bound."""
    recipients_each: int = 1
    rate: float = 0.0
    """Messages a second whatever the server does, latency from the intended time; 0 sends when an answer came."""
    poisson: bool = False
    pipelining: bool = False
    chunking: bool = False
    no_mail: bool = False
    """Connect, greet and quit: that counts as a message."""
    tls: Literal["none", "starttls", "implicit"] = "none"
    threads: int = 1
    sources: int = 0
    """Addresses that the clients come from, 127.0.0.1 and following; 0 is one that the kernel chooses."""
    tolerate: int = 0
    """Refusals and lost connections before the run is given up."""
    generator: Literal["ours", "smtp-source"] = "ours"

    def arguments(self) -> list[str]:
        """Of the generator, without those that name files and the server."""
        given = [
            f"--connections={self.connections}",
            f"--opening={self.opening}",
            f"--per-connection={self.per_connection}",
            f"--recipients-each={self.recipients_each}",
            f"--threads={self.threads}",
            f"--sources={self.sources}",
            f"--tolerate={self.tolerate}",
        ]
        given += [f"--{name}={value}" for name in ("messages", "seconds", "rate") if (value := getattr(self, name))]
        flags = [name for name in ("poisson", "pipelining", "chunking", "no_mail") if getattr(self, name)]
        given += [f"--{name.replace('_', '-')}" for name in flags]
        return given if self.tls == "none" else [*given, f"--tls={self.tls}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What came of it. `cpu_s` is the generator's own, `seconds` from the start of the clock to the last 250."""

    messages: int
    seconds: float
    cpu_s: float
    octets: int
    connects: int
    refused_4xx: int
    refused_5xx: int
    lost: int
    unsent: int
    """Open loop: due in time, but no connection became free for them in ten seconds more."""
    abandoned: bool
    refusal: str
    """The first thing that went wrong."""
    latencies: Histogram = field(repr=False)

    @property
    def rate(self) -> float:
        """Acknowledged messages a second."""
        return self.messages / self.seconds if self.seconds else 0.0


def _parsed(said: dict[str, Any]) -> LoadResult:
    names = ("messages", "seconds", "cpu_s", "connects", "refused_4xx", "refused_5xx", "lost", "unsent", "abandoned")
    return LoadResult(
        octets=said["bytes"],
        refusal=said["refusal"],
        latencies=Histogram((value_ns, count) for value_ns, count in said["latencies_ns"]),
        **{name: said[name] for name in names},
    )


def message_file(folder: Path, octets: int) -> Path:
    """A file with the message of this size; made once."""
    path = folder / f"message-{octets}"
    if not path.exists():
        path.write_bytes(of_size(octets))
    return path


def recipients_file(folder: Path, recipients: Sequence[str]) -> Path:
    """A file with an address a line."""
    path = folder / "recipients"
    path.write_text("".join(f"{recipient}\n" for recipient in recipients))
    return path


class RunningLoad:
    """A generator at work. Use it in a `with`: `await_start`, then `result`."""

    def __init__(self, address: str, load: Load, recipients: Path, folder: Path, *, lmtp: bool = False) -> None:
        """Send to `address` (HOST:PORT or unix:PATH). Files that it needs are made in `folder`."""
        command = [str(program("load")), f"--to={address}", f"--recipients={recipients}", *load.arguments()]
        command += [f"--message={message_file(folder, part.octets)}:{part.weight}" for part in load.mix]
        if lmtp:
            command.append("--lmtp")
        if sys.stderr.isatty():
            command.append("--progress")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - a narrowing for the type checker
        if line := self._process.stdout.readline():
            return line
        raise SystemExit(f"the load generator ended with {self._process.wait()}")

    def await_start(self) -> None:
        """Until every connection is greeted, and the clock starts. Raises SystemExit when it comes to nothing."""
        self._line()

    def result(self) -> LoadResult:
        """At the end. Its connections are still open for a moment. Refusals are in it, up to `tolerate` of them."""
        return _parsed(json.loads(self._line()))


def run(address: str, load: Load, recipients: Path, folder: Path, *, lmtp: bool = False) -> LoadResult:
    """Send, and wait for the end. Raises SystemExit when the generator cannot run."""
    with RunningLoad(address, load, recipients, folder, lmtp=lmtp) as running:
        running.await_start()
        return running.result()
