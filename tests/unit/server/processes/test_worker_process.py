"""A real worker process, from its start to its end, with the supervisor's half of the conversation."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from crews import DEADLINE_S, descriptors, is_stopped, name_of, plugin, send, wait_until
from workers import addresses, settings

from fastsmtp.config.model import Settings
from fastsmtp.errors import ConfigurationError, StartError
from fastsmtp.server.clients import ClientMemory
from fastsmtp.server.processes import handover
from fastsmtp.server.processes.doors import Doors, make_doors
from fastsmtp.server.processes.worker_process import Post, WorkerProcess
from fastsmtp.state.host import BucketMemory


def play(given: Settings, scenario: Callable[[WorkerProcess, Doors], Awaitable[None]]) -> None:
    async def main() -> None:
        clients, buckets = ClientMemory(4, 100), BucketMemory(1024)
        doors = make_doors(given.listeners, 1)
        worker = WorkerProcess(Post(given, 1, 0, 3, doors.of(0), None, clients.descriptor, buckets.descriptor))
        try:
            async with asyncio.timeout(DEADLINE_S):
                await scenario(worker, doors)
        finally:
            worker.kill()
            await worker.ended
            worker.block.close()
            doors.close()
            clients.close()
            buckets.close()

    asyncio.run(main())


async def serve(worker: WorkerProcess) -> None:
    await worker.loaded
    worker.go()
    await worker.serving


def test_from_start_to_end(tmp_path: Path) -> None:
    async def scenario(worker: WorkerProcess, doors: Doors) -> None:
        await worker.loaded
        assert (worker.is_alive, worker.is_serving, worker.lived_s) == (True, False, 0)
        worker.go()
        await worker.serving
        assert (worker.is_alive, worker.is_serving) == (True, True)
        assert name_of(worker.pid) == "fastsmtp-0"
        await asyncio.to_thread(send, addresses(doors)[0])
        totals = {family.name: children for family, children in worker.block.totals()}
        assert list(totals["fastsmtp_store_messages_total"]["250",]) == [1]
        await wait_until(lambda: worker.block.beat_ns > 0)
        worker.drain(5, 60)
        assert (worker.is_alive, worker.is_serving) == (True, False)
        assert await worker.ended == "ended with exit code 0"
        assert worker.left_in_order
        assert (worker.exit_code, worker.is_alive) == (0, False)
        assert worker.cpu_ns > 0
        assert worker.lived_s > 0

    play(settings(tmp_path), scenario)
    assert len(list((tmp_path / "mail/example.test/alice/new").iterdir())) == 1


def test_who_is_killed_has_left_something(tmp_path: Path) -> None:
    async def scenario(worker: WorkerProcess, _: Doors) -> None:
        await serve(worker)
        worker.kill()
        assert await worker.ended == "was killed by SIGKILL"
        assert not worker.left_in_order
        assert worker.exit_code == -signal.SIGKILL
        worker.kill()

    play(settings(tmp_path), scenario)


def test_who_was_not_let_go_has_left_nothing(tmp_path: Path) -> None:
    async def scenario(worker: WorkerProcess, _: Doors) -> None:
        await worker.loaded
        worker.drain(5, 60)
        assert await worker.ended == "was killed by SIGKILL"
        assert worker.left_in_order
        with pytest.raises(StartError, match="worker 0 was killed by SIGKILL before it served"):
            await worker.serving

    play(settings(tmp_path), scenario)


def test_a_wrong_configuration_is_told_as_it_is(tmp_path: Path) -> None:
    async def scenario(worker: WorkerProcess, _: Doors) -> None:
        with pytest.raises(ConfigurationError) as caught:
            await worker.loaded
        assert [problem.partition(";")[0] for problem in caught.value.problems] == [
            "plugin[0]: no plugin is called 'nothing'",
            "plugin[1]: no plugin is called 'nobody'",
        ]
        assert await worker.ended == "ended with exit code 1"
        assert worker.left_in_order

    play(settings(tmp_path, plugin=[{"use": "nothing"}, {"use": "nobody"}]), scenario)


def test_what_keeps_it_from_serving_is_told_as_it_is(tmp_path: Path) -> None:
    async def scenario(worker: WorkerProcess, _: Doors) -> None:
        await worker.loaded
        worker.go()
        with pytest.raises(StartError, match=r"the directory cannot be used: .*nowhere\.db"):
            await worker.serving
        assert await worker.ended == "ended with exit code 3"
        assert worker.left_in_order

    play(settings(tmp_path, directory={"url": f"sqlite:{tmp_path}/nowhere.db"}), scenario)


def test_another_version_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "__version__", "0.0.1")

    async def scenario(worker: WorkerProcess, _: Doors) -> None:
        with pytest.raises(StartError, match=r"fastsmtp 0\.0\.1 runs and .* is installed"):
            await worker.loaded

    play(settings(tmp_path), scenario)


def test_who_does_not_end_is_killed(tmp_path: Path) -> None:
    plugin(tmp_path, "stays", "    async def stop(self):\n        await asyncio.sleep(1000)")

    async def scenario(worker: WorkerProcess, _: Doors) -> None:
        await serve(worker)
        worker.drain(0, 0.1)
        assert await worker.ended == "was killed by SIGKILL"
        assert not worker.left_in_order

    play(settings(tmp_path, plugin_path=[str(tmp_path)], plugin=[{"use": "stays"}]), scenario)


def test_sigterm_is_a_wish_to_be_replaced(tmp_path: Path) -> None:
    async def scenario(worker: WorkerProcess, doors: Doors) -> None:
        await serve(worker)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(worker.pid, number)
        await asyncio.to_thread(send, addresses(doors)[0])
        assert worker.is_serving
        os.kill(worker.pid, signal.SIGTERM)
        assert await worker.ended == "ended with exit code 0"
        assert worker.left_in_order

    play(settings(tmp_path), scenario)


def test_silence_is_counted_in_looks(tmp_path: Path) -> None:
    async def scenario(worker: WorkerProcess, _: Doors) -> None:
        await serve(worker)
        await wait_until(lambda: worker.block.beat_ns > 0)
        worker.look()
        os.kill(worker.pid, signal.SIGSTOP)
        await wait_until(lambda: is_stopped(worker.pid))
        worker.look()
        assert [worker.look() for _ in range(3)] == [worker.silent_looks - 2 + number for number in range(3)]
        assert worker.silent_looks >= 3
        os.kill(worker.pid, signal.SIGCONT)
        await wait_until(lambda: worker.look() == 0)

    play(settings(tmp_path), scenario)


def test_who_hangs_says_where(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flag = tmp_path / "flag"
    body = f"        Path({str(flag)!r}).touch()\n        time.sleep(1000)  # here"
    plugin(tmp_path, "hangs", f"    async def start(self, services):\n{body}")

    async def scenario(worker: WorkerProcess, _: Doors) -> None:
        await worker.loaded
        worker.go()
        await wait_until(flag.exists)
        worker.abort()
        assert await worker.ended == "was killed by SIGABRT"

    play(settings(tmp_path, plugin_path=[str(tmp_path)], plugin=[{"use": "hangs"}]), scenario)
    assert "hangs.py" in capfd.readouterr().err


def test_what_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "nowhere"))

    async def scenario() -> None:
        clients, buckets = ClientMemory(4, 100), BucketMemory(1024)
        opened = descriptors()
        with pytest.raises(StartError, match=r"cannot start a worker, .*nowhere: No such file"):
            WorkerProcess(Post(settings(tmp_path), 1, 0, 3, (), None, clients.descriptor, buckets.descriptor))
        assert descriptors() == opened
        clients.close()
        buckets.close()

    asyncio.run(scenario())
