"""Putting a server together and taking it down, in this process, with real sockets."""

import asyncio
import smtplib
import socket
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.config.model import Settings
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.errors import PluginLoadError, StartError
from fastsmtp.log import LineLog
from fastsmtp.server.server import Server


def settings(tmp_path: Path, **tables: Any) -> Settings:
    database = tmp_path / "directory.db"
    if not database.exists():
        with SqliteAdmin(database, create=True) as admin:
            admin.add_domain("example.test")
            admin.add_user("alice@example.test")
    given = {
        "hostname": "mx.example.test",
        "listen": {"smtp": ["127.0.0.1:0"]},
        "metrics": {"listen": "127.0.0.1:0"},
        "directory": {"url": f"sqlite:{database}"},
        "maildir": {"root": str(tmp_path / "mail"), "durability": "none"},
    }
    return Settings.model_validate({**given, **tables})


@pytest.fixture
def log(tmp_path: Path) -> LineLog:
    return LineLog.open(tmp_path / "log")


def test_starts_serves_and_stops(tmp_path: Path, log: LineLog) -> None:
    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.sendmail("a@example.org", "alice@example.test", b"Subject: x\r\n\r\ny\r\n")

    async def live() -> None:
        server = Server(settings(tmp_path), log)
        running = await server.start()
        assert running.metrics_address is not None
        await asyncio.to_thread(send, running.smtp_addresses[0][1])
        await server.stop(drain_s=5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(running.smtp_addresses[0]).close()

    asyncio.run(live())
    (stored,) = (tmp_path / "mail/example.test/alice/new").iterdir()
    assert stored.read_bytes().endswith(b"Subject: x\n\ny\n")


def test_a_taken_port_leaves_nothing_open(tmp_path: Path, log: LineLog) -> None:
    async def fail() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            server = Server(settings(tmp_path, listen={"smtp": ["127.0.0.1:0", address]}), log)
            with pytest.raises(StartError, match="Address already in use"):
                await server.start()

    asyncio.run(fail())


def test_a_missing_directory_is_said_in_a_sentence(tmp_path: Path, log: LineLog) -> None:
    async def fail() -> None:
        server = Server(settings(tmp_path, directory={"url": f"sqlite:{tmp_path}/nowhere.db"}), log)
        with pytest.raises(StartError, match=r"the directory cannot be used: .*nowhere\.db"):
            await server.start()

    asyncio.run(fail())


def test_plugins_are_loaded_at_once(tmp_path: Path, log: LineLog) -> None:
    async def build() -> None:
        with pytest.raises(PluginLoadError, match="no plugin is called 'nothing'"):
            Server(settings(tmp_path, plugin=[{"use": "nothing"}]), log)

    asyncio.run(build())


def test_a_plugin_that_does_not_start_stops_those_that_did(tmp_path: Path, log: LineLog) -> None:
    (tmp_path / "first.py").write_text(
        "from pathlib import Path\nfrom fastsmtp.plugin import NoOptions, Plugin, Services\n"
        "class First(Plugin[NoOptions]):\n"
        f"    async def stop(self) -> None:\n        Path({str(tmp_path / 'stopped')!r}).touch()\n"
    )
    (tmp_path / "second.py").write_text(
        "from fastsmtp.plugin import NoOptions, Plugin, Services\n"
        "class Second(Plugin[NoOptions]):\n"
        "    async def start(self, services: Services) -> None:\n        raise OSError('no key file')\n"
    )

    async def fail() -> None:
        plugins = {"plugin_path": [str(tmp_path)], "plugin": [{"use": "first"}, {"use": "second"}]}
        server = Server(settings(tmp_path, **plugins), log)
        with pytest.raises(StartError, match="plugin second does not start: OSError: no key file"):
            await server.start()

    asyncio.run(fail())
    assert (tmp_path / "stopped").exists()
