"""Postfix's smtp-source(1) as a second generator, that shares no line with ours: both should find the same server."""

import os
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from bench.load.generator import Load, LoadResult
from bench.load.histogram import Histogram

__all__ = ["RunningSmtpSource", "missing"]

_SENDER: Final = "sender@load.example"
_HEADER_OCTETS: Final = 160
"""Of what it writes above its X's: about."""


def missing() -> str:
    """What is needed and not here; empty when it can be used."""
    return "" if _program() else "smtp-source not found; it comes with postfix"


def _program() -> str | None:
    from bench.peers.peer import find_program

    return find_program("smtp-source")


class RunningSmtpSource:
    """It at work, used as RunningLoad is. It tells no latencies, knows one recipient, and stops after `messages`."""

    def __init__(self, address: str, load: Load, recipients: Path, folder: Path, *, lmtp: bool = False) -> None:
        """Send to the first of `recipients`. Raises ValueError for a load that it has no options for."""
        plain = Load(
            mix=load.mix,
            connections=load.connections,
            opening=load.opening,
            messages=load.messages,
            per_connection=load.per_connection,
            generator="smtp-source",
        )
        if load != plain or not load.messages or load.per_connection > 1 or len(load.mix) > 1:
            raise ValueError(f"smtp-source cannot send {load}")
        self._messages = load.messages
        self._octets = load.mix[0].octets
        self._errors = folder / "smtp-source"
        command = [str(_program()), "-s", str(load.connections), "-m", str(load.messages), "-f", _SENDER]
        command += ["-l", str(max(1, self._octets - _HEADER_OCTETS)), "-M", "load.example"]
        command += ["-t", recipients.read_text().split()[0]]
        command += [*(["-L"] if lmtp else []), *([] if load.per_connection else ["-d"]), address]
        self._begun = time.monotonic()
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            self._process.wait()

    def await_start(self) -> None:
        """It begins at once."""

    def result(self) -> LoadResult:
        """At the end. One refusal ends it, and then nobody knows how many messages were taken."""
        _, status, usage = os.wait4(self._process.pid, 0)
        seconds = time.monotonic() - self._begun
        self._process.returncode = os.waitstatus_to_exitcode(status)
        failed = self._process.returncode != 0
        return LoadResult(
            messages=0 if failed else self._messages,
            seconds=seconds,
            cpu_s=usage.ru_utime + usage.ru_stime,
            octets=0 if failed else self._messages * self._octets,
            connects=0,
            refused_4xx=0,
            refused_5xx=0,
            lost=int(failed),
            unsent=0,
            abandoned=failed,
            refusal=self._errors.read_text(errors="replace").strip()[-500:] if failed else "",
            latencies=Histogram(),
        )
