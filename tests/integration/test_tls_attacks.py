"""What strangers do to TLS: commands before the handshake, handshakes that never end, ends that are none."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Final

import pytest
from certificates import TlsClient as Handshaker
from certificates import client_context
from integration.clients import trace
from integration.clients.tls import EHLO, ENVELOPE, MESSAGE, PlainClient, TlsClient, tls_server
from integration.server import ServerProcess, wait_until
from refusals import plain
from unit.test__parser import ROWS, Row

ALICE: Final = "alice@example.test"
EVIL: Final = (
    EHLO + b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nSubject: evil\r\n\r\n.\r\n"
)
STALLED: Final = 25


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with tls_server(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with tls_server(tmp_path_factory.mktemp("impatient"), {"tls.handshake_timeout": "5s"}) as server:
        yield server


def check_unharmed(server: ServerProcess) -> None:
    """Nobody is left, nothing of ours failed, and nothing of an attack is stored."""
    wait_until(lambda: server.metric("fastsmtp_connections") == 0, "the server notices the end")
    assert server.metric("fastsmtp_internal_errors_total") == 0
    assert server.unfinished() == []
    assert server.stderr().count("Traceback") == 0
    assert not any(b"evil" in message for message in server.messages(ALICE))


# --- plain text where it does not belong -----------------------------------------------------------------------------


@pytest.mark.parametrize("injected", [b"RSET\r\n", EVIL, b"XEVIL", b"MAIL FROM:<evil@", b"\r", b"\0" * 9000], ids=len)
def test_injected_in_the_same_segment(server: ServerProcess, injected: bytes) -> None:
    """CVE-2011-0411, and with half a line CVE-2024-34083: what would be glued to the first line in TLS."""
    discarded = server.metric("fastsmtp_starttls_discarded_bytes_total")
    with PlainClient(server) as client:
        client.say(EHLO)
        assert client.say(b"STARTTLS\r\n" + injected).startswith("220 ")
        client.start_tls()
        assert client.say(b"NOOP\r\n") == "250 2.0.0 OK"
        assert plain(client.say(b"MAIL FROM:<ann@example.org>\r\n")) == "503 5.5.1 Say HELO or EHLO first"
        client.say(EHLO.replace(b"client.example", b"anew.example"))
        client.socket.sendall(ENVELOPE)
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        assert client.say(MESSAGE).startswith("250 2.0.0 stored as ")
        assert client.say(b"QUIT\r\n") == "221 2.0.0 Bye"
        assert client.rest() == b""
    assert trace.split(server.messages(ALICE)[-1]).name == "anew.example"
    assert server.metric("fastsmtp_starttls_discarded_bytes_total") == discarded + len(injected)
    check_unharmed(server)


@pytest.mark.parametrize("injected", [b"RSET\r\n", EVIL, b"XEVIL\r\n", b"\0" * 9000], ids=len)
def test_injected_behind_the_220(server: ServerProcess, injected: bytes) -> None:
    """It meets the handshake, which it is not: the connection ends, and nobody has read a command."""
    messages = len(server.messages(ALICE))
    with PlainClient(server) as client:
        client.say(EHLO)
        assert client.say(b"STARTTLS\r\n").startswith("220 ")
        with suppress(ConnectionError):
            client.socket.sendall(injected)
            client.socket.sendall(Handshaker().handshake())
        said = b""
        with suppress(ConnectionError):
            said = client.rest()
        assert said[:1] in (b"", b"\x15")  # nothing, or an alert: no reply
        assert b"250" not in said
    check_unharmed(server)
    assert len(server.messages(ALICE)) == messages


def test_a_handshake_that_did_not_wait_for_the_220_is_thrown_away(impatient: ServerProcess) -> None:
    with PlainClient(impatient) as client:
        client.say(EHLO)
        assert client.say(b"STARTTLS\r\n" + Handshaker().handshake()).startswith("220 ")
        assert client.rest() == b""
    check_unharmed(impatient)


def test_plain_text_behind_the_end_of_tls_counts_for_nothing(server: ServerProcess) -> None:
    with PlainClient(server) as client:
        client.say(EHLO)
        client.say(b"STARTTLS\r\n")
        handshaker = Handshaker()
        client.socket.sendall(handshaker.handshake())
        while not handshaker.is_secured:
            client.socket.sendall(handshaker.handshake(client.socket.recv(65_536)))
        client.socket.sendall(handshaker.encrypt(b"NOOP\r\n") + handshaker.end() + EVIL)
        said = b""
        with suppress(ConnectionError):
            while piece := client.socket.recv(65_536):
                said += piece
        assert handshaker.decrypt(said) == b"250 2.0.0 OK\r\n"
        assert handshaker.has_heard_end
    check_unharmed(server)


# --- smuggling, encrypted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record_bytes", [1 << 14, 1], ids=["whole", "a record a byte"])
def test_only_the_true_end_ends_a_message(server: ServerProcess, record_bytes: int) -> None:
    """The whole table: what follows is one message or none, whatever looks like its end."""
    for row in ROWS:
        before = len(server.messages(ALICE))
        with TlsClient(server) as client:
            client.socket.sendall(ENVELOPE)
            assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"], row.name
            # Once: behind a QUIT of its own the server may be gone before another one has left.
            sent = row.wire if row.open or row.wire.endswith(b"QUIT\r\n") else row.wire + b"QUIT\r\n"
            for start in range(0, len(sent), record_bytes):
                client.socket.sendall(sent[start : start + record_bytes])
            if row.open:
                _hang_up(client)
            else:
                assert client.reply().startswith("250 2.0.0 stored as "), row.name
                client.rest()
        wait_until(lambda: server.metric("fastsmtp_connections") == 0)
        stored = [trace.split(message).content for message in server.messages(ALICE)[before:]]
        assert stored == _expected(row), row.name


def _expected(row: Row) -> list[bytes]:
    if row.open:
        return []
    # A message that begins with a blank gets an empty line before it, so that it does not continue our trace.
    return [b"\n" + row.stored if row.stored[:1] in (b" ", b"\t") else row.stored]


def _hang_up(client: PlainClient) -> None:
    """End TCP without a close_notify, politely otherwise."""
    socket.socket.shutdown(client.socket, socket.SHUT_WR)


# --- ends ------------------------------------------------------------------------------------------------------------


def _reset(client: PlainClient) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def _close(client: PlainClient) -> None:
    client.socket.close()


def _say_close_notify(client: PlainClient) -> None:
    assert isinstance(client.socket, ssl.SSLSocket)
    client.socket.unwrap()


@pytest.mark.parametrize("farewell", [_reset, _close, _hang_up, _say_close_notify])
@pytest.mark.parametrize("sent", [MESSAGE[:-1], MESSAGE[:-5], b"Subject: half"], ids=len)
def test_a_message_that_breaks_off_is_none(
    server: ServerProcess, farewell: Callable[[PlainClient], None], sent: bytes
) -> None:
    before = len(server.messages(ALICE))
    with TlsClient(server) as client:
        client.socket.sendall(ENVELOPE)
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        client.socket.sendall(sent)
        farewell(client)
    check_unharmed(server)
    assert len(server.messages(ALICE)) == before


@pytest.mark.parametrize("farewell", [_hang_up, _say_close_notify])
def test_what_was_complete_is_answered(server: ServerProcess, farewell: Callable[[PlainClient], None]) -> None:
    before = len(server.messages(ALICE))
    with TlsClient(server) as client:
        client.socket.sendall(ENVELOPE + MESSAGE + b"NOOP\r\nNOO")
        if farewell is _hang_up:
            farewell(client)
            assert [client.reply()[:3] for _ in range(5)] == ["250", "250", "354", "250", "250"]
            assert client.rest() == b""
        else:
            with suppress(ssl.SSLError, OSError):  # replies that it did not expect to find here
                farewell(client)
    check_unharmed(server)
    assert len(server.messages(ALICE)) == before + 1


# --- handshakes that come to nothing ---------------------------------------------------------------------------------


def test_stalled_handshakes_time_out_and_good_mail_flows_beside_them(impatient: ServerProcess) -> None:
    with TlsClient(impatient) as client:
        client.deliver()  # opens what stays open
    wait_until(lambda: impatient.metric("fastsmtp_connections") == 0)
    descriptors = impatient.descriptors()
    timeouts = impatient.metric("fastsmtp_tls_handshakes_total", result="timeout")
    hello = Handshaker().handshake()
    with ExitStack() as stack:
        for number in range(STALLED):
            stalled = stack.enter_context(PlainClient(impatient))
            stalled.say(EHLO)
            assert stalled.say(b"STARTTLS\r\n").startswith("220 ")
            stalled.socket.sendall(hello[: number * len(hello) // STALLED])
        with TlsClient(impatient) as client:
            for _ in range(5):
                assert client.deliver().startswith("250 ")
        assert impatient.metric("fastsmtp_connections") > 0
        wait_until(lambda: impatient.metric("fastsmtp_connections") == 0, "all of them are closed")
    assert impatient.metric("fastsmtp_tls_handshakes_total", result="timeout") == timeouts + STALLED
    wait_until(lambda: impatient.descriptors() <= descriptors, "descriptors are given back")
    check_unharmed(impatient)


@pytest.mark.parametrize("farewell", [_reset, _close])
def test_clients_that_vanish_in_the_handshake(server: ServerProcess, farewell: Callable[[PlainClient], None]) -> None:
    left = server.metric("fastsmtp_tls_handshakes_total", result="left")
    hello = Handshaker().handshake()
    for octets in (0, 1, 100, len(hello)):
        with PlainClient(server) as client:
            client.say(EHLO)
            assert client.say(b"STARTTLS\r\n").startswith("220 ")
            client.socket.sendall(hello[:octets])
            if octets == len(hello):
                assert client.socket.recv(1)
            farewell(client)
    check_unharmed(server)
    assert server.metric("fastsmtp_tls_handshakes_total", result="left") == left + 4


def test_a_client_that_does_not_trust_us(server: ServerProcess) -> None:
    failed = server.metric("fastsmtp_tls_handshakes_total", result="failed")
    suspicious = client_context()
    with PlainClient(server) as client:
        client.say(EHLO)
        client.say(b"STARTTLS\r\n")
        with pytest.raises(ssl.SSLCertVerificationError):
            client.start_tls(suspicious, "somebody.example")
    check_unharmed(server)
    # In TLS 1.3 the server may have been done by then.
    assert server.metric("fastsmtp_tls_handshakes_total", result="failed") in (failed, failed + 1)


def test_a_name_that_is_no_name(server: ServerProcess) -> None:
    hello = Handshaker().handshake().replace(b"mx.example.test", b"mx.ex\xffmple.\r\nxy")
    wait_until(lambda: "\n  mail " in server.stderr(), "it has said where it is")
    said = server.stderr()
    with PlainClient(server) as client:
        client.say(EHLO)
        client.say(b"STARTTLS\r\n")
        client.socket.sendall(hello)
        assert client.rest()[:1] == b"\x15"
    check_unharmed(server)
    assert server.stderr() == said


# --- floods ----------------------------------------------------------------------------------------------------------


def test_a_client_that_does_not_read_is_not_read_either(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("flood")
    with tls_server(folder, {"timeouts.command": "3s"}) as server, TlsClient(server) as client:
        limit = server.memory_bytes() + 16 * 2**20
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(ConnectionError, ssl.SSLEOFError):
            while server.memory_bytes() < limit:
                client.socket.sendall(b"HELP\r\n" * 10_000)
        assert server.memory_bytes() < limit
        check_unharmed(server)


def test_large_messages_do_not_pile_up(server: ServerProcess) -> None:
    """Six of 10 MB over one connection: what OpenSSL and we hold is bounded, as the body goes to a file."""
    line = b"x" * 70 + b"\r\n"
    content = b"Subject: large\r\n\r\n" + line * (10_000_000 // len(line)) + b".\r\n"
    with TlsClient(server) as client:
        assert client.deliver(content).startswith("250 ")
        limit = server.memory_bytes() + 8 * 2**20
        for _ in range(5):
            assert client.deliver(content).startswith("250 ")
            assert server.memory_bytes() < limit
    check_unharmed(server)
