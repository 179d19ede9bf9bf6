"""Between a transport that writes down what it is told and an owner that does: nothing piles up, and ends are ends."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest
from certificates import TlsClient, client_context
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.server.tls.test_layer import every_version, server_context

from fastsmtp.server.tls.layer import Endpoint
from fastsmtp.server.tls.transport import TlsTransport


class Network(asyncio.Transport):
    """The transport below."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711)})
        self.sent = b""
        self.calls: list[str] = []

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def take(self) -> bytes:
        sent, self.sent = self.sent, b""
        return sent

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Owner:
    """Writes down what it hears; `on_data` is what it does then."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.pieces: list[bytes] = []
        self.waits_at_end = False
        self.on_data: Callable[[], None] = lambda: None
        self.on_secured: Callable[[], None] = lambda: None

    def secured(self, tls: Endpoint) -> None:
        self.heard.append(tls.version())
        self.on_secured()

    def not_secured(self, reason: str) -> None:
        self.heard.append(f"not secured: {reason}")

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.on_data()

    def eof_received(self) -> bool:
        self.heard.append("eof")
        return self.waits_at_end

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append("lost")

    def pause_writing(self) -> None:
        self.heard.append("pause")

    def resume_writing(self) -> None:
        self.heard.append("resume")


class Rig:
    """All of it, before the handshake."""

    def __init__(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        self.network, self.owner = Network(), Owner()
        loop = asyncio.get_running_loop()
        self.tls = TlsTransport(self.network, server_context(), self.owner, loop)
        self.tls.start()
        assert self.network.protocol is self.tls
        self.client = TlsClient(client_context(version))

    def connect(self) -> "Rig":
        answer = b""
        while not self.client.is_secured or not self.owner.heard:
            self.tls.data_received(self.client.handshake(answer))
            answer = self.network.take()
        assert self.client.decrypt(answer) == b""
        return self

    def say(self, data: bytes) -> None:
        self.tls.data_received(self.client.encrypt(data))

    def reply(self) -> bytes:
        return self.client.decrypt(self.network.take())


def play(test: Callable[[], None]) -> None:
    async def body() -> None:
        test()

    asyncio.run(body())


@every_version
def test_a_dialogue(version: ssl.TLSVersion) -> None:
    def test() -> None:
        rig = Rig(version).connect()
        assert rig.owner.heard == [{771: "TLSv1.2", 772: "TLSv1.3"}[version]]
        rig.say(b"NOOP\r\n")
        assert rig.owner.pieces == [b"NOOP\r\n"]
        rig.tls.write(b"250 2.0.0 OK\r\n")
        assert rig.reply() == b"250 2.0.0 OK\r\n"
        assert rig.tls.get_extra_info("peername") == ("192.0.2.1", 4711)
        assert rig.network.calls == []

    play(test)


def test_a_long_answer_leaves_whole() -> None:
    def test() -> None:
        rig = Rig().connect()
        rig.tls.write(b"x" * 100_000)
        assert rig.reply() == b"x" * 100_000

    play(test)


def test_what_is_said_when_it_is_secured_leaves_with_the_handshake() -> None:
    def test() -> None:
        rig = Rig()
        rig.owner.on_secured = lambda: rig.tls.write(b"220 ready\r\n")
        rig.tls.data_received(rig.client.handshake())
        rig.tls.data_received(rig.client.handshake(rig.network.take()))
        assert rig.reply() == b"220 ready\r\n"

    play(test)


@pytest.mark.parametrize("said", [b"EHLO client.example\r\n", b"RSET\r\nMAIL FROM:<evil@example.org>\r\n", b"XEV"])
def test_plain_text_in_place_of_a_handshake_reaches_nobody(said: bytes) -> None:
    def test() -> None:
        rig = Rig()
        rig.tls.data_received(said)
        if rig.owner.heard:
            rig.tls.data_received(rig.client.handshake())
        else:  # too short to be anything yet
            rig.tls.data_received(b"IL\r\nNOOP\r\n")
        assert len(rig.owner.heard) == 1
        assert str(rig.owner.heard[0]).startswith("not secured: ")
        assert rig.network.calls == ["close"]
        assert rig.owner.pieces == []
        rig.tls.connection_lost(None)
        assert rig.owner.heard[1:] == ["lost"]

    play(test)


def test_a_client_that_leaves_during_the_handshake() -> None:
    def test() -> None:
        rig = Rig()
        rig.tls.data_received(rig.client.handshake()[:50])
        assert rig.tls.eof_received() is False
        rig.tls.connection_lost(None)
        assert rig.owner.heard == ["not secured: ", "lost"]

    play(test)


def test_no_piece_comes_while_reading_is_paused() -> None:
    async def body() -> None:
        rig = Rig().connect()
        rig.owner.on_data = rig.tls.pause_reading
        rig.say(b"x" * 100_000)
        assert list(map(len, rig.owner.pieces)) == [16_384]
        assert rig.network.calls == ["pause"]
        rig.owner.on_data = lambda: None
        rig.tls.resume_reading()
        assert len(rig.owner.pieces) == 1  # not before the next turn of the loop
        await asyncio.sleep(0)
        assert b"".join(rig.owner.pieces) == b"x" * 100_000
        assert rig.network.calls == ["pause", "resume"]

    asyncio.run(body())


def test_back_pressure_of_the_network_is_the_owners() -> None:
    def test() -> None:
        rig = Rig().connect()
        rig.tls.pause_writing()
        rig.tls.resume_writing()
        assert rig.owner.heard[1:] == ["pause", "resume"]

    play(test)


def test_a_close_notify_ends_the_session_and_nothing_counts_behind_it() -> None:
    def test() -> None:
        rig = Rig().connect()
        rig.tls.data_received(rig.client.encrypt(b"QUIT\r\n") + rig.client.end() + b"RSET\r\n")
        rig.tls.data_received(b"MAIL FROM:<evil@example.org>\r\n")
        assert rig.owner.pieces == [b"QUIT\r\n"]
        assert rig.owner.heard[1:] == ["eof"]
        assert rig.network.calls == ["close"]
        assert rig.reply() == b""
        assert rig.client.has_heard_end
        assert rig.tls.is_closing()

    play(test)


def test_an_answer_that_takes_time_is_given_behind_a_close_notify() -> None:
    def test() -> None:
        rig = Rig().connect()
        rig.owner.waits_at_end = True
        rig.tls.data_received(rig.client.end())
        assert rig.network.calls == []
        rig.tls.write(b"250 2.0.0 stored\r\n")
        rig.tls.close()
        assert rig.reply() == b"250 2.0.0 stored\r\n"
        assert rig.client.has_heard_end

    play(test)


def test_the_end_of_tcp_is_the_end_once_everything_is_read() -> None:
    async def body() -> None:
        rig = Rig().connect()
        rig.owner.on_data = rig.tls.pause_reading
        rig.say(b"x" * 20_000)
        assert rig.tls.eof_received() is True
        assert rig.owner.heard[1:] == []
        rig.owner.on_data = lambda: None
        rig.tls.resume_reading()
        await asyncio.sleep(0)
        assert b"".join(rig.owner.pieces) == b"x" * 20_000
        assert rig.owner.heard[1:] == ["eof"]
        assert rig.network.calls == ["pause", "resume", "close"]

    asyncio.run(body())


def test_a_forged_record_closes_and_nothing_is_said_behind_it() -> None:
    def test() -> None:
        rig = Rig().connect()
        good, forged = rig.client.encrypt(b"NOOP\r\n"), bytearray(rig.client.encrypt(b"QUIT\r\n"))
        forged[-1] ^= 1
        rig.tls.data_received(good + bytes(forged))
        assert rig.owner.pieces == [b"NOOP\r\n"]
        assert rig.network.calls == ["close"]
        with pytest.raises(ssl.SSLError, match="ALERT_BAD_RECORD_MAC"):
            rig.reply()
        rig.tls.write(b"250 2.0.0 OK\r\n")
        rig.tls.close()
        assert rig.network.take() == b""
        rig.tls.connection_lost(None)
        assert rig.owner.heard[1:] == ["lost"]

    play(test)


def test_after_the_end_nothing_happens() -> None:
    async def body() -> None:
        rig = Rig().connect()
        rig.tls.pause_reading()
        rig.say(b"NOOP\r\n")
        rig.tls.resume_reading()
        rig.tls.connection_lost(None)  # before its turn came
        await asyncio.sleep(0)
        rig.tls.write(b"x")
        rig.tls.close()
        rig.tls.pause_reading()
        rig.tls.resume_reading()
        assert rig.owner.pieces == []
        assert rig.network.calls == ["pause", "resume"]

    asyncio.run(body())


def test_abort_is_the_networks() -> None:
    def test() -> None:
        rig = Rig().connect()
        rig.tls.abort()
        assert rig.network.calls == ["abort"]
        assert rig.network.sent == b""

    play(test)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # see contexts.ignore_bad_names
@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2), st.integers(0, 5000), st.integers(1, 255), st.integers(1, 600))
def test_a_flipped_octet_anywhere_lets_nothing_false_through(flight: int, place: int, flip: int, step: int) -> None:
    """Of the hello, of the client's last flight, or of a command: it works all the same, or it ends; it never lies."""

    def spoil(data: bytes) -> bytes:
        spoiled = bytearray(data)
        spoiled[place % len(data)] ^= flip
        return bytes(spoiled)

    def test() -> None:
        rig = Rig()

        def send(number: int, data: bytes) -> None:
            sent = spoil(data) if number == flight and data else data
            for start in range(0, len(sent), step):
                rig.tls.data_received(sent[start : start + step])

        send(0, rig.client.handshake())
        with suppress(ssl.SSLError):  # the client may see it first
            send(1, rig.client.handshake(rig.network.take()))
            if rig.client.is_secured:
                send(2, rig.client.encrypt(b"NOOP\r\n"))
        rig.tls.eof_received()
        rig.tls.connection_lost(None)
        assert b"".join(rig.owner.pieces) in (b"", b"NOOP\r\n")
        assert sum(str(heard).startswith("not secured") for heard in rig.owner.heard) == (
            "TLSv1.3" not in rig.owner.heard
        )
        assert rig.owner.heard[-1] == "lost"

    play(test)
