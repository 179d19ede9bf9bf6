"""Putting a server together and taking it down, in this process, with real sockets."""

import asyncio
import smtplib
import socket
from pathlib import Path

import pytest
from workers import addresses, make_server, settings, start

from fastsmtp.errors import PluginLoadError, StartError
from fastsmtp.log import LineLog
from fastsmtp.server import server as server_module


@pytest.fixture
def log(tmp_path: Path) -> LineLog:
    return LineLog.open(tmp_path / "log")


def test_starts_serves_and_stops(tmp_path: Path, log: LineLog) -> None:
    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.sendmail("a@example.org", "alice@example.test", b"Subject: x\r\n\r\ny\r\n")

    async def live() -> None:
        given = settings(tmp_path)
        server = make_server(given, log)
        doors = await start(server, given)
        (address,) = addresses(doors)
        assert (server.ailment, server.weakness, server.disk_has_failed) == ("", "", False)
        await asyncio.to_thread(send, address[1])
        doors.close()
        await server.stop(drain_s=5)
        assert (server.ailment, server.weakness) == ("draining", "draining")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address).close()

    asyncio.run(live())
    (stored,) = (tmp_path / "mail/example.test/alice/new").iterdir()
    assert stored.read_bytes().endswith(b"Subject: x\n\ny\n")


def test_in_the_time_of_grace_clients_notice_nothing(tmp_path: Path, log: LineLog) -> None:
    async def live() -> None:
        given = settings(tmp_path)
        server = make_server(given, log)
        doors = await start(server, given)
        (address,) = addresses(doors)
        clients = [await asyncio.open_connection(*address) for _ in range(3)]
        stopping = asyncio.create_task(server.stop(drain_s=60, grace_s=6))

        async def say(client: int, line: bytes, reply: bytes) -> None:
            reader, writer = clients[client]
            writer.write(line)
            while not (heard := await reader.readline()).startswith(reply):
                assert heard, f"the end, and no {reply!r}"

        for client in range(3):
            await say(client, b"EHLO x\r\n", b"250 ")
        # One ends by itself, one begins a transaction and is in no hurry, one does nothing.
        for client in (0, 1):
            await say(client, b"MAIL FROM:<>\r\n", b"250 2.1.0")
            await say(client, b"RCPT TO:<alice@example.test>\r\n", b"250 2.1.5")
        await say(0, b"BDAT 3 LAST\r\n\nx\n", b"250 2.0.0")
        await say(0, b"QUIT\r\n", b"221 ")
        assert server.ailment == ""
        assert (await clients[2][0].read()).startswith(b"421 4.3.2 ")
        assert server.ailment == "draining"
        await say(1, b"NOOP\r\n", b"250 ")
        await say(1, b"BDAT 3 LAST\r\n\ny\n", b"250 2.0.0")
        assert (await clients[1][0].read()).startswith(b"421 4.3.2 ")
        await stopping
        for _, writer in clients:
            writer.close()
        doors.close()

    asyncio.run(live())
    assert len(list((tmp_path / "mail/example.test/alice/new").iterdir())) == 2


def test_a_missing_directory_is_said_in_a_sentence(tmp_path: Path, log: LineLog) -> None:
    async def fail() -> None:
        given = settings(tmp_path, directory={"url": f"sqlite:{tmp_path}/nowhere.db"})
        with pytest.raises(StartError, match=r"the directory cannot be used: .*nowhere\.db"):
            await start(make_server(given, log), given)

    asyncio.run(fail())


def test_plugins_are_loaded_at_once(tmp_path: Path, log: LineLog) -> None:
    async def build() -> None:
        with pytest.raises(PluginLoadError, match="no plugin is called 'nothing'"):
            make_server(settings(tmp_path, plugin=[{"use": "nothing"}]), log)

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
        given = settings(tmp_path, **plugins)
        with pytest.raises(StartError, match="plugin second does not start: OSError: no key file"):
            await start(make_server(given, log), given)

    asyncio.run(fail())
    assert (tmp_path / "stopped").exists()


def test_a_plugin_that_hangs_keeps_nobody_waiting(
    tmp_path: Path, log: LineLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "slow.py").write_text(
        "import asyncio\nfrom fastsmtp.plugin import NoOptions, Plugin, Services\n"
        "class Slow(Plugin[NoOptions]):\n"
        "    async def stop(self) -> None:\n        await asyncio.Event().wait()\n"
    )
    (tmp_path / "never.py").write_text(
        "import asyncio\nfrom fastsmtp.plugin import NoOptions, Plugin, Services\n"
        "class Never(Plugin[NoOptions]):\n"
        "    async def start(self, services: Services) -> None:\n        await asyncio.Event().wait()\n"
    )
    monkeypatch.setattr(server_module, "_PLUGIN_START_S", 0.01)
    monkeypatch.setattr(server_module, "_PLUGIN_STOP_S", 0.01)

    async def fail() -> None:
        given = settings(tmp_path, plugin_path=[str(tmp_path)], plugin=[{"use": "slow"}, {"use": "never"}])
        with pytest.raises(StartError, match=r"plugin never does not start: not within 0\.01 s"):
            await start(make_server(given, log), given)

    asyncio.run(fail())
    assert "plugin does not stop" in caplog.messages
