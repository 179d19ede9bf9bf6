"""Sockets: bound everywhere or nowhere, with an error that says which one."""

import asyncio
import socket

import pytest

from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError
from fastsmtp.server.connection import ConnectionProtocol
from fastsmtp.server.listeners import Listeners, bind


def no_connection() -> ConnectionProtocol:
    raise AssertionError("nobody connects here")


def test_bind_takes_a_free_port() -> None:
    with bind(ListenAddress("127.0.0.1", 0)) as bound:
        assert bound.getsockname()[1] > 0
        assert not bound.getblocking()


def test_ipv4_and_ipv6_share_a_port() -> None:
    with bind(ListenAddress("::", 0)) as six:
        port = six.getsockname()[1]
        with bind(ListenAddress("0.0.0.0", port)) as four:  # noqa: S104 - nobody listens, the socket is only bound
            assert four.getsockname()[1] == port


def test_a_taken_port_names_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            bind(ListenAddress("127.0.0.1", port))


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:0"):
        bind(ListenAddress("192.0.2.1", 0))


def test_everywhere_or_nowhere() -> None:
    async def start() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listeners = Listeners([ListenAddress("127.0.0.1", 0), ListenAddress("127.0.0.1", port)], 10)
            with pytest.raises(StartError):
                await listeners.start(no_connection)

    asyncio.run(start())  # a socket left open would be a ResourceWarning, and that an error


def test_stop_frees_the_port() -> None:
    async def start_twice() -> None:
        listeners = Listeners([ListenAddress("127.0.0.1", 0)], 10)
        ((_, port),) = await listeners.start(no_connection)
        listeners.stop()
        await asyncio.sleep(0)  # the loop closes the socket on its next turn
        again = Listeners([ListenAddress("127.0.0.1", port)], 10)
        assert await again.start(no_connection) == [("127.0.0.1", port)]
        again.stop()

    asyncio.run(start_twice())
