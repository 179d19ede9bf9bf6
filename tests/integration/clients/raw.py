"""A client that sends exactly the bytes that it is given."""

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from integration.clients.senders import stuffed
from integration.clients.wire import stored_id


class RawClient:
    """One connection; the banner is read already."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._replies = connection.makefile("rb")
        assert self.reply().startswith(b"220 ")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._replies.close()
        self._connection.close()

    def reply(self) -> bytes:
        """The next reply, all of its lines."""
        lines = [self._replies.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(self._replies.readline())
        assert lines[-1].endswith(b"\r\n"), lines
        return b"".join(lines)

    def say(self, line: bytes) -> bytes:
        """The reply to a command line, to which CRLF is added."""
        self._connection.sendall(line + b"\r\n")
        return self.reply()

    def send(self, data: bytes) -> None:
        """These bytes, and nothing is read."""
        self._connection.sendall(data)

    def deliver(
        self,
        content: bytes,
        recipients: Sequence[bytes] = (b"<alice@example.test>",),
        sender: bytes = b"<ann@example.org>",
    ) -> str:
        """A whole transaction; `sender` and `recipients` are paths with parameters. Returns the id."""
        paths = [b"MAIL FROM:" + sender, *(b"RCPT TO:" + recipient for recipient in recipients)]
        for line in paths:
            reply = self.say(line)
            assert reply.startswith(b"250 "), (line, reply)
        assert self.say(b"DATA").startswith(b"354 ")
        return self.finish(content)

    def finish(self, content: bytes) -> str:
        """The message behind DATA. Returns the id."""
        self.send(stuffed(content))
        return stored_id(self.reply())
