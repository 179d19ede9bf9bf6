"""The workers: one in each slot, and whoever dies has a successor, while the others go on.

Everybody who lives is known here, also those who have been succeeded and finish what is under way.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from fastsmtp.config.model import Settings
from fastsmtp.errors import FastsmtpError
from fastsmtp.server.processes.backoff import Backoff
from fastsmtp.server.processes.doors import Doors
from fastsmtp.server.processes.interpreter import Interpreter
from fastsmtp.server.processes.seats import Seats
from fastsmtp.server.processes.tally import Tally
from fastsmtp.server.processes.worker_process import Post, WorkerProcess

__all__ = ["Crew", "Generation", "Inheritance", "Slot"]

_END_S: Final = 30.0
"""How much longer than its drain a worker may take to end: plugins settle, the last checkpoint is made."""

_DEAF_S: Final = 1.0
"""How long the end waits until everybody has stopped listening: who hangs for longer does not keep the others."""

_LEND_FROM_S: Final = 1.0
"""Who is away for so long or longer has its connections taken by another one."""

_HANG_LOOKS: Final = 120

_log = logging.getLogger("fastsmtp.server")


@dataclass(frozen=True, slots=True)
class Generation:
    """What workers are started with: a configuration, and the sockets for it."""

    number: int
    settings: Settings
    doors: Doors


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What every worker inherits, whatever its generation, as in its Handover."""

    lock: Callable[[], int | None]
    clients: int
    buckets: int


class Slot:
    """The place of a worker; `trouble` is why it has none."""

    def __init__(self, number: int, generation: Generation, worker: WorkerProcess) -> None:
        self.number = number
        self.generation = generation
        self.worker: WorkerProcess | None = worker
        self.trouble = ""
        self.backoff = Backoff()
        self.succession: asyncio.Task[None] | None = None
        self.lends = False
        self.lent_to: WorkerProcess | None = None


