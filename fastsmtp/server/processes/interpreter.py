"""A process for a worker: a fresh interpreter that imports what all workers need, and then waits for its handover.

`serve` starts one ahead, before it has read its own modules: both take as long, and so they do it side by side. Nothing
that takes long is imported here.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Self

__all__ = ["Interpreter", "line_pair", "started_ahead"]

_MODULE: Final = "fastsmtp.server.processes.worker"

_HELD: Final = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1}
"""What may reach a whole process group; a worker takes it when it is ready for it."""

_OF_THE_SUPERVISOR: Final = {
    "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
}  # fmt: skip
"""What systemd says in the environment is for nobody else."""

_ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One process, and our end of the line to it."""

    process: subprocess.Popen[bytes]
    line: socket.socket

    @classmethod
    def start(cls) -> Self:
        """Raises OSError."""
        # The folder that we were started in is where modules are looked for only if that was so for us.
        options = [] if os.getcwd() in sys.path else ["-P"]  # noqa: PTH109 - sys.path has texts
        environment = {name: value for name, value in os.environ.items() if name not in _OF_THE_SUPERVISOR}
        ours, theirs = line_pair()
        command = [sys.executable, *options, "-m", _MODULE, str(theirs.fileno()), str(os.getpid())]
        try:
            with theirs, _held_signals():
                process = subprocess.Popen(  # noqa: S603 - ourselves
                    command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment
                )
        except OSError:
            ours.close()
            raise
        return cls(process, ours)

    def end(self) -> None:
        """It is not needed."""
        self.line.close()
        self.process.kill()
        self.process.wait()


def line_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that belong together. Raises OSError."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@contextmanager
def started_ahead(document: Mapping[str, Any]) -> Iterator[list[Interpreter]]:
    """An interpreter for the first worker of a server with this configuration; whoever needs it takes it out.

    None where the supervisor becomes another user: a worker never may more than its supervisor.
    """
    interpreters: list[Interpreter] = []
    try:
        if not _becomes_somebody(document):
            with suppress(OSError):  # the supervisor hears of it when it needs one
                interpreters.append(Interpreter.start())
        yield interpreters
    finally:
        for interpreter in interpreters:
            interpreter.end()


def _becomes_somebody(document: Mapping[str, Any]) -> bool:
    """Whether the supervisor may be going to take another user's place."""
    process = document.get("process")
    return os.geteuid() == _ROOT and isinstance(process, dict) and bool(process.get("user"))


@contextmanager
def _held_signals() -> Iterator[None]:
    """A process that is started meanwhile has these signals blocked until it says otherwise."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
