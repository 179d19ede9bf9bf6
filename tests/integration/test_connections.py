"""Many clients, rude clients and the end of the server, over real sockets.

After whatever happened the books have to balance: what was answered 250 is in new/, what is in new/ was stored by a
transaction that said so, nothing is in tmp/, and no connection or descriptor is left.
"""

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import Self

import pytest
from integration.server import ServerProcess, running_server, wait_until
from refusals import plain

ENVELOPE = b"EHLO client.example\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
MESSAGE = b"Subject: hello\r\n\r\ntext\r\n.\r\n"
_STORED = re.compile(r"250 2\.0\.0 stored as (\w+)")
_ID = re.compile(rb"^\tid (\w+) ", re.MULTILINE)


class Client:
    """A connection that has heard its greeting."""

    def __init__(self, server: ServerProcess) -> None:
        self.socket = server.connect()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self.socket.makefile("rb")
        self.greeting = self.line()

    def line(self) -> str:
        """The next line without its CRLF; empty at the end."""
        return self._replies.readline().decode().rstrip("\r\n")

    def send(self, data: bytes, *, until: str) -> None:
        """Send, then read lines until one begins so."""
        self.socket.sendall(data)
        while not (line := self.line()).startswith(until):
            assert line, f"closed, and nobody said {until}"

    def rest(self) -> list[str]:
        """All lines until the server closes."""
        return [plain(line) for line in iter(self.line, "")]

    def close(self) -> None:
        """End both directions, the polite way."""
        self._replies.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reset(self) -> None:
        """Be gone at once: the server gets a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def stored_ids(lines: list[str]) -> set[str]:
    """The names that replies gave to messages."""
    return {found[1] for line in lines if (found := _STORED.fullmatch(line))}


class Books:
    """What a server had open before the clients came, after one delivery has opened what stays open."""

    def __init__(self, server: ServerProcess) -> None:
        with Client(server) as client:
            client.socket.sendall(ENVELOPE + MESSAGE + b"QUIT\r\n")
            assert stored_ids(client.rest())
        self._server = server
        self._wait_for_no_connection()
        self._descriptors = server.descriptors()

    def check(self, answered: set[str]) -> None:
        """See that they balance; `answered` are the messages whose 250 was heard."""
        server = self._server
        self._wait_for_no_connection()
        wait_until(lambda: server.descriptors() <= self._descriptors, "descriptors are given back")
        files = [_ID.findall(message)[0].decode() for message in server.messages("alice@example.test")]
        assert len(files) == len(set(files))
        wait_until(lambda: self._logged() == set(files), "the log has every message that is stored, and no other")
        assert answered <= set(files)
        assert server.unfinished() == []
        assert not server.troubles()
        assert server.metric("fastsmtp_internal_errors_total") == 0

    def _wait_for_no_connection(self) -> None:
        wait_until(lambda: self._server.metric("fastsmtp_connections") == 0, "the server notices the end")

    def _logged(self) -> set[str]:
        return {line["id"] for line in self._server.log_lines("transaction") if line["outcome"] == "stored"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server") / "site") as server:
        yield server


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"timeouts.command": "3s", "timeouts.data": "3s"}
    with running_server(tmp_path_factory.mktemp("impatient") / "site", settings) as server:
        yield server


def test_two_hundred_clients_at_once(server: ServerProcess) -> None:
    clients = 200
    everybody_is_here = asyncio.Event()
    here = 0

    async def deliver(number: int) -> list[str]:
        nonlocal here
        reader, writer = await asyncio.open_connection(server.host, server.port)
        await reader.readuntil(b"\r\n")
        here += 1
        if here == clients:
            everybody_is_here.set()
        await everybody_is_here.wait()
        writer.write(ENVELOPE + b"Subject: %d\r\n" % number + MESSAGE + b"QUIT\r\n")
        said = await reader.read()
        writer.close()
        return said.decode().split("\r\n")

    async def all_of_them() -> list[list[str]]:
        return await asyncio.gather(*map(deliver, range(clients)))

    books = Books(server)
    before = len(server.messages("alice@example.test"))
    answered = [stored_ids(lines) for lines in asyncio.run(all_of_them())]
    assert [len(ids) for ids in answered] == [1] * clients
    books.check(set().union(*answered))
    messages = server.messages("alice@example.test")[before:]
    assert sorted(message.split(b"Subject: ")[1] for message in messages) == sorted(
        b"%d\n" % number for number in range(clients)
    )


PLACES = {
    "in a command": b"MAIL FROM:<ann@exa",
    "in a transaction": ENVELOPE.removesuffix(b"DATA\r\n"),
    "in the message": ENVELOPE + b"Subject: half\r\n\r\nte",
    "before the last byte": ENVELOPE + MESSAGE[:-1],
}


@pytest.mark.parametrize("farewell", [Client.reset, Client.close])
@pytest.mark.parametrize("place", PLACES)
def test_a_client_that_vanishes_has_sent_nothing(
    server: ServerProcess, place: str, farewell: Callable[[Client], None]
) -> None:
    books = Books(server)
    before = len(server.messages("alice@example.test"))
    for _ in range(5):
        with Client(server) as client:
            client.socket.sendall(PLACES[place])
            farewell(client)
    books.check(set())
    assert len(server.messages("alice@example.test")) == before


@pytest.mark.parametrize("farewell", [Client.reset, Client.close])
def test_a_client_that_vanishes_behind_the_final_dot(server: ServerProcess, farewell: Callable[[Client], None]) -> None:
    """Its message is stored or not, and whole; another one that waited for its answer is stored."""
    books = Books(server)
    answered: set[str] = set()
    for _ in range(10):
        with Client(server) as client, Client(server) as witness:
            client.socket.sendall(ENVELOPE + MESSAGE)
            witness.socket.sendall(ENVELOPE + MESSAGE + b"QUIT\r\n")
            farewell(client)
            answered |= stored_ids(witness.rest())
    assert len(answered) == 10
    books.check(answered)


def test_a_half_closed_client_hears_every_answer(server: ServerProcess) -> None:
    books = Books(server)
    with Client(server) as client:
        client.socket.sendall(ENVELOPE + MESSAGE + b"NOOP\r\n" + ENVELOPE + MESSAGE)
        client.socket.shutdown(socket.SHUT_WR)
        said = client.rest()
    assert [line[:3] for line in said if line[3] == " "] == [
        *["250"] * 3,
        "354",
        "250",
        "250",
        *["250"] * 3,
        "354",
        "250",
    ]
    assert len(stored_ids(said)) == 2
    books.check(stored_ids(said))


def test_half_closed_in_the_message_is_no_message(server: ServerProcess) -> None:
    books = Books(server)
    before = len(server.messages("alice@example.test"))
    with Client(server) as client:
        client.send(ENVELOPE, until="354")
        client.socket.sendall(MESSAGE[:-2])
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == []
    books.check(set())
    assert len(server.messages("alice@example.test")) == before


def test_a_client_that_sends_single_bytes(server: ServerProcess) -> None:
    books = Books(server)
    with Client(server) as client:
        for byte in ENVELOPE + MESSAGE + b"QUIT\r\n":
            client.socket.send(bytes([byte]))
        said = client.rest()
    assert len(stored_ids(said)) == 1
    assert said[-1] == "221 2.0.0 Bye"
    books.check(stored_ids(said))


def test_a_client_that_says_nothing_is_told_so_and_closed(impatient: ServerProcess) -> None:
    books = Books(impatient)
    before = len(impatient.messages("alice@example.test"))
    with Client(impatient) as idle, Client(impatient) as in_command, Client(impatient) as in_message:
        in_command.socket.sendall(b"NOO")
        in_message.send(ENVELOPE + MESSAGE[:-1], until="354")
        for client in (idle, in_command):
            assert client.rest() == ["421 4.4.2 Waited too long for you"]
        assert in_message.rest() == ["421 4.4.2 Your message comes too slowly"]
    books.check(set())
    assert len(impatient.messages("alice@example.test")) == before


def test_a_client_that_does_not_read_is_not_read_either(impatient: ServerProcess) -> None:
    """Replies do not pile up: input stays in the kernel, and in the end the connection is cut."""
    books = Books(impatient)
    limit = impatient.memory_bytes() + 16 * 2**20
    with Client(impatient) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(ConnectionError):
            while impatient.memory_bytes() < limit:
                client.socket.sendall(b"HELP\r\n" * 10_000)
    assert impatient.memory_bytes() < limit
    books.check(set())


def test_connections_beyond_the_limit_are_turned_away_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    with running_server(tmp_path / "site", {"limits.connections": 2}) as server, Client(server) as second:
        with Client(server) as first:
            with Client(server) as third:
                assert plain(third.greeting) == "421 4.3.2 Too many connections, come again later"
                assert third.rest() == []
            first.send(b"QUIT\r\n", until="221")
        wait_until(lambda: server.metric("fastsmtp_connections") == 1, "there is room again")
        with Client(server) as fourth:
            assert fourth.greeting.startswith("220 ")
            assert server.metric("fastsmtp_connections_refused_total") == 1
            server.signal(SIGINT)
            for client in (second, fourth):
                assert client.rest() == ["421 4.3.2 Shutting down, come again soon"]
        assert server.wait() == 0


def test_who_hears_of_the_end_and_comes_again_at_once_is_refused(tmp_path: Path) -> None:
    """Whichever of the workers hears of it first: by then none of them listens."""
    with running_server(tmp_path / "site", {"listen.workers": 3}) as server, Client(server) as idle:
        server.signal(SIGTERM)
        assert idle.rest() == ["421 4.3.2 Shutting down, come again soon"]
        with pytest.raises(ConnectionRefusedError):
            server.connect().close()
        assert server.wait() == 0


def test_a_drain_lets_a_message_finish(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "site") as server,
        Client(server) as sending,
        Client(server) as idle,
        Client(server) as in_transaction,
    ):
        sending.send(ENVELOPE, until="354")
        in_transaction.send(ENVELOPE.removesuffix(b"DATA\r\n"), until="250 2.1.5")
        server.signal(SIGTERM)
        for client in (idle, in_transaction):
            assert client.rest() == ["421 4.3.2 Shutting down, come again soon"]
        with pytest.raises(ConnectionRefusedError):
            server.connect().close()
        assert server.process.poll() is None
        sending.socket.sendall(MESSAGE + b"NOOP\r\n")
        said = sending.rest()
        assert len(stored_ids(said[:1])) == 1
        assert said[1:] == ["421 4.3.2 Shutting down, come again soon"]
        assert server.wait() == 0
        assert len(server.messages("alice@example.test")) == 1
        assert server.unfinished() == []


@pytest.mark.parametrize("second_signal", [None, SIGTERM, SIGINT])
def test_a_drain_comes_to_an_end(tmp_path: Path, second_signal: Signals | None) -> None:
    """When its time has run out the message is cut short with 421; a second signal ends it without a word."""
    settings = {"timeouts.drain": "1s" if second_signal is None else "1h"}
    with running_server(tmp_path / "site", settings) as server, Client(server) as sending, Client(server) as idle:
        sending.send(ENVELOPE + b"Subject: never to end\r\n", until="354")
        server.signal(SIGTERM)
        assert len(idle.rest()) == 1
        if second_signal is None:
            assert sending.rest() == ["421 4.3.2 Shutting down, come again soon"]
        else:
            server.signal(second_signal)
            assert sending.rest() == []
        assert server.wait() == 0
        assert server.messages("alice@example.test") == []
        assert server.unfinished() == []
