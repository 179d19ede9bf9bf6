"""What a worker does on the word of the supervisor, and tells it without being asked."""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

from crews import DEADLINE_S, Stage, doors_of, play, send, sockets_of, wait_until
from workers import settings

from fastsmtp.server.processes.worker_process import WorkerProcess


def worker_of(stage: Stage) -> WorkerProcess:
    worker = stage.crew.slots[0].worker
    assert worker is not None
    return worker


def log_lines(file: Path) -> list[dict[str, Any]]:
    """Those that are whole: while a worker writes, the last one may not be."""
    return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line[-1] == "\n"]


def test_it_opens_its_log_anew(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        await asyncio.to_thread(send, stage.address)
        await wait_until(lambda: bool((tmp_path / "log").stat().st_size))
        (tmp_path / "log").rename(tmp_path / "log.1")
        await asyncio.to_thread(send, stage.address)
        await wait_until(lambda: len(log_lines(tmp_path / "log.1")) == 2)
        worker_of(stage).reopen_log()
        await wait_until((tmp_path / "log").exists)
        await asyncio.to_thread(send, stage.address)
        await wait_until(lambda: len(log_lines(tmp_path / "log")) == 1)

    play(settings(tmp_path), 1, scenario)
    assert len(log_lines(tmp_path / "log.1")) == 2


def test_it_takes_the_connections_of_another_slot_for_a_while(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            worker_of(stage).adopt(1, 0, other.fileno())
            await asyncio.to_thread(send, other.getsockname())
            worker_of(stage).give_back(1)
            await asyncio.to_thread(send, stage.address)
            other.settimeout(DEADLINE_S)
            client = socket.create_connection(other.getsockname(), DEADLINE_S)
            accepted, _ = await asyncio.to_thread(other.accept)
            accepted.close()
            client.close()

    play(settings(tmp_path), 1, scenario)


def test_it_tells_how_it_is(tmp_path: Path) -> None:
    limits = {"connections": 20, "connections_per_address": 0, "exempt": []}

    async def scenario(stage: Stage) -> None:
        worker = worker_of(stage)
        clients = [await asyncio.open_connection(*stage.address) for _ in range(18)]
        await wait_until(lambda: worker.weakness == "overloaded: connections")
        assert (worker.ailment, worker.disk_has_failed) == ("", False)
        for _, writer in clients:
            writer.close()
        await wait_until(lambda: worker.weakness == "")

    play(settings(tmp_path, limits=limits, overload={"calm": "200ms"}), 1, scenario)


def test_it_ends_with_the_supervisor(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        worker = worker_of(stage)
        worker._line.close()  # noqa: SLF001 - as the end of the process would
        assert await worker.ended == "ended with exit code 1"
        assert not worker.left_in_order
        await wait_until(lambda: stage.crew.slots[0].worker is not None)

    play(settings(tmp_path), 1, scenario)


def test_a_client_in_the_middle_of_a_message_may_finish_it(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        reader, writer = await asyncio.open_connection(*stage.address)

        async def say(line: bytes, reply: bytes) -> None:
            writer.write(line + b"\r\n")
            while not (heard := await reader.readline()).startswith(reply):
                assert heard

        await say(b"EHLO x", b"250 ")
        await say(b"MAIL FROM:<>", b"250 ")
        await say(b"RCPT TO:<alice@example.test>", b"250 ")
        await say(b"DATA", b"354 ")
        worker = worker_of(stage)
        worker.drain(DEADLINE_S, DEADLINE_S)
        await wait_until(lambda: not doors_of(stage.first.doors) & sockets_of(worker.pid))  # it has heard of it
        os.kill(worker.pid, 0)
        await say(b"Subject: x\r\n\r\nlate\r\n.", b"250 ")
        assert (await reader.read()).startswith(b"421 4.3.2 ")
        writer.close()
        assert await worker.ended == "ended with exit code 0"

    play(settings(tmp_path), 1, scenario)
