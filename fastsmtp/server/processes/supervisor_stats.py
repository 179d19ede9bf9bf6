"""What the supervisor counts itself: reloads, and its workers as the operating system sees them."""

import os
from pathlib import Path
from typing import Final, Literal, NamedTuple

from fastsmtp.server.processes.crew import Crew
from fastsmtp.server.processes.seats import Seats
from fastsmtp.server.processes.worker_process import WorkerProcess
from fastsmtp.stats import Stats, Totals

__all__ = ["SupervisorStats"]

_NS_PER_S: Final = 1_000_000_000
_NS_PER_TICK: Final = _NS_PER_S // os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")

_RESULTS: Final = ("done", "failed")


class _Usage(NamedTuple):
    cpu_ns: int = 0
    memory_bytes: int = 0
    descriptors: int = 0


class SupervisorStats:
    """A member of the tally, which looks at the workers when it is asked.

    A worker goes by the number of its slot, and whoever succeeds it goes on with its counters.
    """

    def __init__(self) -> None:
        self.stats = stats = Stats()
        self._up = stats.gauge("fastsmtp_worker_up", "1 while the slot has a worker that serves.", worker=())
        self._deaths = stats.counter(
            "fastsmtp_worker_deaths_total",
            "Workers that ended without being told to; others took their place.",
            worker=(),
        )
        self._cpu = stats.counter("fastsmtp_worker_cpu_seconds_total", "CPU time of workers.", worker=())
        self._memory = stats.gauge("fastsmtp_worker_resident_memory_bytes", "Memory of workers.", worker=())
        self._descriptors = stats.gauge("fastsmtp_worker_open_fds", "Open files and sockets of workers.", worker=())
        self._silent = stats.gauge("fastsmtp_worker_silent_seconds", "How long a worker has not answered.", worker=())
        self._processes = stats.cell(
            stats.gauge(
                "fastsmtp_worker_processes", "Workers, with those that have been succeeded and finish their work."
            )
        )
        self._unrecovered = stats.cell(
            stats.gauge("fastsmtp_journal_unrecovered_rings", "Rings of dead workers that are not recovered yet.")
        )
        self._generation = stats.cell(stats.gauge("fastsmtp_generation", "1, and one more after every reload."))
        stats.cells[self._generation] = 1
        reloads = stats.counter("fastsmtp_reloads_total", "Reloads, by result.", result=_RESULTS)
        self._reloads = {result: stats.cell(reloads, result) for result in _RESULTS}
        self._reload_failed = stats.cell(
            stats.gauge(
                "fastsmtp_reload_failed", "1 while the last reload has failed: the configuration before counts."
            )
        )
        self._crew: Crew | None = None
        self._seats: Seats | None = None

    def watch(self, crew: Crew, seats: Seats) -> None:
        """These are meant."""
        self._crew, self._seats = crew, seats

    def died(self, slot: int) -> None:
        """A worker has ended without being told to."""
        self.stats.cells[self.stats.cell(self._deaths, str(slot))] += 1

    def reloaded(self, result: Literal["done", "failed"], generation: int) -> None:
        """A reload is over, and this generation serves."""
        cells = self.stats.cells
        cells[self._reloads[result]] += 1
        cells[self._reload_failed] = result == "failed"
        cells[self._generation] = generation

    def totals(self) -> Totals:
        """What is counted at this moment."""
        if self._crew is not None and self._seats is not None:
            self._look(self._crew)
            self.stats.cells[self._processes] = len(self._crew.everybody)
            self.stats.cells[self._unrecovered] = self._seats.unrecovered
        return self.stats.totals()

    def _look(self, crew: Crew) -> None:
        stats, cells = self.stats, self.stats.cells
        # A slot that is gone after a reload has zeros from then on.
        known = {int(values[0]) for values in self._up.children}
        for number in known | {slot.number for slot in crew.slots}:
            name = str(number)
            workers = [worker for worker in crew.everybody if worker.post.slot == number]
            usages = [_usage(worker) for worker in workers]
            worker = crew.slots[number].worker if number < len(crew.slots) else None
            cells[stats.cell(self._up, name)] = worker is not None and worker.is_serving
            cells[stats.cell(self._silent, name)] = worker.silent_looks * _NS_PER_S if worker is not None else 0
            cells[stats.cell(self._deaths, name)] += 0
            cells[stats.cell(self._cpu, name)] = crew.cpu_ns(number) + sum(usage.cpu_ns for usage in usages)
            cells[stats.cell(self._memory, name)] = sum(usage.memory_bytes for usage in usages)
            cells[stats.cell(self._descriptors, name)] = sum(usage.descriptors for usage in usages)


def _usage(worker: WorkerProcess) -> _Usage:
    """What a process uses; of one that has just ended that is CPU time only."""
    if not worker.is_alive:  # reaped, and the crew hears of it in the next turn of the loop: /proc has it no more
        return _Usage(worker.cpu_ns)
    process = f"/proc/{worker.pid}"
    # Behind the name, which may hold anything: state, then numbers (proc(5)).
    fields = Path(process, "stat").read_text().rpartition(")")[2].split()
    try:
        descriptors = len(os.listdir(f"{process}/fd"))  # noqa: PTH208 - only their number
    except OSError:
        descriptors = 0
    return _Usage((int(fields[11]) + int(fields[12])) * _NS_PER_TICK, int(fields[21]) * _PAGE_BYTES, descriptors)
