"""The supervisor with real workers: it starts, answers for all of them, reloads, and lets everybody finish."""

import asyncio
import contextlib
import logging
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from crews import DEADLINE_S, plugin, send, wait_until
from ports import free_port
from workers import settings

from fastsmtp.config.model import Settings
from fastsmtp.delivery.keeper import JournalKeeper
from fastsmtp.errors import ConfigurationError, StartError
from fastsmtp.server.processes.doors import make_doors
from fastsmtp.server.processes.notify import Notifier
from fastsmtp.server.processes.supervisor import Site, Supervisor, worker_count


class Told(Notifier):
    """A notifier that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def _tell(self, *lines: str) -> None:
        self.heard.extend(lines)


class World:
    """A supervisor, what it is told by the configuration, and what it told systemd."""

    def __init__(self, folder: Path, given: Settings) -> None:
        self.folder = folder
        self.written: Settings | Exception = given
        self.notifier = Told()
        self.keeper = JournalKeeper(given.maildir)
        self.keeper.lock()
        doors = make_doors(given.listeners, worker_count(given))
        self.supervisor = Supervisor(Site(given, self.load, self.keeper, doors, (), self.notifier))

    def load(self) -> Settings:
        if isinstance(self.written, Exception):
            raise self.written
        return self.written

    def page(self, path: str) -> tuple[int, str]:
        assert self.supervisor.running.metrics_address is not None
        host, port = self.supervisor.running.metrics_address
        try:
            with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=DEADLINE_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    async def get(self, path: str) -> tuple[int, str]:
        return await asyncio.to_thread(self.page, path)

    async def count(self, name: str) -> float:
        _, text = await self.get("/metrics")
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    async def send(self) -> None:
        await asyncio.to_thread(send, self.supervisor.running.smtp_addresses[0])


def play(folder: Path, given: Settings, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World(folder, given)
        try:
            await world.supervisor.start()
            await scenario(world)
        finally:
            await world.supervisor.stop(asyncio.Event())
            world.keeper.close()

    asyncio.run(main())


def two(folder: Path, **tables: object) -> Settings:
    return settings(folder, **{"listen": {"smtp": ["127.0.0.1:0"], "workers": 2}, **tables})


def test_one_per_core(tmp_path: Path) -> None:
    assert worker_count(settings(tmp_path)) == len(os.sched_getaffinity(0))
    assert worker_count(two(tmp_path)) == 2


def test_it_answers_for_all(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    body = f"        if Path({str(flag)!r}).exists():\n            raise OSError('no key')"
    plugin(tmp_path, "faulty", f"    async def start(self, services):\n{body}")

    async def scenario(world: World) -> None:
        world.supervisor.ready()
        assert world.notifier.heard[-2:] == ["READY=1", "STATUS=2 workers serving"]
        assert len(world.supervisor.running.worker_pids) == 2
        assert await world.get("/healthz") == (200, "ok\n")
        assert await world.get("/readyz") == (200, "ok\n")
        for _ in range(8):
            await world.send()
        assert await world.count('fastsmtp_store_messages_total{code="250"}') == 8
        flag.touch()
        os.kill(world.supervisor.running.worker_pids[1], signal.SIGKILL)
        trouble = "worker 1 does not start: plugin faulty does not start: OSError: no key"
        await wait_until(lambda: world.notifier.heard[-1] == f"STATUS=1 of 2 workers serving: {trouble}")
        for path in ("/healthz", "/readyz"):
            assert await world.get(path) == (503, f"{trouble}\n")
        assert await world.count('fastsmtp_store_messages_total{code="250"}') == 8
        assert await world.count('fastsmtp_worker_up{worker="1"}') == 0
        flag.unlink()
        await wait_until(lambda: world.notifier.heard[-1] == "STATUS=2 workers serving")
        assert await world.get("/healthz") == (200, "ok\n")
        assert await world.count('fastsmtp_worker_deaths_total{worker="1"}') == 1

    play(tmp_path, two(tmp_path, plugin_path=[str(tmp_path)], plugin=[{"use": "faulty"}]), scenario)


def test_a_reload_is_told_of_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        before = set(world.supervisor.running.worker_pids)
        await world.send()
        world.notifier.heard.clear()
        await world.supervisor.reload()
        assert world.notifier.heard[0] == "RELOADING=1"
        assert world.notifier.heard[-2:] == ["READY=1", "STATUS=2 workers serving"]
        assert not before & set(world.supervisor.running.worker_pids)
        await world.send()
        assert await world.count('fastsmtp_store_messages_total{code="250"}') == 2
        assert await world.count("fastsmtp_generation") == 2
        assert await world.count('fastsmtp_reloads_total{result="done"}') == 1

    with caplog.at_level(logging.INFO):
        play(tmp_path, two(tmp_path), scenario)
    assert "reloaded" in caplog.messages


def failures(tmp_path: Path) -> dict[str, Settings | Exception]:
    plugin(tmp_path, "faulty", "    async def start(self, services):\n        raise OSError('no key')")
    faulty = {"plugin_path": [str(tmp_path)], "plugin": [{"use": "faulty"}]}
    mail = {"root": str(tmp_path / "other"), "journal": str(tmp_path / "journal"), "durability": "none"}
    return {
        "x.toml: limits.recipients: -1 is too small": ConfigurationError("x.toml: limits.recipients: -1 is too small"),
        "plugin faulty does not start: OSError: no key": two(tmp_path, **faulty),
        "cannot listen on 192.0.2.1:1": two(tmp_path, listen={"smtp": ["192.0.2.1:1"]}),
        "cannot listen on 192.0.2.1:1 for metrics": two(tmp_path, metrics={"listen": "192.0.2.1:1"}),
        "maildir.root cannot be changed by a reload": two(tmp_path, maildir=mail),
        "listen.workers can be 14 after a reload": two(tmp_path, listen={"workers": 15}),
        "a fault of the server": ZeroDivisionError("ours"),
    }


def test_what_does_not_come_up_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = failures(tmp_path)

    async def scenario(world: World) -> None:
        before = world.supervisor.running
        for number, (told, written) in enumerate(expected.items(), start=1):
            world.written = written
            caplog.clear()
            await world.supervisor.reload()
            assert f"not reloaded, what ran before goes on: {told}" in caplog.text
            assert world.notifier.heard[-2:] == ["READY=1", "STATUS=2 workers serving"]
            assert world.supervisor.running == before
            assert await world.count('fastsmtp_reloads_total{result="failed"}') == number
            assert await world.count("fastsmtp_reload_failed") == 1
            assert await world.count("fastsmtp_generation") == 1
        await world.send()

    with caplog.at_level(logging.ERROR):
        play(tmp_path, two(tmp_path, metrics={"listen": f"127.0.0.1:{free_port()}"}), scenario)


def test_everything_else_may_change(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        before = world.supervisor.running
        listen = {"smtp": ["127.0.0.1:0", "127.0.0.2:0"], "workers": 3, "backlog": 7}
        maildir = {"root": str(tmp_path / "mail"), "journal": str(tmp_path / "journal"), "durability": "journal"}
        world.written = settings(tmp_path, listen=listen, maildir=maildir, metrics={"listen": "127.0.0.2:0"})
        await world.supervisor.reload()
        after = world.supervisor.running
        assert after.smtp_addresses[0] == before.smtp_addresses[0]
        assert after.smtp_addresses[1][0] == "127.0.0.2"
        assert len(after.worker_pids) == 3
        assert after.metrics_address is not None
        assert after.metrics_address[0] == "127.0.0.2"
        assert world.keeper.descriptor is not None
        await world.send()
        world.written = two(tmp_path, metrics={"listen": False})
        await world.supervisor.reload()
        assert world.supervisor.running.metrics_address is None
        assert len(world.supervisor.running.worker_pids) == 2
        await world.send()

    play(tmp_path, two(tmp_path), scenario)


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"plugin": [{"use": "nothing"}]}, "no plugin is called 'nothing'"),
        ({"metrics": {"listen": "192.0.2.1:1"}}, r"cannot listen on 192\.0\.2\.1:1 for metrics"),
    ],
)
def test_a_start_that_fails_leaves_nobody(tmp_path: Path, tables: dict[str, object], told: str) -> None:
    async def main() -> None:
        world = World(tmp_path, two(tmp_path, **tables))
        with pytest.raises((ConfigurationError, StartError), match=told):
            await world.supervisor.start()
        await world.supervisor.stop(asyncio.Event())
        assert world.supervisor.running.worker_pids == []
        world.keeper.close()

    asyncio.run(main())


def test_while_it_drains_it_says_so_and_hurries_when_told(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path, two(tmp_path, timeouts={"drain": "100s"}))
        await world.supervisor.start()
        reader, writer = await asyncio.open_connection(*world.supervisor.running.smtp_addresses[0])
        for line in (b"EHLO x", b"MAIL FROM:<>", b"RCPT TO:<alice@example.test>", b"DATA"):
            writer.write(line + b"\r\n")
        while not (await reader.readline()).startswith(b"354 "):
            pass
        hurry = asyncio.Event()
        stopping = asyncio.ensure_future(world.supervisor.stop(hurry))
        for path in ("/healthz", "/readyz"):
            assert await world.get(path) == (503, "draining\n")
        assert "STOPPING=1" in world.notifier.heard
        assert not stopping.done()
        hurry.set()
        await asyncio.wait_for(stopping, DEADLINE_S)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        world.keeper.close()

    asyncio.run(main())
