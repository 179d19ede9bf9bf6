"""Sockets as systemd gives them: from a descriptor on, said in the environment."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from fastsmtp.config.places import ListenAddress
from fastsmtp.errors import StartError
from fastsmtp.server.processes.activation import activated_sockets

FIRST = 200


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def activate(stack: ExitStack, made: Sequence[socket.socket], names: str | None = None) -> dict[str, str]:
    """The environment that goes with these; they are at 200 and on."""
    for number, one in enumerate(made, FIRST):
        os.dup2(one.fileno(), number)
        one.close()
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(made)), "HOME": "/"}
    return environment if names is None else {**environment, "LISTEN_FDNAMES": names}


def test_addresses_and_names(stack: ExitStack, tmp_path: Path) -> None:
    four = socket.create_server(("127.0.0.1", 0))
    six = socket.create_server(("::1", 0), family=socket.AF_INET6)
    both = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    alone = socket.create_server(("::", 0), family=socket.AF_INET6)
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(tmp_path / "lmtp"))
    local.listen()
    ports = [one.getsockname()[1] for one in (four, six, both, alone)]
    environment = activate(stack, [four, six, both, alone, local], "smtp:smtp:both:alone:lmtp")
    given = activated_sockets(environment, FIRST)
    for one in given:
        stack.enter_context(one.socket)
    assert environment == {"HOME": "/"}
    assert [one.name for one in given] == ["smtp", "smtp", "both", "alone", "lmtp"]
    assert [str(one.address) for one in given] == [
        f"127.0.0.1:{ports[0]}",
        f"[::1]:{ports[1]}",
        f"[::]:{ports[2]}",
        f"[::]:{ports[3]}",
        f"unix:{tmp_path}/lmtp",
    ]
    assert [one.also_ipv4 for one in given] == [None, None, ListenAddress("0.0.0.0", ports[2]), None, None]  # noqa: S104
    assert not any(os.get_inheritable(one.socket.fileno()) for one in given)
    assert not any(one.socket.getblocking() for one in given)


def test_names_may_be_missing(stack: ExitStack) -> None:
    environment = activate(stack, [socket.create_server(("127.0.0.1", 0)) for _ in range(2)])
    given = activated_sockets(environment, FIRST)
    for one in given:
        stack.enter_context(one.socket)
    assert [one.name for one in given] == ["", ""]


@pytest.mark.parametrize("environment", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_FDS": "1"}])
def test_what_is_not_for_us(environment: dict[str, str]) -> None:
    assert activated_sockets(environment) == []
    assert environment == {}


def test_a_socket_that_does_not_listen(stack: ExitStack) -> None:
    with pytest.raises(StartError, match=r"the socket smtp of .LISTEN_FDS does not listen"):
        activated_sockets(activate(stack, [socket.socket()], "smtp"), FIRST)


def test_a_datagram_socket(stack: ExitStack) -> None:
    with pytest.raises(StartError, match="does not listen"):
        activated_sockets(activate(stack, [socket.socket(type=socket.SOCK_DGRAM)]), FIRST)


def test_what_is_no_socket() -> None:
    readable, writable = os.pipe()
    os.dup2(readable, FIRST)
    os.close(readable)
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    with pytest.raises(StartError, match=r"descriptor 200 of .LISTEN_FDS is no socket"):
        activated_sockets(environment, FIRST)
    os.close(FIRST)
    os.close(writable)
