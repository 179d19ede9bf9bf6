"""What the supervisor counts, of real workers."""

import asyncio
import os
import signal
from pathlib import Path

from crews import DEADLINE_S, Stage, play, send, wait_until
from workers import settings

from fastsmtp.server.processes.supervisor_stats import SupervisorStats


def counts(stats: SupervisorStats) -> dict[tuple[str, ...], int]:
    return {
        (family.name.removeprefix("fastsmtp_"), *values): cells[0]
        for family, children in stats.totals()
        for values, cells in children.items()
    }


def test_reloads() -> None:
    stats = SupervisorStats()
    assert counts(stats)["generation",] == 1
    stats.reloaded("failed", 1)
    assert (counts(stats)["reload_failed",], counts(stats)["reloads_total", "failed"]) == (1, 1)
    stats.reloaded("done", 2)
    found = counts(stats)
    assert (found["reload_failed",], found["reloads_total", "done"], found["generation",]) == (0, 1, 2)


def test_workers(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stats = SupervisorStats()
        stats.watch(stage.crew, stage.seats)
        found = counts(stats)
        for worker in ("0", "1"):
            assert found["worker_up", worker] == 1
            assert found["worker_deaths_total", worker] == 0
            assert found["worker_cpu_seconds_total", worker] > 10_000_000
            assert found["worker_resident_memory_bytes", worker] > 1_000_000
            assert 5 < found["worker_open_fds", worker] < 100
            assert found["worker_silent_seconds", worker] == 0
        assert (found["worker_processes",], found["journal_unrecovered_rings",]) == (2, 0)

        worker_0 = stage.crew.slots[0].worker
        assert worker_0 is not None
        cpu_ns = found["worker_cpu_seconds_total", "0"]
        os.kill(worker_0.pid, signal.SIGKILL)
        await wait_until(lambda: stage.crew.slots[0].worker is None)
        stats.died(0)
        gone = counts(stats)
        assert (gone["worker_up", "0"], gone["worker_deaths_total", "0"]) == (0, 1)
        assert gone["worker_cpu_seconds_total", "0"] >= cpu_ns
        await wait_until(lambda: stage.crew.slots[0].worker is not None)
        await asyncio.to_thread(send, stage.address)
        back = counts(stats)
        assert (back["worker_up", "0"], back["worker_deaths_total", "0"]) == (1, 1)
        assert back["worker_cpu_seconds_total", "0"] > gone["worker_cpu_seconds_total", "0"]

    play(settings(tmp_path), 2, scenario)


def test_a_worker_of_whose_end_the_crew_has_not_heard(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stats = SupervisorStats()
        stats.watch(stage.crew, stage.seats)
        before = counts(stats)["worker_cpu_seconds_total", "0"]
        worker = stage.crew.slots[0].worker
        assert worker is not None
        worker.kill()
        async with asyncio.timeout(DEADLINE_S):
            while worker.is_alive:  # noqa: ASYNC110 - the very turn of the loop in which it is reaped
                await asyncio.sleep(0)
        assert worker in stage.crew.everybody
        found = counts(stats)
        assert found["worker_cpu_seconds_total", "0"] >= before
        assert (found["worker_up", "0"], found["worker_up", "1"]) == (0, 1)

    play(settings(tmp_path), 2, scenario)


def test_a_slot_that_is_gone_is_down(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stats = SupervisorStats()
        stats.watch(stage.crew, stage.seats)
        counts(stats)
        slot = stage.crew.slots.pop()
        assert slot.worker is not None
        stage.crew.dismiss(slot.worker)
        await wait_until(lambda: len(stage.crew.everybody) == 1)
        found = counts(stats)
        assert (found["worker_up", "0"], found["worker_up", "1"]) == (1, 0)

    play(settings(tmp_path), 2, scenario)
