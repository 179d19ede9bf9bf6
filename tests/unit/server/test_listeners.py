"""Doors of a worker: sockets that it was given, at which it listens, and those that it takes for another one."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.errors import StartError
from fastsmtp.server.listeners import Listeners
from fastsmtp.server.sockets import BoundSocket, bind

RUNS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


def bound(address: str, beside: BoundSocket | None = None) -> BoundSocket:
    return bind(ListenerEntry.model_validate({"address": address}), beside)


def given(*sockets: BoundSocket) -> list[int]:
    """As a worker inherits them: descriptors of its own."""
    return [os.dup(one.socket.fileno()) for one in sockets]


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


async def hear(one: BoundSocket) -> bytes:
    where = one.socket.getsockname()
    opened = asyncio.open_unix_connection(where) if isinstance(where, str) else asyncio.open_connection(*where)
    reader, writer = await opened
    heard = await reader.read()
    writer.close()
    return heard


def play(run: Callable[[Any], Any], scenario: Awaitable[None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await scenario

    run(main())


@RUNS
def test_every_door_has_its_own_protocol(tmp_path: Path, run: Callable[[Any], Any]) -> None:
    async def meet() -> None:
        first = bound("127.0.0.1:0")
        second, local = bound("127.0.0.1:0", first), bound(f"unix:{tmp_path}/s")
        listeners = Listeners([lambda: Door(b"tcp"), lambda: Door(b"unix")], 10)
        await listeners.start([given(first, second), given(local)])
        assert {await hear(first) for _ in range(20)} == {b"tcp"}
        assert await hear(local) == b"unix"
        listeners.stop()
        for one in (first, second, local):
            one.close()

    play(run, meet())


@RUNS
def test_who_stops_leaves_the_socket_to_others(run: Callable[[Any], Any]) -> None:
    """Whoever comes between two workers waits, and is not refused."""

    async def succeed() -> None:
        door = bound("127.0.0.1:0")
        for word in (b"first", b"second"):
            waiting = asyncio.ensure_future(hear(door)) if word == b"second" else None
            listeners = Listeners([lambda word=word: Door(word)], 10)  # type: ignore[misc] # bound at once
            await listeners.start([given(door)])
            if waiting is not None:
                assert await waiting == b"second"
            assert await hear(door) == word
            listeners.stop()
            await asyncio.sleep(0)  # the loop closes the socket on its next turn
        door.close()

    play(run, succeed())


@RUNS
def test_the_socket_of_another_one(run: Callable[[Any], Any]) -> None:
    async def adopt() -> None:
        own, other = bound("127.0.0.1:0"), bound("127.0.0.1:0")
        other.socket.listen()
        waiting = asyncio.ensure_future(hear(other))
        listeners = Listeners([lambda: Door(b"own")], 10)
        await listeners.start([given(own)])
        await listeners.adopt(1, 0, *given(other))
        assert await waiting == b"own"
        listeners.give_back(1)
        listeners.give_back(2)
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(hear(other))
        assert await hear(own) == b"own"
        other.socket.settimeout(20)
        client, _ = await asyncio.to_thread(other.socket.accept)
        client.sendall(b"its own")
        client.close()
        assert await waiting == b"its own"
        listeners.stop()
        own.close()
        other.close()

    play(run, adopt())


def test_who_has_stopped_adopts_nothing() -> None:
    async def stop_first() -> None:
        other = bound("127.0.0.1:0")
        listeners = Listeners([nobody], 10)
        await listeners.start([])
        listeners.stop()
        (descriptor,) = given(other)
        await listeners.adopt(1, 0, descriptor)
        await asyncio.sleep(0)  # the loop closes the socket on its next turn
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
        other.close()

    play(asyncio.run, stop_first())


def test_who_was_bound_but_does_not_get_to_listen_is_told() -> None:
    """Two may bind a port with SO_REUSEADDR; only one of them listens."""

    async def start() -> None:
        door = bound("127.0.0.1:0")
        with socket.socket() as rival:
            rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            rival.bind(door.socket.getsockname())
            rival.listen()
            with pytest.raises(StartError, match=r"cannot listen on .*127\.0\.0\.1.*: Address already in use"):
                await Listeners([nobody], 10).start([given(door)])
        door.close()

    play(asyncio.run, start())
