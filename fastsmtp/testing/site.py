"""A server in memory."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypeVar

from argon2.profiles import CHEAPEST

from fastsmtp.config.model import PluginEntry
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.directory.passwords import PasswordChecker
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.loader import LoadedPlugin, load_plugins
from fastsmtp.pipeline.login import LoginDesk
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.plugin import AnyPlugin, Services
from fastsmtp.ports import Directory, Logins, MessageStore
from fastsmtp.smtp.counters import ReplyCounter
from fastsmtp.smtp.effects import ClientChanged, Ended, Flush, StartTls
from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.options import AuthOptions, SessionOptions
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.sasl import MECHANISMS, ScramKeys
from fastsmtp.smtp.scram import derive_keys
from fastsmtp.smtp.session import Session
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection, Recipient, Transaction
from fastsmtp.state.memory import MemoryBuckets, MemoryRecords
from fastsmtp.stats import Stats
from fastsmtp.testing.client import Client
from fastsmtp.testing.resolver import MemoryResolver
from fastsmtp.testing.world import MemoryLists, MemoryStore, SettableClock
from fastsmtp.testing.zone import ZoneSpec

__all__ = ["PluginSpec", "Site"]

PluginSpec: TypeAlias = str | type[AnyPlugin] | tuple[str | type[AnyPlugin], Mapping[str, Any]] | Mapping[str, Any]
"""A plugin: its name or class, that with its options, or a whole `[[plugin]]` table whose `use` may be a class."""

T = TypeVar("T")

_TLS: Final = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)


class Site:
    """A server in memory; use it in a `with` statement, which starts and stops its plugins.

    `users` are addresses whose domains become ours; `passwords` are further ones, and with them AUTH is on offer, in
    plain text too (even with `{}`, for a `directory` or a plugin that knows some). `session` is whatever
    `SessionOptions` takes (`message_size=...`).
    With `starttls=True` TLS is on offer, and is on, as `tls` says, once a client has heard the 220: there is no
    handshake, and what the client sent in the same breath is thrown away, as a server does it.

    `zone` is what the DNS knows, as lines of `NAME TYPE DATA`; `resolver` can also be slow or in trouble.

    With `byte_by_byte` clients send single bytes. `transactions` are those that ended, `delivered` the mail by mailbox
    (of the MemoryStore), `clock` the only time there is, except for the timeouts of plugins, which are real. `buckets`
    and `records` are what plugins share, `lists` those of the directory.

    Raises PluginLoadError like the server, and whatever a plugin raises when it starts.
    """

    def __init__(
        self,
        plugins: Iterable[PluginSpec] = (),
        users: Iterable[str] = ("user@example.test",),
        *,
        passwords: Mapping[str, str] | None = None,
        plugin_path: Sequence[Path] = (),
        directory: Directory | None = None,
        store: MessageStore | None = None,
        zone: ZoneSpec = "",
        byte_by_byte: bool = False,
        **session: Any,
    ) -> None:
        memory = MemoryStore()
        self.clock = SettableClock()
        self.buckets = MemoryBuckets(self.clock)
        self.records = MemoryRecords(self.clock)
        self.lists = MemoryLists()
        self.stats = Stats()
        self.directory: Directory = directory or _directory(users, passwords or {})
        self.store: MessageStore = store or memory
        self.resolver = MemoryResolver(zone)
        self.delivered = memory.delivered
        self.transactions: list[Transaction] = []
        self.plugins = _load(plugins, plugin_path)
        chain = Chain(self.plugins, self.stats, self.clock)
        self._checker: PasswordChecker | None = None
        login_desk: LoginDesk | None = None
        if passwords is not None:
            if not isinstance(self.directory, Logins) or (directory is not None and passwords):
                raise TypeError("give the passwords to the directory, and `passwords={}`")
            self._checker = PasswordChecker(parameters=CHEAPEST, secret=b"the same in every test")
            login_desk = LoginDesk(chain, self.directory, self._checker, self.stats, MECHANISMS)
            session = {"auth": AuthOptions(mechanisms(MECHANISMS), require_tls=False), **session}
        self.pipeline = Pipeline(chain, self.directory, self.store, self.stats, login_desk=login_desk)
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

    def connect(
        self,
        ip: str = "192.0.2.1",
        port: int = 49152,
        *,
        tls: TlsFacts | None = None,
        is_known: bool = False,
        talks_early: bool = False,
        listener: str = "",
    ) -> Client:
        """A client from this address; what it heard first is its `greeting`. With `tls`, all of it is encrypted.

        `is_known`: mail of it was stored lately. `talks_early`: it has spoken before the greeting.
        """
        connection = Connection(next(self._connection_ids), ip, port, "192.0.2.25", 25, listener=listener)
        connection.is_known, connection.early_talker = is_known, talks_early
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

    @property
    def _services(self) -> Services:
        return Services(
            directory=self.directory,
            clock=self.clock,
            hostname=self.options.hostname,
            buckets=self.buckets,
            records=self.records,
            resolver=self.resolver,
            lists=self.lists,
        )

    async def _start(self) -> None:
        await self.directory.open()
        await self.store.open()
        for loaded in self.plugins:
            await loaded.plugin.start(self._services)
            self._started.append(loaded)

    async def _stop(self) -> None:
        await self.pipeline.settle()
        for loaded in reversed(self._started):
            await loaded.plugin.stop()
        if self._checker is not None:
            self._checker.close()
        await self.store.close()
        await self.directory.close()


class _ServerEnd:
    """Drives one session as a connection does."""

    def __init__(self, site: Site, session: Session) -> None:
        self.is_open = True
        self._site = site
        self._session = session
        self._said: list[bytes] = []
        session.open()

    @property
    def connection(self) -> Connection:
        """What plugins see of the client; another one after XCLIENT."""
        return self._session.connection

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
            if isinstance(effect, ClientChanged):
                site.pipeline.disconnected(effect.previous)
                session.resume(None)
                continue
            transaction = session.transaction
            if transaction is not None and not transaction.begun_ns:
                transaction.begun_ns = site.clock.monotonic_ns()
            answer = site.pipeline.answer(effect, session.connection, transaction)
            if answer is not None and not isinstance(answer, Reply | Recipient | ScramKeys):
                answer = await answer
            session.resume(answer)
        return False


def _directory(users: Iterable[str], passwords: Mapping[str, str]) -> MemoryDirectory:
    """Keys of SCRAM serve every mechanism, and these are quickly made."""
    directory = MemoryDirectory(users)
    for user, password in passwords.items():
        directory.add_user(user, password_hash=str(derive_keys(password, b"salt of a test", 4096)))
    return directory


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
