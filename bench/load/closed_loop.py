"""A closed-loop SMTP client: N connections, each sends one message after the other and waits for every reply."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

__all__ = ["Load", "as_chunk", "message", "run"]


@dataclass
class Load:
    """What was sent, and how it went. Latencies in seconds, from MAIL to the reply to the last dot."""

    messages: int = 0
    refused: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0


def message(size: int) -> bytes:
    """A message of about `size` octets with lines of 72, dot-stuffed, with its end."""
    header = (
        b"From: <a@bench.example>\r\nTo: <b@bench.example>\r\nSubject: bench\r\n"
        b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n"
    )
    line = b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n"
    return header + line * max(1, (size - len(header)) // len(line)) + b".\r\n"


def as_chunk(body: bytes) -> bytes:
    """A message with its end as one BDAT."""
    content = body.removesuffix(b".\r\n")
    return b"BDAT %d LAST\r\n%b" % (len(content), content)


class _Client(asyncio.Protocol):
    """One connection: a script of (command, expected class of the reply) per message, without pipelining.

    `body` is a message with its end, or the BDAT that is one.
    """

    def __init__(
        self,
        load: Load,
        recipient: Callable[[], str],
        body: bytes,
        done: asyncio.Future[None],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._load = load
        self._recipient = recipient
        self._body = body
        self._done = done
        self._tls = tls
        self._securing: asyncio.Task[None] | None = None
        self._left = 0
        self._step = 0
        self._buffer = b""
        self._begun = 0.0

    def begin(self, messages: int) -> None:
        """How many messages this connection is to send."""
        self._left = messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._buffer.endswith(b"\n") or self._buffer[self._buffer.rfind(b"\n", 0, -1) + 1 :][3:4] == b"-":
            return  # the last line of a reply has no hyphen behind its code
        reply, self._buffer = self._buffer, b""
        self._next(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._left and not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server hung up"))
        elif not self._done.done():
            self._done.set_result(None)

    def _next(self, reply: bytes) -> None:
        step, write = self._step, self._transport.write
        if reply[:1] not in b"23":
            self._load.refused.append(reply.decode(errors="replace"))
            self._left = 0
        if step == 0:
            write(b"EHLO bench.example\r\n")
        elif step == 1 and self._tls is not None:
            write(b"STARTTLS\r\n")
            step = 19
        elif step == 20:
            self._securing = asyncio.get_running_loop().create_task(self._secure())
            return
        elif step in {1, 5}:
            if step == 5:
                self._load.messages += 1
                self._load.latencies.append(time.perf_counter() - self._begun)
                self._left -= 1
            if self._left <= 0:
                write(b"QUIT\r\n")
                step = 9
            else:
                self._begun = time.perf_counter()
                write(b"MAIL FROM:<a@bench.example>\r\n")
                step = 1
        elif step == 2:
            write(b"RCPT TO:<%s>\r\n" % self._recipient().encode())
        elif step == 3 and self._body.startswith(b"BDAT "):
            write(self._body)
            step = 4
        elif step == 3:
            write(b"DATA\r\n")
        elif step == 4:
            write(self._body)
        self._step = step + 1

    async def _secure(self) -> None:
        """The handshake, and EHLO in TLS."""
        context, self._tls = self._tls, None
        if context is None:
            raise RuntimeError("no context")
        try:
            secured = await asyncio.get_running_loop().start_tls(
                cast("asyncio.WriteTransport", self._transport), self, context, server_hostname="mx.bench.example"
            )
        except OSError as error:
            self._load.refused.append(str(error))
            self._done.set_exception(error)
            return
        self._transport = cast("asyncio.WriteTransport", secured)
        self._transport.write(b"EHLO bench.example\r\n")
        self._step = 1


async def run(
    port: int,
    *,
    connections: int,
    messages: int,
    body: bytes,
    recipients: Sequence[str],
    tls: ssl.SSLContext | None = None,
) -> Load:
    """Send `messages` over `connections` to 127.0.0.1:`port`, recipients in turn; with `tls`, behind STARTTLS."""
    loop = asyncio.get_running_loop()
    load = Load()
    position = 0

    def recipient() -> str:
        nonlocal position
        position += 1
        return recipients[position % len(recipients)]

    begun = time.perf_counter()
    waits = []
    for index in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        client = _Client(load, recipient, body, done, tls)
        client.begin(messages // connections + (index < messages % connections))
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
        waits.append(done)
    await asyncio.gather(*waits)
    load.seconds = time.perf_counter() - begun
    return load
