"""Puts a worker together from its settings, starts it, and takes it down without dropping anything."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from fastsmtp._buckets import BucketTable
from fastsmtp._clients import ClientTable
from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.model import Settings
from fastsmtp.delivery.maildir import MaildirStore
from fastsmtp.directory.backend import cached_directory, check_logins, stored_lists
from fastsmtp.dns.resolver import CachedResolver
from fastsmtp.errors import DirectoryError, StartError
from fastsmtp.log import LineLog
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.loader import LoadedPlugin, load_plugins
from fastsmtp.pipeline.login import LoginDesk
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.plugin import Services, Stage
from fastsmtp.records.file import RecordFile
from fastsmtp.records.writer import RecordWriter
from fastsmtp.server.admission import Admission
from fastsmtp.server.build import build_pipelines, session_options
from fastsmtp.server.clock import SystemClock
from fastsmtp.server.connection import ConnectionProtocol
from fastsmtp.server.deadlines import Deadlines
from fastsmtp.server.descriptors import allow_descriptors, descriptors_for_connections
from fastsmtp.server.identifiers import Identifiers
from fastsmtp.server.listeners import Listeners
from fastsmtp.server.overload import Overload
from fastsmtp.server.pace import Patience
from fastsmtp.server.proxy.protocol import ProxyPolicy, ProxyProtocol, ProxyStats
from fastsmtp.server.refusals import Refusals
from fastsmtp.server.service import Service, Trust
from fastsmtp.server.shared import ConnectionStats, Shared
from fastsmtp.server.tls.handshake import TlsStats
from fastsmtp.server.tls.offer import TlsCertificates, TlsOffer
from fastsmtp.server.watch import LoadWatch
from fastsmtp.smtp.load import Load
from fastsmtp.state.backend import state
from fastsmtp.state.host import HostBuckets
from fastsmtp.stats import Stats

if TYPE_CHECKING:
    from fastsmtp.directory.passwords import PasswordChecker

__all__ = ["Server"]

_CUT_S: Final = 5.0
"""How long clients may take to read our 421 once the drain has run out."""

_PLUGIN_START_S: Final = 60.0
"""A plugin that has not started by then never will: whoever waits for the server is told why it does not come."""

_PLUGIN_STOP_S: Final = 5.0
"""What is behind it, the store for one, is to be closed before somebody kills the process."""

_log = logging.getLogger("fastsmtp.server")


def _admission(settings: Settings, stats: Stats, clients: ClientTable) -> Admission:
    overload = settings.overload
    descriptors = descriptors_for_connections(allow_descriptors())
    if descriptors < settings.limits.connections:
        _log.warning("not enough open files for limits.connections", extra={"connections": descriptors})
    return Admission(
        clients,
        settings.limits,
        Overload(overload.calm),
        Refusals(stats),
        known_s=overload.known,
        descriptors=descriptors,
    )


def _passwords(settings: Settings) -> "PasswordChecker":
    from fastsmtp.directory.passwords import PasswordChecker  # argon2 is slow to import, and few have AUTH on an MX

    return PasswordChecker(waiting=settings.auth.waiting)


class Server:
    """One worker: everything between its sockets and its disks.

    `seat` is its number among all workers that live, which is that of its ring in the journal.
    """

    def __init__(
        self,
        settings: Settings,
        log: LineLog,
        stats: Stats,
        clients: ClientTable,
        buckets: BucketTable,
        seat: int = 0,
    ) -> None:
        """Raises ConfigurationError."""
        self._settings = settings
        self.stats = stats
        self._seat = seat
        log.count_losses(self.stats)
        self._clock = SystemClock()
        self._plugins: list[LoadedPlugin] = load_plugins(settings.plugin, settings.plugin_path)
        here = HostBuckets(buckets, self._clock, self.stats)
        self._state = state(settings.state, here, self._clock, self.stats)
        self._directory = cached_directory(settings.directory, settings.postmaster, self._clock, self.stats)
        self._store = MaildirStore(settings.maildir, settings.hostname, self._clock, self.stats)
        self._lists = stored_lists(settings.directory)
        self._resolver = CachedResolver(settings.dns, self._clock, self.stats)
        self._passwords = _passwords(settings) if settings.has_auth else None
        entries = settings.listeners
        self.pipelines = build_pipelines(entries, self._plugins, self._build_pipeline)
        loop = asyncio.get_running_loop()
        self._shared = Shared(
            loop,
            _admission(settings, self.stats, clients),
            ConnectionStats(self.stats, frozenset[Stage]().union(*(pipeline.asks for pipeline in self.pipelines))),
            self._clock,
            log,
            Identifiers(self._clock.time, seat),
            self._record_writer(loop),
        )
        tls_stats = TlsStats(self.stats, [str(files) for files in settings.tls.certificates])
        self._credentials = TlsCertificates(settings.tls, tls_stats, self._clock) if settings.tls.is_on else None
        load = Load(self.stats, settings.limits.message_memory)
        self._services = [
            self._service(entry, pipeline, load) for entry, pipeline in zip(entries, self.pipelines, strict=True)
        ]
        proxy_stats = ProxyStats(self.stats)
        protocols = [
            self._protocol(entry, service, proxy_stats) for entry, service in zip(entries, self._services, strict=True)
        ]
        self._deadlines = Deadlines(loop, self._shared.open)
        self._watch = LoadWatch(self._shared, settings, load, self._store.room, lambda: self._store.busy_s, self.stats)
        self._listeners = Listeners(protocols, settings.listen.backlog)
        self._started: list[LoadedPlugin] = []

    async def start(self, sockets: Sequence[Sequence[int]], *, sweeps: bool = True) -> None:
        """Backends, plugins, then the doors: the descriptors of each listener. One worker `sweeps` for all.

        Raises StartError; what had started is stopped again.
        """
        try:
            await self._directory.open()
            if self._passwords is not None:
                await check_logins(self._directory)
            await self._store.open(self._seat, sweeps=sweeps)
            if self._plugins:
                await self._state.open()
            await self._start_plugins()
            self._deadlines.start()
            if self._shared.records is not None:
                self._shared.records.start()
            if self._credentials is not None:
                self._credentials.start()
            self._watch.start()
            await self._listeners.start(sockets)
        except DirectoryError as error:
            await self.stop(drain_s=0)
            raise StartError(f"the directory cannot be used: {error}") from error
        except BaseException:
            await self.stop(drain_s=0)
            raise

    async def adopt(self, slot: int, listener: int, descriptor: int) -> None:
        """Take connections from a socket of another slot, too: its own worker keeps dying. Raises StartError."""
        await self._listeners.adopt(slot, listener, descriptor)

    def give_back(self, slot: int) -> None:
        """That slot has a worker again."""
        self._listeners.give_back(slot)

    def _record_writer(self, loop: asyncio.AbstractEventLoop) -> RecordWriter | None:
        settings = self._settings.records
        if not settings.enabled:
            return None
        return RecordWriter(RecordFile(self._settings.records_file, settings.keep, settings.size), loop, self.stats)

    def _service(self, entry: ListenerEntry, pipeline: Pipeline, load: Load) -> Service:
        settings, store = self._settings, self._store
        options = session_options(settings, entry, pipeline, store.room, store.spools.new, load)
        trust = Trust(entry.xclient, replace(options, xclient=True)) if entry.xclient else None
        patience = Patience.of(settings)
        return Service(entry.title, self._shared, options, patience, pipeline, self._tls_offer(entry), trust)

    def _protocol(self, entry: ListenerEntry, service: Service, stats: ProxyStats) -> Callable[[], asyncio.Protocol]:
        """What makes the other end of a connection that comes in here."""
        if not entry.proxy:
            return cast("Callable[[], asyncio.Protocol]", partial(ConnectionProtocol, service))
        policy = ProxyPolicy(entry.proxy, self._settings.timeouts.proxy_header, stats)
        return partial(ProxyProtocol, service, policy)

    def _tls_offer(self, entry: ListenerEntry) -> TlsOffer | None:
        if self._credentials is None or entry.tls == "off":
            return None
        return self._credentials.offer(implicit=entry.tls == "implicit")

    def _build_pipeline(self, plugins: Sequence[LoadedPlugin]) -> Pipeline:
        chain = Chain(plugins, self.stats, self._clock, remembers=self._settings.records.enabled)
        login_desk: LoginDesk | None = None
        if self._passwords is not None:
            mechanisms = self._settings.auth.mechanisms
            login_desk = LoginDesk(chain, self._directory, self._passwords, self.stats, mechanisms)
        return Pipeline(chain, self._directory, self._store, self.stats, self._store.quotas, login_desk)

    def close_doors(self) -> None:
        """Take nothing new; those who are here notice nothing of it."""
        self._listeners.stop()

    async def stop(self, drain_s: float, grace_s: float = 0.0) -> None:
        """Take nothing new, finish what is under way within `drain_s` seconds, let go of everything.

        Whoever has a successor may be in less of a hurry: in the first `grace_s` seconds of these clients notice
        nothing, and afterwards they may finish the transaction that they are in.
        """
        self.close_doors()
        grace_s = min(grace_s, drain_s)
        if grace_s > 0:
            await asyncio.sleep(0)  # who was accepted in this turn of the loop is there in the next one
            await self._is_empty(grace_s)
        self._shared.draining = True
        await self._drain(drain_s - grace_s, finishing=grace_s > 0)
        self._deadlines.stop()
        if self._credentials is not None:
            await self._credentials.stop()
        self._watch.stop()
        for pipeline in self.pipelines:
            await pipeline.settle()
        for loaded in reversed(self._started):
            try:
                async with asyncio.timeout(_PLUGIN_STOP_S):
                    await loaded.plugin.stop()
            except Exception:  # noqa: BLE001 - the others are to be stopped all the same
                _log.exception("plugin does not stop", extra={"plugin": loaded.name})
        await self._lists.close()
        await self._resolver.close()
        if self._passwords is not None:
            self._passwords.close()
        await self._state.close()
        await self._store.close()
        await self._directory.close()
        if self._shared.records is not None:
            await self._shared.records.close()

    async def _drain(self, drain_s: float, *, finishing: bool) -> None:
        for connection in list(self._shared.open):
            connection.drain(finishing=finishing)
        if await self._is_empty(drain_s):
            return
        _log.warning("drain ran out of time", extra={"connections": len(self._shared.open)})
        for connection in list(self._shared.open):
            connection.cut()
        if not await self._is_empty(_CUT_S):
            self.abort()
            await self._is_empty(_CUT_S)

    def abort(self) -> None:
        """Close every connection now; what is being stored is stored all the same."""
        for connection in list(self._shared.open):
            connection.abort()

    async def _is_empty(self, within_s: float) -> bool:
        """Whether the last connection leaves in time."""
        if self._shared.open and within_s > 0:
            self._shared.emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._shared.emptied.wait(), within_s)
        return not self._shared.open

    @property
    def disk_has_failed(self) -> bool:
        """Whether nothing that the disk shows can be trusted any more."""
        return self._store.has_failed

    @property
    def ailment(self) -> str:
        """Why nobody should send us mail; empty when all is well."""
        if self._shared.draining:
            return "draining"
        return "the disk has failed; see the log" if self.disk_has_failed else ""

    @property
    def weakness(self) -> str:
        """Why others should be sent mail first; empty when all is well."""
        if ailment := self.ailment:
            return ailment
        if sign := self._shared.admission.overload.reason:
            return f"overloaded: {sign}"
        return "degraded: the directory is away, known recipients only" if self._directory.is_degraded else ""

    async def _start_plugins(self) -> None:
        services = Services(
            directory=self._directory,
            clock=self._clock,
            hostname=self._settings.hostname,
            buckets=self._state.buckets,
            records=self._state.records,
            resolver=self._resolver,
            lists=self._lists,
        )
        for loaded in self._plugins:
            limit = asyncio.timeout(_PLUGIN_START_S)
            try:
                async with limit:
                    await loaded.plugin.start(services)
            except Exception as error:  # whatever a plugin raises, the operator reads one sentence
                reason = f"not within {_PLUGIN_START_S:g} s" if limit.expired() else f"{type(error).__name__}: {error}"
                raise StartError(f"plugin {loaded.name} does not start: {reason}") from error
            self._started.append(loaded)
