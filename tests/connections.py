"""A connection with everything around it: a transport that writes down what it is told, a store that tests fulfil."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from admissions import admission
from certificates import TlsClient
from refusals import without_ids
from unit.server.tls.test_layer import server_context

from fastsmtp.config.model import Settings
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.log import LineLog
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.plugin import Address
from fastsmtp.ports import Directory, MessageStore, Whereabouts
from fastsmtp.server.clock import SystemClock
from fastsmtp.server.connection import ConnectionProtocol
from fastsmtp.server.identifiers import Identifiers
from fastsmtp.server.pace import Patience
from fastsmtp.server.round import AtOnce
from fastsmtp.server.service import Service
from fastsmtp.server.shared import ConnectionStats, Shared
from fastsmtp.server.tls.handshake import TlsStats
from fastsmtp.server.tls.offer import TlsOffer
from fastsmtp.smtp.load import Load
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import Transaction
from fastsmtp.stats import Stats


class Transport(asyncio.Transport):
    """Keeps every single write apart."""

    def __init__(self, socket: socket.socket | None = None, peer: tuple[str, int] | str = ("192.0.2.1", 4711)) -> None:
        super().__init__({"peername": peer, "sockname": ("192.0.2.2", 25), "socket": socket})
        self.writes: list[bytes] = []
        self.calls: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol: Any = protocol  # a ConnectionProtocol is an asyncio.Protocol by what it can do only

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol


class Store:
    """Gives out futures, which the test fulfils."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[Reply]] = []

    def store(self, transaction: Transaction) -> asyncio.Future[Reply]:
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Broken:
    """A directory with a fault in its code."""

    def locate(self, address: Address) -> Whereabouts:
        raise ZeroDivisionError("secret detail")

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Rig:
    """A connection with everything around it."""

    def __init__(self, log: LineLog, directory: Directory | None = None, **limits: int) -> None:
        self.stats = Stats()
        self.fake = Store()
        store: MessageStore = self.fake
        clock = SystemClock()
        pipeline = Pipeline(
            Chain([], self.stats, clock), directory or MemoryDirectory(["alice@example.test"]), store, self.stats
        )
        self.shared = Shared(
            asyncio.get_running_loop(),
            admission(self.stats, **limits),
            ConnectionStats(self.stats, pipeline.asks),
            clock,
            log,
            Identifiers(clock.time),
        )
        self.shared.round = AtOnce()
        self.load = Load(self.stats)
        options = SessionOptions("mx.example.org", asks=pipeline.asks, load=self.load, nonmail_commands=0, commands=0)
        self.service = Service("test", self.shared, options, Patience.of(Settings()), pipeline)

    def offer_tls(self, *, implicit: bool = False) -> TlsStats:
        """From here on there is TLS."""
        stats = TlsStats(self.stats)
        self.service.options = replace(self.service.options, starttls=not implicit)
        self.service.tls = TlsOffer(server_context(), implicit, 20.0, stats, self.shared.clock)
        return stats

    def connect(self, socket: socket.socket | None = None) -> tuple[ConnectionProtocol, Transport]:
        protocol, transport = ConnectionProtocol(self.service), Transport(socket)
        protocol.connection_made(transport)
        return protocol, transport

    def limits(self) -> dict[str, int]:
        """Limits that were reached, and how often."""
        family = next(family for family in self.stats.families() if family.name == "fastsmtp_limits_total")
        counts = {values[0]: self.stats.cells[index] for values, index in family.children.items()}
        return {limit: count for limit, count in counts.items() if count}

    def gauge(self) -> int:
        return self.stats.cells[self.shared.stats.open]


@contextmanager
def opened_log(tmp_path: Path) -> Iterator[LineLog]:
    log = LineLog.open(tmp_path / "log")
    yield log
    log.close()


def with_rig(tmp_path: Path, test: Callable[[Rig], None], directory: Directory | None = None) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            test(Rig(log, directory))

    asyncio.run(body())


class Encrypted:
    """A client in TLS; `handshake` comes first."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._client = TlsClient()

    def handshake(self) -> str:
        """What the server says at its end."""
        answer = b""
        while not self._client.is_secured:
            self._transport.writes.clear()
            self._transport.protocol.data_received(self._client.handshake(answer))
            answer = b"".join(self._transport.writes)
        self._transport.writes.clear()
        sent = self._client.handshake()
        assert sent == b""
        return without_ids(self._client.decrypt(answer)).decode()

    def say(self, data: bytes) -> str:
        self._transport.writes.clear()
        self._transport.protocol.data_received(self._client.encrypt(data))
        return without_ids(self._client.decrypt(b"".join(self._transport.writes))).decode()
