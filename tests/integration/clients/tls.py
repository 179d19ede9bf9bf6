"""A client that speaks TLS, by STARTTLS or from the start, and can stop to be polite at any moment."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

from certificates import NAME, as_toml, certificate, client_context, write
from integration.server import ServerProcess, running_server

EHLO: Final = b"EHLO client.example\r\n"
ENVELOPE: Final = b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
MESSAGE: Final = b"Subject: hello\r\n\r\ntext\r\n.\r\n"


@contextmanager
def tls_server(
    folder: Path,
    settings: Mapping[str, object] | None = None,
    passwords: Mapping[str, str] = MappingProxyType({}),
    plugins: str = "",
) -> Iterator[ServerProcess]:
    """A server that offers STARTTLS with a certificate for NAME; `passwords` are those of users."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"tls.certificates": [as_toml(write(folder, certificate()))]}
    with running_server(folder / "site", {**files, **(settings or {})}, passwords=passwords, plugins=plugins) as server:
        yield server


class PlainClient:
    """A TCP connection that has heard its greeting; lines are read without taking a byte too much."""

    def __init__(self, server: ServerProcess, connection: socket.socket | None = None) -> None:
        self.socket = connection or server.connect()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.greeting = self.reply()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def line(self) -> bytes:
        """The next line with its CRLF; empty at the end."""
        line = b""
        while not line.endswith(b"\r\n") and (octet := self.socket.recv(1)):
            line += octet
        return line

    def reply(self) -> str:
        """The next reply, all of its lines; empty at the end."""
        reply = line = self.line()
        while line[3:4] == b"-":
            line = self.line()
            reply += line
        return reply.decode().removesuffix("\r\n")

    def say(self, data: bytes) -> str:
        """Send exactly these bytes; the next reply."""
        self.socket.sendall(data)
        return self.reply()

    def rest(self) -> bytes:
        """Whatever else the server says, to its end."""
        said = b""
        while piece := self.socket.recv(65_536):
            said += piece
        return said

    def start_tls(self, context: ssl.SSLContext | None = None, name: str | None = NAME) -> ssl.SSLSocket:
        """The handshake; from here on everything is encrypted."""
        secured = (context or client_context()).wrap_socket(self.socket, server_hostname=name)
        self.socket = secured
        return secured


class TlsClient(PlainClient):
    """The same, after STARTTLS, and EHLO in TLS."""

    def __init__(self, server: ServerProcess, context: ssl.SSLContext | None = None, name: str | None = NAME) -> None:
        super().__init__(server)
        assert "\r\n250 STARTTLS" in self.say(EHLO)
        assert self.say(b"STARTTLS\r\n").startswith("220 ")
        self.secured = self.start_tls(context, name)
        assert "STARTTLS" not in self.say(EHLO)

    def deliver(self, message: bytes = MESSAGE) -> str:
        """A whole transaction; the reply to the message."""
        self.socket.sendall(ENVELOPE)
        assert [self.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        return self.say(message)
