"""Puts a server together from its settings, runs it, and takes it down without dropping anything."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import uvloop

from fastsmtp import __version__
from fastsmtp._clients import ClientTable
from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.model import Settings
from fastsmtp.config.places import Door, ListenAddress
from fastsmtp.delivery.maildir import MaildirStore
from fastsmtp.directory.backend import cached_directory, check_logins
from fastsmtp.directory.passwords import PasswordChecker
from fastsmtp.errors import DirectoryError, StartError
from fastsmtp.log import LineLog, LogHandler, open_log
from fastsmtp.metrics import build_registry
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.loader import LoadedPlugin, load_plugins
from fastsmtp.pipeline.login import LoginDesk
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.plugin import Services, Stage
from fastsmtp.server.admission import Admission
from fastsmtp.server.build import build_pipelines, session_options
from fastsmtp.server.clients import new_client_memory
from fastsmtp.server.clock import SystemClock
from fastsmtp.server.connection import ConnectionProtocol
from fastsmtp.server.deadlines import Deadlines
from fastsmtp.server.descriptors import allow_descriptors, descriptors_for_connections
from fastsmtp.server.http import MetricsServer
from fastsmtp.server.identifiers import identifiers
from fastsmtp.server.listeners import Listeners
from fastsmtp.server.overload import Overload
from fastsmtp.server.pace import Patience
from fastsmtp.server.proxy.protocol import ProxyPolicy, ProxyProtocol, ProxyStats
from fastsmtp.server.refusals import Refusals
from fastsmtp.server.service import Service, Trust
from fastsmtp.server.shared import ConnectionStats, Shared
from fastsmtp.server.tls.contexts import ignore_bad_names
from fastsmtp.server.tls.handshake import TlsStats
from fastsmtp.server.tls.offer import Credentials, TlsOffer
from fastsmtp.server.watch import LoadWatch
from fastsmtp.smtp.load import Load
from fastsmtp.stats import Stats

__all__ = ["RunningListener", "RunningServer", "Server", "run"]

_PRIVATE: Final = 0o077
_CUT_S: Final = 5.0
"""How long clients may take to read our 421 once the drain has run out."""

_log = logging.getLogger("fastsmtp.server")


@dataclass(frozen=True, slots=True)
class RunningListener:
    """Where a listener has come to listen."""

    name: str
    address: Door
    protocol: str = "smtp"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a server listens."""

    listeners: list[RunningListener]
    metrics_address: tuple[str, int] | None

    @property
    def smtp_addresses(self) -> list[tuple[str, int]]:
        """Host and port of those on TCP."""
        addresses = (listener.address for listener in self.listeners)
        return [(address.host, address.port) for address in addresses if isinstance(address, ListenAddress)]


def _admission(settings: Settings, stats: Stats) -> Admission:
    """At the door of a server that has one worker."""
    limits, overload = settings.limits, settings.overload
    table = ClientTable(new_client_memory(1, limits.connections), 0)
    return Admission(
        table,
        limits,
        Overload(overload.calm),
        Refusals(stats),
        known_s=overload.known,
        descriptors=descriptors_for_connections(allow_descriptors()),
    )


