"""Workers in their slots: who dies has a successor, who cannot start is told of, and others take their connections."""

import asyncio
import logging
import os
import select
import signal
import socket
from pathlib import Path

import pytest
from crews import DEADLINE_S, Stage, doors_of, is_stopped, play, plugin, send, sockets_of, wait_until
from refusals import without_id
from workers import settings

from fastsmtp.errors import ConfigurationError, StartError
from fastsmtp.server.processes.worker_process import WorkerProcess
from fastsmtp.smtp.replies import SHUTTING_DOWN


def workers(stage: Stage) -> list[WorkerProcess | None]:
    return [slot.worker for slot in stage.crew.slots]


def pids(stage: Stage) -> list[int]:
    return [worker.pid if worker is not None and worker.is_serving else 0 for worker in workers(stage)]


def mails(stage: Stage) -> int:
    totals = {family.name: children for family, children in stage.tally.totals()}
    return totals["fastsmtp_store_messages_total"]["250",][0]


def test_each_slot_has_a_worker_and_each_worker_a_seat(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        assert [worker.post.seat for worker in workers(stage) if worker is not None] == [0, 1]
        assert stage.crew.everybody == set(workers(stage))
        for _ in range(6):
            await asyncio.to_thread(send, stage.address)
        assert mails(stage) == 6

    play(settings(tmp_path), 2, scenario)


def test_who_is_killed_has_a_successor_and_is_counted_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = settings(tmp_path, maildir={"root": str(tmp_path / "mail"), "journal": str(tmp_path / "journal")})

    async def scenario(stage: Stage) -> None:
        before = pids(stage)
        for _ in range(6):
            await asyncio.to_thread(send, stage.address)
        os.kill(before[0], signal.SIGKILL)
        await wait_until(lambda: pids(stage)[0] not in (0, before[0]))
        assert pids(stage)[1] == before[1]
        assert stage.died == [0]
        for _ in range(6):
            await asyncio.to_thread(send, stage.address)
        assert mails(stage) == 12
        assert stage.crew.cpu_ns(0) > 0
        # Its ring was recovered before, and is the successor's now.
        worker = stage.crew.slots[0].worker
        assert worker is not None
        assert worker.post.seat == 0

    with caplog.at_level(logging.INFO):
        play(given, 2, scenario)
    assert [message for message in caplog.messages if "worker" in message] == [
        "worker 0 was killed by SIGKILL; another one starts at once",
        "worker 0 serves again",
    ]


def test_one_that_cannot_start_ends_the_start_of_all(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(settings(tmp_path, plugin=[{"use": "nothing"}]), 3)
        with pytest.raises(ConfigurationError, match="no plugin is called 'nothing'"):
            async with stage.opened():
                raise AssertionError("it has opened")
        assert stage.crew.everybody == set()

    asyncio.run(main())


def test_nobody_delivers_before_everything_is_ready(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(settings(tmp_path), 1)
        ready = asyncio.get_running_loop().create_future()
        opening = asyncio.ensure_future(stage.crew.open(stage.first, 1, ready))
        await wait_until(lambda: any(worker.loaded.done() for worker in stage.crew.everybody))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(send, stage.address)
        ready.set_exception(StartError("the disk is full"))
        with pytest.raises(StartError, match="the disk is full"):
            await opening
        await stage.close()

    asyncio.run(main())


def test_who_keeps_dying_is_tried_again_and_others_take_its_connections(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flag = tmp_path / "flag"
    body = f"        if Path({str(flag)!r}).exists():\n            raise OSError('no key')"
    plugin(tmp_path, "faulty", f"    async def start(self, services):\n{body}")
    given = settings(tmp_path, plugin_path=[str(tmp_path)], plugin=[{"use": "faulty"}])

    async def scenario(stage: Stage) -> None:
        flag.touch()
        os.kill(pids(stage)[1], signal.SIGKILL)
        slot = stage.crew.slots[1]
        await wait_until(lambda: slot.trouble.startswith("does not start: plugin faulty does not start: OSError"))
        await wait_until(lambda: slot.lends)
        for _ in range(2):
            stage.crew.look()
        assert slot.lent_to is stage.crew.slots[0].worker
        for _ in range(10):  # some of them come to the socket of the one that is not there
            await asyncio.to_thread(send, stage.address)
        flag.unlink()
        await wait_until(lambda: pids(stage)[1] != 0)
        assert (slot.lends, slot.lent_to, slot.trouble) == (False, None, "")
        for _ in range(10):
            await asyncio.to_thread(send, stage.address)
        assert mails(stage) == 20

    with caplog.at_level(logging.ERROR):
        play(given, 2, scenario)
    assert "worker 1 does not start: plugin faulty does not start: OSError: no key; again in 1 s" in caplog.messages


def test_a_disk_that_has_failed_is_left_alone(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        worker = stage.crew.slots[0].worker
        assert worker is not None
        worker.disk_has_failed = True
        stage.crew.look()
        assert stage.crew.is_frozen
        worker.kill()
        await wait_until(lambda: not stage.crew.everybody)
        slot = stage.crew.slots[0]
        assert (slot.worker, slot.succession, slot.trouble) == (None, None, "was killed by SIGKILL")

    play(settings(tmp_path), 1, scenario)


def test_who_does_not_answer_is_killed_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fastsmtp.server.processes.crew._HANG_LOOKS", 3)
    monkeypatch.setattr("fastsmtp.server.processes.worker_process._ABORT_S", 0.1)

    async def scenario(stage: Stage) -> None:
        (before,) = pids(stage)
        worker = stage.crew.slots[0].worker
        assert worker is not None
        await wait_until(lambda: worker.block.beat_ns > 0)
        stage.crew.look()
        os.kill(before, signal.SIGSTOP)
        await wait_until(lambda: is_stopped(before))
        for _ in range(6):
            stage.crew.look()
        await wait_until(lambda: pids(stage)[0] not in (0, before))

    with caplog.at_level(logging.ERROR):
        play(settings(tmp_path), 1, scenario)
    assert caplog.messages[0] == "worker 0 has not answered for 3 s and is killed"
    assert len(caplog.messages) == 2


def test_at_the_end_nobody_listens_any_more_when_the_first_client_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(settings(tmp_path), 2)
        await stage.open()
        address, both = stage.address, pids(stage)
        ours = doors_of(stage.first.doors)
        assert [len(ours & sockets_of(pid)) for pid in both] == [1, 1]
        clients = [socket.create_connection(address, DEADLINE_S) for _ in range(10)]
        for client in clients:
            assert (await asyncio.to_thread(client.recv, 1000)).startswith(b"220 ")

        def close_doors() -> None:
            assert [ours & sockets_of(pid) for pid in both] == [set(), set()]
            with socket.create_connection(address, DEADLINE_S) as late:
                stage.first.doors.close()
                assert without_id(late.recv(1000)) == SHUTTING_DOWN.wire
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address).close()
            assert select.select(clients, [], [], 0)[0] == []

        await stage.crew.close(close_doors)
        for client in clients:
            assert without_id(client.recv(1000)) == SHUTTING_DOWN.wire
            client.close()
        await stage.close()

    asyncio.run(main())


def test_who_hangs_does_not_keep_the_end_of_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        stage = Stage(settings(tmp_path), 2)
        await stage.open()
        hanging, other = workers(stage)
        assert hanging is not None
        assert other is not None
        os.kill(hanging.pid, signal.SIGSTOP)
        closing = asyncio.ensure_future(stage.crew.close(stage.first.doors.close))
        assert await other.ended == "ended with exit code 0"
        assert hanging.is_alive
        os.kill(hanging.pid, signal.SIGCONT)
        await closing
        await stage.close()

    asyncio.run(main())


def test_who_gives_up_waiting_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        hire = asyncio.ensure_future(stage.crew.hire(stage.first, 0))
        await wait_until(lambda: len(stage.crew.everybody) == 2)
        hire.cancel()
        await wait_until(lambda: len(stage.crew.everybody) == 1)
        assert await stage.seats.take() == 1

    play(settings(tmp_path), 1, scenario)
