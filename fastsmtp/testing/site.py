"""A server in memory."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypeVar

from fastsmtp.config.model import PluginEntry
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.loader import LoadedPlugin, load_plugins
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.plugin import AnyPlugin, Services
from fastsmtp.ports import Directory, MessageStore
from fastsmtp.smtp.counters import ReplyCounter
from fastsmtp.smtp.effects import Ended, Flush, StartTls
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.session import Session
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection, Recipient, Transaction
from fastsmtp.stats import Stats
from fastsmtp.testing.client import Client
from fastsmtp.testing.world import MemoryStore, SettableClock

__all__ = ["PluginSpec", "Site"]

PluginSpec: TypeAlias = str | type[AnyPlugin] | tuple[str | type[AnyPlugin], Mapping[str, Any]] | Mapping[str, Any]
"""A plugin: its name or class, that with its options, or a whole `[[plugin]]` table whose `use` may be a class."""

T = TypeVar("T")

_TLS: Final = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)


class Site:
    """A server in memory; use it in a `with` statement, which starts and stops its plugins.

    `users` are addresses whose domains become ours; `session` is whatever `SessionOptions` takes (`message_size=...`).
    With `starttls=True` TLS is on offer, and is on, as `tls` says, once a client has heard the 220: there is no
    handshake, and what the client sent in the same breath is thrown away, as a server does it.

    With `byte_by_byte` clients send single bytes. `transactions` are those that ended, `delivered` the mail by mailbox
    (of the MemoryStore), `clock` the only time there is, except for the timeouts of plugins, which are real.

    Raises PluginLoadError like the server, and whatever a plugin raises when it starts.
    """

    def __init__(
        self,
        plugins: Iterable[PluginSpec] = (),
        users: Iterable[str] = ("user@example.test",),
        *,
        plugin_path: Sequence[Path] = (),
        directory: Directory | None = None,
        store: MessageStore | None = None,
        byte_by_byte: bool = False,
        **session: Any,
    ) -> None:
        memory = MemoryStore()
        self.clock = SettableClock()
        self.stats = Stats()
        self.directory: Directory = directory or MemoryDirectory(users)
        self.store: MessageStore = store or memory
        self.delivered = memory.delivered
        self.transactions: list[Transaction] = []
        self.plugins = _load(plugins, plugin_path)
        self.pipeline = Pipeline(Chain(self.plugins, self.stats, self.clock), self.directory, self.store, self.stats)
        self.options = SessionOptions(**{"hostname": "mx.example.test", "asks": self.pipeline.asks, **session})
        self.byte_by_byte = byte_by_byte
        self.tls = _TLS
        self._replies = ReplyCounter(self.stats)
        self._connection_ids = (f"C{number}" for number in count(1))
        self._transaction_ids = (f"T{number}" for number in count(1))
        self._clients: list[Client] = []
        self._started: list[LoadedPlugin] = []
        self._runner: asyncio.Runner | None = None

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        try:
            self.run(self._start())
        except BaseException:
            with self._runner:
                self.run(self._stop())
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._runner is None:
            raise RuntimeError("the site was not entered")
        with self._runner:
            for client in self._clients:
                client.disconnect()
            self.run(self._stop())

    def connect(self, ip: str = "192.0.2.1", port: int = 49152, *, tls: TlsFacts | None = None) -> Client:
        """A client from this address; what it heard first is its `greeting`. With `tls`, all of it is encrypted."""
        connection = Connection(next(self._connection_ids), ip, port, "192.0.2.25", 25)
        session = Session(self.options, connection, self._replies, self._transaction_ids)
        if tls is not None:
            session.secured(tls)
        client = Client(_ServerEnd(self, session))
        self._clients.append(client)
        return client

    def count(self, name: str, **labels: str) -> int:
        """The sum of a counter over all children with these labels. Raises KeyError for a counter that is not there."""
        family = next((family for family in self.stats.families() if family.name == name), None)
        if family is None:
            raise KeyError(name)
        wanted = {(family.labels.index(label.rstrip("_")), value) for label, value in labels.items()}
        return sum(
            self.stats.cells[cell] for values, cell in family.children.items() if wanted <= set(enumerate(values))
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the site's event loop, in which its plugins live."""
        if self._runner is None:
            work.close()
            raise RuntimeError("say `with Site(...) as site:`")
        return self._runner.run(work)

    async def _start(self) -> None:
        await self.directory.open()
        await self.store.open()
        for loaded in self.plugins:
            await loaded.plugin.start(Services(self.directory, self.clock))
            self._started.append(loaded)

    async def _stop(self) -> None:
        await self.pipeline.settle()
        for loaded in reversed(self._started):
            await loaded.plugin.stop()
        await self.store.close()
        await self.directory.close()


class _ServerEnd:
    """Drives one session as a connection does."""

    def __init__(self, site: Site, session: Session) -> None:
        self.connection = session.connection
        self.is_open = True
        self._site = site
        self._session = session
        self._said: list[bytes] = []
        session.open()

    def feed(self, data: bytes) -> bytes:
        """Take bytes; what the server wrote when it has nothing more to say."""
        return self._site.run(self._feed(data))

    def lose(self) -> None:
        """The client is gone."""
        if self.is_open:
            self._session.lose()
            self.feed(b"")

    async def _feed(self, data: bytes) -> bytes:
        step = 1 if self._site.byte_by_byte else len(data)
        for start in range(0, len(data), step) if data else (0,):
            self._session.feed(data[start : start + step])
            if await self._advance():
                break
        if self._session.closing and self.is_open:
            self.is_open = False
            self._site.pipeline.disconnected(self.connection)
        await self._site.pipeline.settle()
        said = b"".join([*self._said, self._session.take_output()])
        self._said.clear()
        return said

    async def _advance(self) -> bool:
        """Answer the session's questions; whether TLS has been switched on."""
        session, site = self._session, self._site
        while (effect := session.advance()) is not None:
            if isinstance(effect, StartTls):
                session.secured(site.tls)
                return True
            if isinstance(effect, Flush):
                self._said.append(session.take_output())
                continue
            if isinstance(effect, Ended):
                site.transactions.append(effect.transaction)
                site.pipeline.ended(effect.transaction)
                continue
            transaction = session.transaction
            if transaction is not None and not transaction.begun_ns:
                transaction.begun_ns = site.clock.monotonic_ns()
            answer = site.pipeline.answer(effect, session.connection, transaction)
            if answer is not None and not isinstance(answer, Reply | Recipient):
                answer = await answer
            session.resume(answer)
        return False


def _load(specs: Iterable[PluginSpec], plugin_path: Sequence[Path]) -> list[LoadedPlugin]:
    entries: list[PluginEntry] = []
    classes: dict[str, type[AnyPlugin]] = {}
    for spec in specs:
        table: dict[str, Any]
        match spec:
            case str() | type():
                table = {"use": spec}
            case tuple():
                table = {"use": spec[0], "options": spec[1]}
            case _:
                table = dict(spec)
        use = table.get("use")
        if isinstance(use, type):
            name = table.setdefault("name", use.__name__)
            classes.setdefault(name, use)
            table["use"] = f"{use.__module__}:{use.__qualname__}"
        entries.append(PluginEntry(**table))
    return load_plugins(entries, plugin_path, classes)
