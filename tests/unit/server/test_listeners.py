"""Doors: opened everywhere or nowhere, and closed behind us."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import uvloop

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError
from fastsmtp.server.listeners import Listeners
from fastsmtp.server.sockets import BoundSocket, bind


def entries(*addresses: str) -> list[ListenerEntry]:
    return [ListenerEntry.model_validate({"address": address}) for address in addresses]


class Door(asyncio.Protocol):
    """Says which door it is."""

    def __init__(self, word: bytes) -> None:
        self._word = word

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        stream.write(self._word)
        stream.close()


def nobody() -> asyncio.Protocol:
    raise AssertionError("nobody connects here")


def test_everywhere_or_nowhere(tmp_path: Path) -> None:
    async def start() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listeners = Listeners(entries("127.0.0.1:0", f"unix:{tmp_path}/s", f"127.0.0.1:{port}"), 10)
            with pytest.raises(StartError):
                await listeners.start([nobody] * 3)

    asyncio.run(start())  # a socket left open would be a ResourceWarning, and that an error
    assert not (tmp_path / "s").exists()


def test_who_binds_but_does_not_get_to_listen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two may bind a port with SO_REUSEADDR; only one of them listens."""
    rivals = []

    def bind_beside(entry: ListenerEntry) -> BoundSocket:
        bound = bind(entry)
        rivals.append(rival := socket.socket())
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind(bound.socket.getsockname())
        rival.listen()
        return bound

    async def start() -> None:
        with pytest.raises(StartError, match=r"cannot listen on 127\.0\.0\.1:[0-9]+: Address already in use"):
            await Listeners(entries("127.0.0.1:0"), 10).start([nobody])

    monkeypatch.setattr("fastsmtp.server.listeners.bind", bind_beside)
    asyncio.run(start())
    rivals[0].close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_every_door_has_its_own_protocol(tmp_path: Path, run: object) -> None:
    async def meet() -> Sequence[bytes]:
        listeners = Listeners(entries("127.0.0.1:0", f"unix:{tmp_path}/s"), 10)
        bound = await listeners.start([lambda: Door(b"tcp"), lambda: Door(b"unix")])
        assert isinstance(bound[0].address, ListenAddress)
        heard = []
        for opened in (
            asyncio.open_connection("127.0.0.1", bound[0].address.port),
            asyncio.open_unix_connection(str(tmp_path / "s")),
        ):
            reader, writer = await opened
            heard.append(await reader.read())
            writer.close()
        listeners.stop()
        return heard

    assert callable(run)
    assert run(meet()) == [b"tcp", b"unix"]
    assert not (tmp_path / "s").exists()


def test_stop_frees_the_port() -> None:
    async def start_twice() -> None:
        listeners = Listeners(entries("127.0.0.1:0"), 10)
        (bound,) = await listeners.start([nobody])
        address = bound.address
        listeners.stop()
        await asyncio.sleep(0)  # the loop closes the socket on its next turn
        again = Listeners(entries(str(address)), 10)
        assert [one.address for one in await again.start([nobody])] == [address]
        again.stop()

    asyncio.run(start_twice())
