"""Reloads of a crew: every slot gets a worker of the new generation, or all keep theirs."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from crews import Stage, play, plugin, send, wait_until
from workers import settings

from fastsmtp.errors import ConfigurationError, StartError
from fastsmtp.server.processes import rolling
from fastsmtp.server.processes.rolling import roll


def seen(stage: Stage) -> Sequence[tuple[int, bool]]:
    """The generation of each slot, and whether a worker of it serves there."""
    return [
        (
            slot.generation.number,
            slot.worker is not None
            and slot.worker.is_serving
            and slot.worker.post.generation == slot.generation.number,
        )
        for slot in stage.crew.slots
    ]


def test_all_are_succeeded_and_end(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        before = set(stage.crew.everybody)
        await roll(stage.crew, stage.next(settings(tmp_path, limits={"recipients": 3})), 2)
        assert seen(stage) == [(2, True), (2, True)]
        await asyncio.gather(*(worker.ended for worker in before))
        assert all(worker.left_in_order for worker in before)
        assert not before & stage.crew.everybody
        assert stage.died == []
        await asyncio.to_thread(send, stage.address)

    play(settings(tmp_path), 2, scenario)


def test_one_that_does_not_load_changes_nothing(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        before = set(stage.crew.everybody)
        with pytest.raises(ConfigurationError, match="no plugin is called 'nothing'"):
            await roll(stage.crew, stage.next(settings(tmp_path, plugin=[{"use": "nothing"}])), 2)
        assert seen(stage) == [(1, True), (1, True)]
        await wait_until(lambda: stage.crew.everybody == before)
        await asyncio.to_thread(send, stage.address)

    play(settings(tmp_path), 2, scenario)


def limited(tmp_path: Path, times: int) -> Path:
    """A plugin that starts so many times, and never again."""
    counter = tmp_path / "starts"
    counter.mkdir()
    body = (
        f"        starts = Path({str(counter)!r})\n        (starts / str(os.getpid())).touch()\n"
        f"        if len(list(starts.iterdir())) > {times}:\n            raise OSError('no more')"
    )
    plugin(tmp_path, "limited", f"    async def start(self, services):\n{body}")
    return counter


def test_a_later_one_that_does_not_start_rolls_all_back(tmp_path: Path) -> None:
    limited(tmp_path, 1)

    async def scenario(stage: Stage) -> None:
        given = settings(tmp_path, plugin_path=[str(tmp_path)], plugin=[{"use": "limited"}])
        with pytest.raises(StartError, match="plugin limited does not start: OSError: no more"):
            await roll(stage.crew, stage.next(given, 3), 3)
        assert seen(stage) == [(1, True), (1, True)]
        await wait_until(lambda: len(stage.crew.everybody) == 2)
        await asyncio.to_thread(send, stage.address)

    play(settings(tmp_path), 2, scenario)


def test_who_cannot_go_back_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The plugin of the old configuration does not start any more, either: what serves stays, as long as it lives."""
    starts = limited(tmp_path, 3)
    plugins = {"plugin_path": [str(tmp_path)], "plugin": [{"use": "limited"}]}

    async def scenario(stage: Stage) -> None:
        with pytest.raises(StartError, match="no more"):
            await roll(stage.crew, stage.next(settings(tmp_path, **plugins)), 2)
        slot = stage.crew.slots[0]
        old = slot.worker
        assert old is not None
        assert (old.post.generation, old.is_serving) == (2, True)
        assert seen(stage) == [(1, False), (1, True)]
        stage.doors.pop().close(stage.first.doors)  # as the supervisor does when a reload has failed
        for start in starts.iterdir():
            start.unlink()
        os.kill(old.pid, signal.SIGKILL)
        await wait_until(lambda: seen(stage) == [(1, True), (1, True)])
        await asyncio.to_thread(send, stage.address)

    with caplog.at_level(logging.CRITICAL):
        play(settings(tmp_path, **plugins), 2, scenario)
    (message,) = caplog.messages
    assert message.startswith("worker 0 cannot go back to the configuration before: plugin limited does not start")


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_more_or_fewer_workers(tmp_path: Path, before: int, after: int) -> None:
    async def scenario(stage: Stage) -> None:
        await roll(stage.crew, stage.next(settings(tmp_path), after), after)
        assert seen(stage) == [(2, True)] * after
        await wait_until(lambda: len(stage.crew.everybody) == after)
        for _ in range(10):  # at whatever socket they arrive
            await asyncio.to_thread(send, stage.address)

    play(settings(tmp_path), before, scenario)


def test_a_slot_whose_worker_keeps_dying_is_filled(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    body = f"        if Path({str(flag)!r}).exists():\n            raise OSError('no key')"
    plugin(tmp_path, "faulty", f"    async def start(self, services):\n{body}")
    faulty = {"plugin_path": [str(tmp_path)], "plugin": [{"use": "faulty"}]}

    async def scenario(stage: Stage) -> None:
        flag.touch()
        slot = stage.crew.slots[0]
        worker = slot.worker
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        await wait_until(lambda: slot.trouble.startswith("does not start"))
        with pytest.raises(StartError, match="no key"):  # still so, and then it goes on trying
            await roll(stage.crew, stage.next(settings(tmp_path, **faulty)), 1)
        assert slot.succession is not None
        await roll(stage.crew, stage.next(settings(tmp_path)), 1)
        assert seen(stage) == [(2, True)]
        assert slot.succession is None

    play(settings(tmp_path, **faulty), 1, scenario)


def test_one_that_takes_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "_START_S", 1.0)
    plugin(tmp_path, "slow", "    async def start(self, services):\n        await asyncio.sleep(1000)")

    async def scenario(stage: Stage) -> None:
        given = settings(tmp_path, plugin_path=[str(tmp_path)], plugin=[{"use": "slow"}])
        with pytest.raises(StartError, match="worker 0 does not serve after 1 s"):
            await roll(stage.crew, stage.next(given), 1)
        assert seen(stage) == [(1, True)]

    play(settings(tmp_path), 1, scenario)