class Server:
    """One worker: everything between its sockets and its disks."""

    def __init__(self, settings: Settings, log: LineLog) -> None:
        """Raises ConfigurationError."""
        self._settings = settings
        self.stats = Stats()
        log.count_losses(self.stats)
        self._clock = SystemClock()
        self._plugins: list[LoadedPlugin] = load_plugins(settings.plugin, settings.plugin_path)
        self._directory = cached_directory(settings.directory, settings.postmaster, self._clock, self.stats)
        self._store = MaildirStore(settings.maildir, settings.hostname, self._clock, self.stats)
        self._passwords = PasswordChecker(waiting=settings.auth.waiting) if settings.has_auth else None
        entries = settings.listeners
        self.pipelines = build_pipelines(entries, self._plugins, self._build_pipeline)
        loop = asyncio.get_running_loop()
        self._shared = Shared(
            loop,
            _admission(settings, self.stats),
            ConnectionStats(self.stats, frozenset[Stage]().union(*(pipeline.asks for pipeline in self.pipelines))),
            self._clock,
            log,
            identifiers(self._clock.time),
        )
        tls_stats = TlsStats(self.stats, [str(files) for files in settings.tls.certificates])
        self._credentials = Credentials(settings.tls, tls_stats, self._clock) if settings.tls.is_on else None
        load = Load(self.stats, settings.limits.message_memory)
        self._services = [
            self._service(entry, pipeline, load) for entry, pipeline in zip(entries, self.pipelines, strict=True)
        ]
        proxy_stats = ProxyStats(self.stats)
        self._protocols = [
            self._protocol(entry, service, proxy_stats) for entry, service in zip(entries, self._services, strict=True)
        ]
        self._deadlines = Deadlines(loop, self._shared.open)
        self._watch = LoadWatch(self._shared, settings, load, self._store.room, lambda: self._store.busy_s, self.stats)
        self._listeners = Listeners(entries, settings.listen.backlog)
        self._metrics: MetricsServer | None = None
        self._started: list[LoadedPlugin] = []

    async def start(self) -> RunningServer:
        """Backends, plugins, then the doors. Raises StartError; what had started is stopped again."""
        try:
            await self._directory.open()
            if self._passwords is not None:
                await check_logins(self._directory)
            await self._store.open()
            await self._start_plugins()
            self._deadlines.start()
            if self._credentials is not None:
                self._credentials.start()
            self._watch.start()
            bound = await self._listeners.start(self._protocols)
            metrics_address = await self._start_metrics()
        except DirectoryError as error:
            await self.stop(drain_s=0)
            raise StartError(f"the directory cannot be used: {error}") from error
        except BaseException:
            await self.stop(drain_s=0)
            raise
        listeners = [
            RunningListener(service.name, one.address, service.options.protocol)
            for service, one in zip(self._services, bound, strict=True)
        ]
        return RunningServer(listeners, metrics_address)

    def _service(self, entry: ListenerEntry, pipeline: Pipeline, load: Load) -> Service:
        settings, store = self._settings, self._store
        options = session_options(settings, entry, pipeline, store.room, store.spools.new, load)
        trust = Trust(entry.xclient, replace(options, xclient=True)) if entry.xclient else None
        patience = Patience.of(settings)
        return Service(entry.title, self._shared, options, patience, pipeline, self._tls_offer(entry), trust)

    def _protocol(self, entry: ListenerEntry, service: Service, stats: ProxyStats) -> Callable[[], asyncio.Protocol]:
        """What makes the other end of a connection that comes in here."""
        if not entry.proxy:
            return partial(ConnectionProtocol, service)
        policy = ProxyPolicy(entry.proxy, self._settings.timeouts.proxy_header, stats)
        return partial(ProxyProtocol, service, policy)

    def _tls_offer(self, entry: ListenerEntry) -> TlsOffer | None:
        if self._credentials is None or entry.tls == "off":
            return None
        return self._credentials.offer(implicit=entry.tls == "implicit")

    def _build_pipeline(self, plugins: Sequence[LoadedPlugin]) -> Pipeline:
        chain = Chain(plugins, self.stats, self._clock)
        login_desk: LoginDesk | None = None
        if self._passwords is not None:
            mechanisms = self._settings.auth.mechanisms
            login_desk = LoginDesk(chain, self._directory, self._passwords, self.stats, mechanisms)
        return Pipeline(chain, self._directory, self._store, self.stats, self._store.quotas, login_desk)

    async def stop(self, drain_s: float) -> None:
        """Take nothing new, finish what is under way within `drain_s` seconds, let go of everything."""
        self._shared.draining = True
        self._listeners.stop()
        await self._drain(drain_s)
        self._deadlines.stop()
        if self._credentials is not None:
            await self._credentials.stop()
        self._watch.stop()
        for pipeline in self.pipelines:
            await pipeline.settle()
        for loaded in reversed(self._started):
            try:
                await loaded.plugin.stop()
            except Exception:  # noqa: BLE001 - the others are to be stopped all the same
                _log.exception("plugin does not stop", extra={"plugin": loaded.name})
        if self._passwords is not None:
            self._passwords.close()
        await self._store.close()
        await self._directory.close()
        if self._metrics is not None:
            await self._metrics.close()

    async def _drain(self, drain_s: float) -> None:
        for connection in list(self._shared.open):
            connection.drain()
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

    def _ailment(self) -> str:
        """Why nobody should send us mail; empty when all is well."""
        if self._shared.draining:
            return "draining"
        return "the disk has failed; see the log" if self._store.has_failed else ""

    def _weakness(self) -> str:
        """Why others should be sent mail first; empty when all is well."""
        if ailment := self._ailment():
            return ailment
        if sign := self._shared.admission.overload.reason:
            return f"overloaded: {sign}"
        return "degraded: the directory is away, known recipients only" if self._directory.is_degraded else ""

    async def _start_plugins(self) -> None:
        services = Services(self._directory, self._clock)
        for loaded in self._plugins:
            try:
                await loaded.plugin.start(services)
            except Exception as error:  # whatever a plugin raises, the operator reads one sentence
                raise StartError(f"plugin {loaded.name} does not start: {type(error).__name__}: {error}") from error
            self._started.append(loaded)

    async def _start_metrics(self) -> tuple[str, int] | None:
        listen = self._settings.metrics.listen
        if listen is None:
            return None
        self._metrics = MetricsServer(
            listen, build_registry(self.stats), ailment=self._ailment, weakness=self._weakness
        )
        await self._metrics.start()
        return self._metrics.address


def run(settings: Settings, *, announce: Callable[[RunningServer], None]) -> int:
    """Serve until SIGTERM or SIGINT, drain, return the exit code 0. Raises StartError and PluginLoadError.

    A second signal ends the drain at once. SIGUSR1 opens the log file anew.
    """
    os.umask(_PRIVATE)
    ignore_bad_names()
    uvloop.run(_serve(settings, announce))
    return 0


async def _serve(settings: Settings, announce: Callable[[RunningServer], None]) -> None:
    loop = asyncio.get_running_loop()
    log = open_log(settings.log, loop)
    with contextlib.closing(log), LogHandler(log).installed(settings.log.level):
        server = Server(settings, log)
        signals = _Signals(loop)
        loop.add_signal_handler(signal.SIGUSR1, log.reopen)
        running = await server.start()
        _log.info(
            "started",
            extra={
                "version": __version__,
                "smtp": running.smtp_addresses,
                "listeners": [
                    {"name": one.name, "address": str(one.address), "protocol": one.protocol}
                    for one in running.listeners
                ],
                "metrics": running.metrics_address,
            },
        )
        announce(running)
        gc.freeze()  # what is there now stays: no collection needs to walk over it again
        await signals.first.wait()
        stopping = loop.create_task(server.stop(settings.timeouts.drain))
        hurry = loop.create_task(signals.second.wait())
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not stopping.done():
            server.abort()
        await stopping
        _log.info("stopped")


class _Signals:
    """The first SIGTERM or SIGINT drains, the second one ends the drain."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived)

    def _arrived(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
