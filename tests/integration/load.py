"""Clients that keep a server busy: short connections, and long ones; each knows what it was promised."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

from integration.server import DEADLINE_S, ServerProcess

__all__ = ["Load", "loaded"]

_CLIENTS: Final = {"short": 3, "long": 2}

SHORT_S: Final = 2.0
"""Who ends by himself within so many seconds does not notice a reload."""

_USER: Final = "alice@example.test"


class Load:
    """`promised` are the names of the messages whose 250 was heard; `heard` counts what else happened:

    `refused` connections that were refused, `lost` that ended without a word, and replies other than 2xx and 3xx, by
    who heard them (`short 421`; who took longer than `SHORT_S` over a message, for whatever reason, is `long`).
    """

    def __init__(self, server: ServerProcess) -> None:
        self.promised: set[str] = set()
        self.heard = Counter[str]()
        self._server = server
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{kind}-{number}", 1 if kind == "short" else 50))
            for kind, clients in _CLIENTS.items()
            for number in range(clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def _run(self, name: str, messages: int) -> None:
        for number in count():
            if self._end.is_set():
                return
            self._connection(f"{name}-{number}", messages)

    def _connection(self, name: str, messages: int) -> None:
        try:
            client = socket.create_connection((self._server.host, self._server.port), DEADLINE_S)
        except ConnectionRefusedError:
            self.heard["refused"] += 1
            return
        except ConnectionResetError:  # the listener was killed in the middle of the handshake
            self.heard["lost"] += 1
            return
        with client, client.makefile("rb") as replies:
            try:
                self._talk(client, replies, name, messages)
            except (ConnectionError, EOFError):
                self.heard["lost"] += 1

    def _talk(self, client: socket.socket, replies: object, name: str, messages: int) -> None:
        begun = time.monotonic()

        def reply(wanted: str) -> bool:
            line = b""
            while line[3:4] != b" ":
                line = replies.readline()  # type: ignore[attr-defined] # a buffered reader
                if not line:
                    raise EOFError
            if line.startswith(wanted.encode()):
                return True
            is_short = messages == 1 and time.monotonic() < begun + SHORT_S
            self.heard[f"{'short' if is_short else 'long'} {line[:3].decode()}"] += 1
            return False

        def say(line: str, wanted: str) -> bool:
            client.sendall(line.encode() + b"\r\n")
            return reply(wanted)

        if not reply("220") or not say("EHLO client.example.org", "250"):
            return
        for number in range(messages):
            if self._end.is_set():
                break
            message = f"{name}-{number}"
            if not say("MAIL FROM:<ann@example.org>", "250") or not say(f"RCPT TO:<{_USER}>", "250"):
                return
            if not say("DATA", "354") or not say(f"Subject: {message}\r\n\r\nText\r\n.", "250"):
                return
            self.promised.add(message)
        say("QUIT", "221")

    def check(self) -> None:
        """Everything that was promised is stored, once; nothing else but what was being said at the end."""
        stored = Counter(
            line.removeprefix(b"Subject: ").decode()
            for message in self._server.messages(_USER)
            for line in message.splitlines()
            if line.startswith(b"Subject: ")
        )
        assert not self.promised - stored.keys()
        assert max(stored.values()) == 1


@contextmanager
def loaded(server: ServerProcess) -> Iterator[Load]:
    """A server that is busy meanwhile."""
    load = Load(server)
    load.start()
    try:
        yield load
    finally:
        load.stop()