class Crew:
    """`died` hears the number of a slot whose worker has died; `ahead` are processes for the first workers."""

    def __init__(
        self,
        seats: Seats,
        tally: Tally,
        inheritance: Inheritance,
        died: Callable[[int], None],
        ahead: list[Interpreter] | None = None,
    ) -> None:
        self.slots: list[Slot] = []
        self.everybody: set[WorkerProcess] = set()
        self._seats = seats
        self._tally = tally
        self._inheritance = inheritance
        self._died = died
        self._ahead = ahead or []
        self._cpu_ns = Counter[int]()
        self._takes_nobody = False
        self._is_frozen = False

    @property
    def is_frozen(self) -> bool:
        """Whether the disk has failed."""
        return self._is_frozen

    def cpu_ns(self, slot: int) -> int:
        """CPU time of all who are gone from a slot."""
        return self._cpu_ns[slot]

    # --- coming ------------------------------------------------------------------------------------------------------

    async def open(self, generation: Generation, count: int, ready: asyncio.Future[None]) -> None:
        """The first workers; they deliver once `ready` is done. Raises ConfigurationError and StartError."""
        hires = [asyncio.ensure_future(self.hire(generation, number, ready)) for number in range(count)]
        try:
            workers = await asyncio.gather(*hires)
        except BaseException:
            for hire in hires:
                hire.cancel()
            await asyncio.gather(*hires, return_exceptions=True)
            raise
        self.slots = [Slot(number, generation, worker) for number, worker in enumerate(workers)]

    async def hire(self, generation: Generation, slot: int, ready: asyncio.Future[None] | None = None) -> WorkerProcess:
        """A new worker for this slot, which serves. Raises ConfigurationError and StartError.

        It delivers once `ready` is done. Whoever gives up waiting has it killed.
        """
        seat = await self._seats.take()
        inheritance = self._inheritance
        post = Post(
            generation.settings,
            generation.number,
            slot,
            seat,
            generation.doors.of(slot),
            inheritance.lock(),
            inheritance.clients,
            inheritance.buckets,
        )
        try:
            worker = WorkerProcess(post, self._ahead.pop() if self._ahead else None)
        except BaseException:
            self._seats.leave(seat, in_order=True)
            raise
        self.everybody.add(worker)
        self._tally.join(worker.block)
        worker.ended.add_done_callback(partial(self._ended, worker))
        try:
            await asyncio.shield(worker.loaded)
            if ready is not None:
                await asyncio.shield(ready)
            worker.go()
            await asyncio.shield(worker.serving)
        except BaseException:
            worker.kill()
            raise
        return worker

    def install(self, slot: Slot, generation: Generation, worker: WorkerProcess) -> WorkerProcess | None:
        """From now on this is the worker of the slot; gives the one that was."""
        before, slot.worker, slot.generation, slot.trouble = slot.worker, worker, generation, ""
        slot.lends = False
        if slot.lent_to is not None:
            slot.lent_to.give_back(slot.number)
            slot.lent_to = None
        return before

    async def stop_succession(self, slot: Slot) -> None:
        """Let somebody else fill the slot."""
        if slot.succession is not None:
            slot.succession.cancel()
            await asyncio.gather(slot.succession, return_exceptions=True)
            slot.succession = None

    def find_successor(self, slot: Slot, delay_s: float, tried: asyncio.Future[None] | None = None) -> None:
        """Fill an empty slot, after a while, and once `tried` is done."""
        slot.succession = asyncio.get_running_loop().create_task(self._succeed(slot, delay_s, tried))

    async def _succeed(self, slot: Slot, delay_s: float, tried: asyncio.Future[None] | None) -> None:
        while True:
            slot.lends = delay_s >= _LEND_FROM_S
            await asyncio.sleep(delay_s)
            if tried is not None:
                await asyncio.shield(tried)  # then its seat, and the ring that is made already, are free again
            try:
                worker = await self.hire(slot.generation, slot.number)
            except FastsmtpError as error:
                delay_s = slot.backoff.after(0)
                slot.trouble = f"does not start: {error}"
                _log.error("worker %d does not start: %s; again in %g s", slot.number, error, delay_s)
                continue
            self.install(slot, slot.generation, worker)
            _log.info("worker %d serves again", slot.number, extra={"pid": worker.pid})
            return

    # --- going -------------------------------------------------------------------------------------------------------

    def dismiss(self, worker: WorkerProcess, grace_s: float = 0.0) -> None:
        """It finishes what is under way, and ends; in the first `grace_s` its clients do not notice."""
        drain_s = worker.post.settings.timeouts.drain
        worker.drain(drain_s, drain_s + _END_S, grace_s)

    def freeze(self) -> None:
        """The disk has failed: what it shows may not be what it has, and nobody shall deliver anew or compare."""
        self._takes_nobody = self._is_frozen = True
        self._seats.freeze()

    async def close(self, close_doors: Callable[[], None]) -> None:
        """Dismiss everybody, and return when the last one is gone.

        `close_doors` is called when nobody listens any more and before the first client is told: whoever comes again at
        once is refused, and does not wait for nobody.
        """
        self._takes_nobody = True
        for slot in self.slots:
            await self.stop_succession(slot)
        for worker in self.everybody:
            worker.close_doors()
        if self.everybody:
            await asyncio.wait([worker.deaf for worker in self.everybody], timeout=_DEAF_S)
        close_doors()
        for worker in self.everybody:
            self.dismiss(worker)
        while self.everybody:
            await asyncio.wait([worker.ended for worker in self.everybody])
            await asyncio.sleep(0)  # what is to be done at an end is done

    def hurry(self) -> None:
        """End all drains."""
        for worker in self.everybody:
            worker.hurry()

    def _ended(self, worker: WorkerProcess, ended: asyncio.Future[str]) -> None:
        self.everybody.discard(worker)
        self._cpu_ns[worker.post.slot] += worker.cpu_ns
        self._tally.leave(worker.block)
        worker.block.close()
        tried = self._seats.leave(worker.post.seat, in_order=worker.left_in_order)
        slot = next((slot for slot in self.slots if slot.worker is worker), None)
        if slot is not None:
            slot.worker = None
            slot.trouble = ended.result()
            self._replace(slot, worker, tried)
        elif worker.is_told_to_end and not worker.left_in_order:
            _log.error("worker %d, which was to end, %s", worker.post.slot, ended.result(), extra={"pid": worker.pid})

    def _replace(self, slot: Slot, worker: WorkerProcess, tried: asyncio.Future[None]) -> None:
        if self._takes_nobody:
            return
        delay_s = slot.backoff.after(worker.lived_s)
        when = f"in {delay_s:g} s" if delay_s else "at once"
        _log.error("worker %d %s; another one starts %s", slot.number, slot.trouble, when, extra={"pid": worker.pid})
        self._died(slot.number)
        self.find_successor(slot, delay_s, tried)

    # --- once a second -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See whether everybody is well, and whose connections another one should take."""
        for worker in self.everybody:
            if worker.look() == _HANG_LOOKS:
                _log.error("worker %d has not answered for %d s and is killed", worker.post.slot, _HANG_LOOKS)
                worker.abort()
        if any(worker.disk_has_failed for worker in self.everybody) and not self._takes_nobody:
            self.freeze()
        for slot in self.slots:
            if slot.lends and slot.worker is None and (slot.lent_to is None or not slot.lent_to.is_serving):
                self._lend(slot)

    def _lend(self, slot: Slot) -> None:
        """Nobody shall wait at the door of a worker that keeps dying."""
        number = slot.generation.number  # of the worker, not of its slot: that may have gone back without it
        workers = (other.worker for other in self.slots if other.worker is not None)
        slot.lent_to = next((one for one in workers if one.post.generation == number and one.is_serving), None)
        if slot.lent_to is not None:
            for listener, descriptor in slot.generation.doors.own(slot.number):
                slot.lent_to.adopt(slot.number, listener, descriptor)
