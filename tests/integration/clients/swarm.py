"""Many connections at once, all of which do the same: what an attacker has."""

import resource
import selectors
import socket
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from integration.server import DEADLINE_S, ServerProcess
from refusals import plain

_TOGETHER: Final = 500
"""So many wait for their greeting at once: less than the kernel keeps waiting for the server."""


def total(lines: Mapping[str, int], beginning: str) -> int:
    """How many begin so."""
    return sum(count for line, count in lines.items() if line.startswith(beginning))


class Swarm:
    """`count` connections from `source` (any of 127.0.0.0/8 will do) that have heard what they were greeted with.

    `receive_bytes` is about how much of what the server says the kernel keeps for each that does not read.
    """

    def __init__(
        self, server: ServerProcess, count: int, source: str = "127.0.0.1", *, receive_bytes: int | None = None
    ) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.sockets: list[socket.socket] = []
        self.greetings: Counter[str] = Counter()
        try:
            for first in range(0, count, _TOGETHER):
                fresh = [self._connect(server, source, receive_bytes) for _ in range(min(_TOGETHER, count - first))]
                self.sockets += fresh
                self.greetings.update(plain(self._line(one)) for one in fresh)
        except BaseException:
            self.close()
            raise
        for one in self.sockets:
            one.setblocking(False)

    @staticmethod
    def _connect(server: ServerProcess, source: str, receive_bytes: int | None) -> socket.socket:
        one = socket.socket()
        if receive_bytes is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        one.settimeout(DEADLINE_S)
        one.bind((source, 0))
        one.connect((server.host, server.port))
        return one

    @staticmethod
    def _line(one: socket.socket) -> str:
        """What comes up to the first line end, which is all there is at a greeting."""
        said = b""
        while not said.endswith(b"\n") and (more := one.recv(1024)):
            said += more
        return said.decode().rstrip("\r\n")

    def say(self, data: bytes) -> int:
        """Send to all as much as they take; how many are still there."""
        left = 0
        for one in self.sockets:
            try:
                one.send(data)
                left += 1
            except BlockingIOError:
                left += 1
            except OSError:
                pass
        return left

    def hear(self, seconds: float, beginning: str = "", times: int | None = None) -> Counter[str]:
        """The lines that come within so many seconds, or until so many begin so; `closed` for each end."""
        heard: Counter[str] = Counter()
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for one in self.sockets:
                selector.register(one, selectors.EVENT_READ)
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                if times is not None and total(heard, beginning) >= times:
                    break
                for key, _ in selector.select(left):
                    said = self._read(key.fileobj)
                    heard.update(map(plain, said.decode().splitlines() or ["closed"]))
                    if not said:
                        selector.unregister(key.fileobj)
        return heard

    @staticmethod
    def _read(one: object) -> bytes:
        assert isinstance(one, socket.socket)
        try:
            return one.recv(65_536)
        except BlockingIOError:
            return b"\n"
        except OSError:
            return b""

    def close(self) -> None:
        """All of them, at once."""
        for one in self.sockets:
            one.close()
        self.sockets.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
