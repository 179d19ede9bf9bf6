"""From a configuration to a server that runs: who it is to be, what it holds, which signals mean what."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Final

from fastsmtp.config.model import Settings
from fastsmtp.delivery.keeper import JournalKeeper
from fastsmtp.errors import StartError
from fastsmtp.log import LineLog, LogHandler, open_log
from fastsmtp.server.descriptors import allow_descriptors
from fastsmtp.server.processes.activation import activated_sockets
from fastsmtp.server.processes.doors import make_doors
from fastsmtp.server.processes.interpreter import Interpreter
from fastsmtp.server.processes.notify import Notifier
from fastsmtp.server.processes.pid_file import PidFile
from fastsmtp.server.processes.privileges import check_installation, check_ours, identity
from fastsmtp.server.processes.running import RunningServer
from fastsmtp.server.processes.supervisor import Site, Supervisor, worker_count
from fastsmtp.server.sockets import NO_CHANGE

__all__ = ["run"]

_PRIVATE: Final = 0o077
_ROOT: Final = 0
_TERMINAL: Final = Path("/dev/tty")

_log = logging.getLogger("fastsmtp.server")


def run(
    settings: Settings,
    load: Callable[[], Settings],
    *,
    announce: Callable[[RunningServer, Settings], None],
    ahead: list[Interpreter] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, drain, return the exit code 0. Raises ConfigurationError and StartError.

    The first workers are those that were started `ahead`.

    A second signal ends the drain at once. SIGHUP is a reload, for which `load` reads the settings again; SIGUSR1 opens
    the log file anew.
    """
    os.umask(_PRIVATE)
    allow_descriptors()
    who = identity(settings.process)
    with ExitStack() as stack:
        notifier = Notifier.from_environment(os.environ)
        stack.callback(notifier.close)
        activated = activated_sockets(os.environ)
        keeper = JournalKeeper(settings.maildir)
        stack.callback(keeper.close)
        with nullcontext() if who is None else who.assumed():
            check_installation()
            check_ours(settings.maildir.root, "maildir.root")
            check_ours(settings.maildir.journal, "maildir.journal")
            keeper.lock()
        owner = NO_CHANGE if who is None else (who.uid, who.gid)
        doors = make_doors(settings.listeners, worker_count(settings), activated, default_owner=owner)
        stack.callback(doors.close)
        if settings.process.pid_file is not None:
            pid_file = PidFile(settings.process.pid_file)
            pid_file.write(owner)
            stack.callback(pid_file.remove)
        if who is not None:
            who.assume()
        site = Site(settings, load, keeper, doors, activated, notifier, ahead or [])
        asyncio.run(_supervise(site, announce))
    return 0


async def _supervise(site: Site, announce: Callable[[RunningServer, Settings], None]) -> None:
    loop = asyncio.get_running_loop()
    log = _Log(site.settings, loop)
    signals = _Signals(loop)
    supervisor = Supervisor(site)
    serving = loop.create_task(_serve(site, supervisor, signals, log, announce))
    stop = loop.create_task(signals.stop.wait())
    try:
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving  # it only ends when the server cannot be started
    finally:
        stop.cancel()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await supervisor.stop(signals.hurry)
        _log.info("stopped")
        log.close()


async def _serve(
    site: Site,
    supervisor: Supervisor,
    signals: "_Signals",
    log: "_Log",
    announce: Callable[[RunningServer, Settings], None],
) -> None:
    """Start, and then whatever signals ask for; never ends by itself."""
    await supervisor.start()
    running = supervisor.running
    _log.info("started", extra=running.as_log())
    if os.geteuid() == _ROOT:
        _log.warning("the server runs as root; set [process] user, so that a fault in it is not a fault in everything")
    announce(running, site.settings)
    supervisor.ready()
    while True:
        await signals.something.wait()
        signals.something.clear()
        if signals.take(signal.SIGUSR1):
            log.reopen()
            supervisor.reopen_logs()
        if signals.take(signal.SIGHUP):
            await supervisor.reload()
            log.use(supervisor.settings)


class _Signals:
    """The first SIGTERM or SIGINT stops, the second one hurries; SIGHUP and SIGUSR1 wait until they are taken."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.something = asyncio.Event()
        self._arrived: set[signal.Signals] = set()
        self._had_terminal = _has_terminal()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGUSR1, self._arrive, signal.SIGUSR1)

    def take(self, number: signal.Signals) -> bool:
        """Whether this one has arrived since it was taken last."""
        has_arrived = number in self._arrived
        self._arrived.discard(number)
        return has_arrived

    def _end(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()

    def _hang_up(self) -> None:
        """A wish for a reload; or the end of the terminal in which somebody has tried us out."""
        if self._had_terminal and not _has_terminal():
            self._end()
        else:
            self._arrive(signal.SIGHUP)

    def _arrive(self, number: signal.Signals) -> None:
        self._arrived.add(number)
        self.something.set()


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class _Log:
    """The log of this process, which may become another one by a reload."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        """Raises StartError."""
        self._loop = loop
        self._install(settings, open_log(settings.log, loop))

    def use(self, settings: Settings) -> None:
        """Log as these settings say."""
        if settings.log == self._settings:
            return
        try:
            lines = open_log(settings.log, self._loop)
        except StartError as error:
            _log.error("%s", error)
            return
        self.close()
        self._install(settings, lines)

    def _install(self, settings: Settings, lines: LineLog) -> None:
        self._settings = settings.log
        self._lines = lines
        with ExitStack() as stack:
            stack.callback(lines.close)
            stack.enter_context(LogHandler(lines).installed(settings.log.level))
            self._stack = stack.pop_all()

    def reopen(self) -> None:
        """The file was moved away: begin a new one."""
        self._lines.reopen()

    def close(self) -> None:
        """Flush it, and let go of it."""
        self._stack.close()
