"""The process that stays: it holds sockets, journal and counts, starts the workers, and answers for all of them."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fastsmtp.config.model import Settings
from fastsmtp.delivery.keeper import JournalKeeper
from fastsmtp.errors import ConfigurationError, FastsmtpError, StartError
from fastsmtp.server.clients import ClientMemory
from fastsmtp.server.http import MetricsServer
from fastsmtp.server.processes import health
from fastsmtp.server.processes.activation import ActivatedSocket
from fastsmtp.server.processes.crew import Crew, Generation, Inheritance
from fastsmtp.server.processes.doors import Doors, make_doors
from fastsmtp.server.processes.interpreter import Interpreter
from fastsmtp.server.processes.notify import Notifier
from fastsmtp.server.processes.rolling import roll
from fastsmtp.server.processes.running import RunningListener, RunningServer
from fastsmtp.server.processes.seats import Seats
from fastsmtp.server.processes.supervisor_stats import SupervisorStats
from fastsmtp.server.processes.tally import Tally
from fastsmtp.state.host import BucketMemory

if TYPE_CHECKING:
    from fastsmtp.server.status.board import StatusBoard

__all__ = ["Site", "Supervisor", "worker_count"]

_LOOK_EVERY_S: Final = 1.0

_RECOVERY_S: Final = 30.0
"""How much longer systemd is to wait, whenever a recovery has gone on."""

_SPARE_SEATS: Final = 2

_log = logging.getLogger("fastsmtp.server")


@dataclass(frozen=True, slots=True)
class Site:
    """What is there before the first worker. `load` reads the configuration again, and raises ConfigurationError.

    `ahead` has processes that were started for the first workers; who is needed is taken out.
    """

    settings: Settings
    load: Callable[[], Settings]
    keeper: JournalKeeper
    doors: Doors
    activated: Sequence[ActivatedSocket]
    notifier: Notifier
    ahead: list[Interpreter] = field(default_factory=list)


def worker_count(settings: Settings) -> int:
    """How many workers these settings want."""
    return settings.listen.workers or len(os.sched_getaffinity(0))


def _seat_count(workers: int) -> int:
    """So many workers may live at the same time: in a reload, the old ones stay for a while."""
    return max(workers + 8, 16)


class Supervisor:
    """`start`, then `reload` as often as wanted, then `stop`: one of them at a time, on the running event loop."""

    def __init__(self, site: Site) -> None:
        self._site = site
        settings = site.settings
        self._seat_count = _seat_count(worker_count(settings))
        self._generation = Generation(1, settings, site.doors)
        self._stats = SupervisorStats()
        self._tally = Tally(self._stats)
        self._seats = Seats(self._seat_count, site.keeper.recover_ring)
        self._clients = ClientMemory(self._seat_count, settings.limits.connections)
        self._seats.share(self._clients)
        self._buckets = BucketMemory(settings.state.buckets)
        inheritance = Inheritance(lambda: site.keeper.descriptor, self._clients.descriptor, self._buckets.descriptor)
        self._crew = Crew(self._seats, self._tally, inheritance, self._stats.died, site.ahead)
        self._stats.watch(self._crew, self._seats)
        self._pages: MetricsServer | None = None
        self._board: StatusBoard | None = None
        self._is_draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._status = ""

    # --- start, reload, stop -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover what a crash has left while the workers load, then let them serve.

        Raises ConfigurationError and StartError; `stop` then puts away what there is.
        """
        loop = asyncio.get_running_loop()
        count = worker_count(self._site.settings)
        recovered = loop.create_future()
        opening = loop.create_task(self._crew.open(self._generation, count, recovered))
        try:
            await asyncio.sleep(0)  # the workers are started, and load while we go on
            await self._recover(count)
            self._pages = await self._bound_pages(self._site.settings)
            recovered.set_result(None)
            if self._pages is not None:
                await self._pages.serve()
            await opening
        except BaseException:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            raise
        self._look()

    def ready(self) -> None:
        """The operator knows everything: so may systemd."""
        self._tell_status(is_ready=True)

    async def reload(self) -> None:
        """Everything anew: configuration, plugins, certificates. What does not come up leaves all as it was."""
        site, before = self._site, self._generation
        site.notifier.reloading()
        try:
            settings = site.load()
            self._check_change(before.settings, settings)
            site.keeper.lock(settings.maildir)
            await self._renew(before, settings)
        except ConfigurationError as error:
            self._not_reloaded("; ".join(error.problems))
        except FastsmtpError as error:
            self._not_reloaded(str(error))
        except Exception:  # noqa: BLE001 - whatever it is, no mail stops for it
            _log.exception("a fault of the server")
            self._not_reloaded("a fault of the server")
        else:
            self._stats.reloaded("done", self._generation.number)
            _log.info("reloaded", extra=self.running.as_log())
        self._tell_status(is_ready=True)

    def _not_reloaded(self, why: str) -> None:
        self._stats.reloaded("failed", self._generation.number)
        _log.error("not reloaded, what ran before goes on: %s", why)

    async def _renew(self, before: Generation, settings: Settings) -> None:
        """The next generation. Raises ConfigurationError and StartError; then this one is as it was."""
        count = worker_count(settings)
        doors = make_doors(settings.listeners, count, self._site.activated, before.doors)
        generation = Generation(before.number + 1, settings, doors)
        try:
            await self._move_pages(before.settings, settings)
            try:
                await roll(self._crew, generation, count)
            except BaseException:
                await self._move_pages(settings, before.settings)
                raise
        except BaseException:
            doors.close(before.doors)
            raise
        self._generation = generation
        before.doors.close(doors)
        try:
            doors.set_owners_and_modes()
        except StartError as error:
            _log.error("%s", error)

    async def stop(self, hurry: asyncio.Event) -> None:
        """Let everybody finish, at once when `hurry` is set, and let go of everything."""
        self._is_draining = True
        self._site.notifier.stopping("draining")
        closing = asyncio.get_running_loop().create_task(self._crew.close(self._generation.doors.close))
        hurrying = asyncio.get_running_loop().create_task(hurry.wait())
        await asyncio.wait({closing, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        self._crew.hurry()
        await closing
        await self._seats.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._pages is not None:
            await self._pages.close()
            self._pages = None
        self._clients.close()
        self._buckets.close()

    @property
    def settings(self) -> Settings:
        """Those that count."""
        return self._generation.settings

    def reopen_logs(self) -> None:
        """The log file of all workers was moved away."""
        for worker in self._crew.everybody:
            worker.reopen_log()

    @property
    def running(self) -> RunningServer:
        """Where it listens."""
        listeners = [
            RunningListener(entrance.entry.title, address, entrance.entry.protocol)
            for entrance in self._generation.doors.entrances
            for address in dict.fromkeys(one.address for one in entrance.sockets)
        ]
        pids = [slot.worker.pid for slot in self._crew.slots if slot.worker is not None]
        return RunningServer(listeners, None if self._pages is None else self._pages.address, pids)

    async def _recover(self, count: int) -> None:
        notifier = self._site.notifier

        def tell(done: int, total: int) -> None:
            notifier.status(f"recovering the journal: {done >> 20} of {total >> 20} MiB")
            notifier.wait_for(_RECOVERY_S)

        # One ring more is kept than there are workers: a reload needs it.
        await asyncio.to_thread(self._site.keeper.recover, count + 1, tell)

    async def _bound_pages(self, settings: Settings) -> MetricsServer | None:
        if settings.metrics.listen is None:
            return None
        pages = MetricsServer(
            settings.metrics.listen,
            self._tally,
            ailment=self._ailment,
            weakness=self._weakness,
            status_page=lambda: self._status_board().page(),
        )
        await pages.bind()
        return pages

    async def _start_pages(self, settings: Settings) -> MetricsServer | None:
        pages = await self._bound_pages(settings)
        if pages is not None:
            await pages.serve()
        return pages

    async def _move_pages(self, old: Settings, new: Settings) -> None:
        """Answer over HTTP where the new settings say. Raises StartError; then the old address still answers."""
        if new.metrics.listen == old.metrics.listen:
            return
        # First the old one goes: the new one may be the same port on all addresses.
        if self._pages is not None:
            await self._pages.close()
            self._pages = None
        try:
            self._pages = await self._start_pages(new)
        except StartError:
            self._pages = await self._start_pages(old)
            raise

    def _check_change(self, old: Settings, new: Settings) -> None:
        """Raises ConfigurationError for what cannot be changed while the server runs, StartError when nothing can."""
        if self._crew.is_frozen:
            raise StartError("the disk has failed; mend it and restart the server")
        fixed = {
            "maildir.root": (old.maildir.root, new.maildir.root),
            "maildir.journal": (old.maildir.journal, new.maildir.journal),
            "process.user": (old.process.user, new.process.user),
            "process.group": (old.process.group, new.process.group),
            "process.pid_file": (old.process.pid_file, new.process.pid_file),
        }
        most = self._seat_count - _SPARE_SEATS
        changed = [key for key, (before, after) in fixed.items() if before != after]
        problems = [f"{key} cannot be changed by a reload; restart the server" for key in changed]
        if worker_count(new) > most:
            problems.append(f"listen.workers can be {most} after a reload; for more, restart the server")
        if problems:
            raise ConfigurationError(problems)

    # --- how it is ---------------------------------------------------------------------------------------------------

    def _ailment(self) -> str:
        return "draining" if self._is_draining else health.ailments(self._crew.slots)

    def _weakness(self) -> str:
        return "draining" if self._is_draining else health.weaknesses(self._crew.slots)

    def _status_board(self) -> "StatusBoard":
        # Late: no first banner waits for the page.
        from fastsmtp.server.status.board import StatusBoard

        if self._board is None:
            self._board = StatusBoard(
                self._tally,
                time.monotonic,
                host=lambda: self.settings.hostname,
                trouble=self._weakness,
                running=lambda: self.running,
            )
        return self._board

    def _look(self) -> None:
        """Once a second: the workers, what systemd is to hear, and what the status page will show."""
        self._crew.look()
        if self._pages is not None:
            self._status_board().look()
        notifier = self._site.notifier
        if notifier.watchdog_s and health.answers(self._crew.slots):
            notifier.alive()
        self._tell_status()
        self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)

    def _tell_status(self, *, is_ready: bool = False) -> None:
        status = health.summary(self._crew.slots)
        if is_ready:
            self._site.notifier.ready(status)
        elif status != self._status:
            self._site.notifier.status(status)
        self._status = status
