"""The PROXY protocol with a real server: raw headers at every split, peers that fail, and a real HAProxy in front."""

import smtplib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest
from certificates import as_toml, certificate, client_context, write
from integration.clients import haproxy, trace
from integration.clients.raw import RawClient
from integration.clients.tls import PlainClient
from integration.server import DEADLINE_S, ServerProcess, running_server, wait_until
from proxy_headers import LOCAL, binary, inet, inet6, line, tlv

needs_haproxy = pytest.mark.skipif(bool(haproxy.why_not()), reason=haproxy.why_not())

CLIENT: Final = "198.51.100.7"
OWN: Final = "203.0.113.25"
CONTENT: Final = b"Subject: proxied\r\n\r\nbody\r\n"
PLUGIN: Final = """
from fastsmtp.plugin import Connection, NoOptions, Plugin, Result, Transaction


class Witness(Plugin[NoOptions]):
    def on_connect(self, connection: Connection) -> None:
        seen = f"{connection.remote_address} by {connection.proxy_address or 'itself'}"
        connection.results.append(Result(self.name, "pass", seen))
"""
TABLES: Final = """
[[listener]]
name = "proxied"
address = "127.0.0.1:0"
proxy = ["127.0.0.1"]

[[listener]]
name = "proxied-tls"
address = "127.0.0.1:0"
proxy = ["127.0.0.1"]
tls = "implicit"

[[listener]]
name = "proxied-unix"
address = "unix:proxied.sock"
proxy = ["unix"]

[[plugin]]
use = "witness"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with proxied_server(tmp_path_factory.mktemp("proxy"), "1m") as server:
        yield server


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with proxied_server(tmp_path_factory.mktemp("impatient"), "200ms") as server:
        yield server


@contextmanager
def proxied_server(folder: Path, patience: str) -> Iterator[ServerProcess]:
    (folder / "witness.py").write_text(PLUGIN)
    settings = {
        "plugin_path": [str(folder)],
        "tls.certificates": [as_toml(write(folder, certificate()))],
        "timeouts.proxy_header": patience,
        "limits.exempt": [],
        "limits.arrivals_per_address": 0,
        "limits.arrivals_per_network": 0,
        "limits.connections_per_address": 3,
    }
    with running_server(folder / "site", settings, plugins=TABLES) as server:
        yield server


class Proxied(RawClient):
    """A connection that begins with these octets."""

    def __init__(self, connection: socket.socket, *pieces: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        super().__init__(connection)


def results(server: ServerProcess) -> dict[str, float]:
    return {
        result: server.metric("fastsmtp_proxy_headers_total", result=result)
        for result in ("v1", "v2", "itself", "malformed", "late", "none")
    }


def delivered(server: ServerProcess, client: RawClient) -> tuple[trace.Trace, dict[str, object]]:
    """The message that a client delivers, as it is stored, and its line in the log."""
    assert client.say(b"EHLO client.example").startswith(b"250")
    stored_as = client.deliver(CONTENT)
    wait_until(lambda: any(one["id"] == stored_as for one in server.log_lines("transaction")), "the log has it")
    [logged] = [one for one in server.log_lines("transaction") if one["id"] == stored_as]
    [message] = [one for one in server.messages("alice@example.test") if stored_as.encode() in one]
    return trace.split(message), logged


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (line(CLIENT, OWN), CLIENT),
        (line("2001:db8::7", "2001:db8::25"), "2001:db8::7"),
        (binary(0x11, inet(CLIENT, OWN)), CLIENT),
        (binary(0x21, inet6("2001:db8::7", "2001:db8::25") + tlv(1, b"smtp") + tlv(4, bytes(9))), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (LOCAL, "127.0.0.1"),
    ],
)
def test_who_the_client_is(server: ServerProcess, header: bytes, client: str) -> None:
    proxy = None if client == "127.0.0.1" else "127.0.0.1"
    with Proxied(server.connect("proxied"), header) as connection:
        stored, logged = delivered(server, connection)
    assert stored.client == f"[{'IPv6:' if ':' in client else ''}{client}]"
    assert (logged["listener"], logged["remote"], logged["proxy"]) == ("proxied", client, proxy)
    witness = {"plugin": "witness", "outcome": "pass", "evidence": f"{client} by {proxy or 'itself'}"}
    assert witness in logged["results"]  # type: ignore[operator] # a list, in a line of JSON


@pytest.mark.parametrize("header", [line(CLIENT, OWN), binary(0x11, inet(CLIENT, OWN))])
def test_every_split(server: ServerProcess, header: bytes) -> None:
    for cut in range(1, len(header) + 1):
        with Proxied(server.connect("proxied"), header[:cut], header[cut:] + b"NOOP\r\n") as client:
            assert client.reply() == b"250 2.0.0 OK\r\n"


def test_one_octet_at_a_time(server: ServerProcess) -> None:
    talk = binary(0x11, inet(CLIENT, OWN) + tlv(4, bytes(20))) + b"NOOP\r\nQUIT\r\n"
    with Proxied(server.connect("proxied"), *(talk[place : place + 1] for place in range(len(talk)))) as client:
        assert client.reply() == b"250 2.0.0 OK\r\n"
        assert client.reply() == b"221 2.0.0 Bye\r\n"


def ended(connection: socket.socket) -> bytes:
    """What the server still says before it hangs up."""
    said = b""
    with connection:
        try:
            while piece := connection.recv(1000):
                said += piece
        except ConnectionResetError:
            pass
    return said


@pytest.mark.parametrize(
    "talk", [b"EHLO client.example\r\n", b"PROXY TCP4 1.2.3.4\r\n", binary(0x11, b""), b"\x16\x03\x01"]
)
def test_a_listed_peer_that_speaks_something_else(server: ServerProcess, talk: bytes) -> None:
    before = results(server)["malformed"]
    connection = server.connect("proxied")
    connection.sendall(talk)
    assert ended(connection) == b""
    assert results(server)["malformed"] == before + 1
    wait_until(lambda: len(server.log_lines("fastsmtp.proxy")) > before, "the log tells of it")


@pytest.mark.parametrize("talk", [b"", b"PROXY TCP4 ", binary(0x11, inet(CLIENT, OWN))[:-1]])
def test_a_listed_peer_that_is_slow(impatient: ServerProcess, talk: bytes) -> None:
    before = results(impatient)["late"]
    connection = impatient.connect("proxied")
    connection.sendall(talk)
    assert ended(connection) == b""
    assert results(impatient)["late"] == before + 1


def test_a_header_from_somebody_else_is_an_unknown_command(server: ServerProcess) -> None:
    address = server.listeners["proxied"].rpartition(":")
    stranger = socket.create_connection((address[0], int(address[2])), DEADLINE_S, source_address=("127.0.0.9", 0))
    with RawClient(stranger) as client:
        assert client.say(line(CLIENT, OWN).rstrip()).startswith(b"500 5.5.1 ")
        stored, logged = delivered(server, client)
    assert stored.client == "[127.0.0.9]"
    assert (logged["remote"], logged["proxy"]) == ("127.0.0.9", None)


def test_there_is_no_header_where_none_is_expected(server: ServerProcess) -> None:
    with RawClient(server.connect()) as client:
        assert client.say(line(CLIENT, OWN).rstrip()).startswith(b"500 5.5.1 ")


def test_limits_count_the_client(server: ServerProcess) -> None:
    one, other = line("198.51.100.50", OWN), line("198.51.100.51", OWN)
    with ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(Proxied(server.connect("proxied"), one))
        fourth = server.connect("proxied")
        fourth.sendall(one)
        assert ended(fourth).startswith(b"421 4.7.0 ")
        with Proxied(server.connect("proxied"), other) as client:
            assert client.say(b"NOOP").startswith(b"250 ")
    wait_until(lambda: server.metric("fastsmtp_connections") == 0, "they are gone")
    with Proxied(server.connect("proxied"), one) as client:
        assert client.say(b"NOOP").startswith(b"250 ")


def test_a_proxy_on_a_unix_socket(server: ServerProcess) -> None:
    connection = server.connect("proxied-unix")
    connection.sendall(line(CLIENT, OWN))
    with RawClient(connection) as client:
        stored, _ = delivered(server, client)
    assert stored.client == f"[{CLIENT}]"


@pytest.mark.parametrize("header", [line(CLIENT, OWN), binary(0x11, inet(CLIENT, OWN))])
def test_tls_from_the_start_comes_behind_the_header(server: ServerProcess, header: bytes) -> None:
    connection = server.connect("proxied-tls")
    connection.sendall(header)
    with client_context().wrap_socket(connection, server_hostname="mx.example.test") as secured:
        client = RawClient(secured)
        stored, logged = delivered(server, client)
    assert (stored.client, stored.protocol, logged["listener"]) == (f"[{CLIENT}]", "ESMTPS", "proxied-tls")


def test_starttls_behind_a_header(server: ServerProcess) -> None:
    connection = server.connect("proxied")
    connection.sendall(line(CLIENT, OWN))
    with PlainClient(server, connection) as client:
        assert "STARTTLS" in client.say(b"EHLO client.example\r\n")
        assert client.say(b"STARTTLS\r\n").startswith("220 ")
        client.start_tls()
        assert client.say(b"EHLO client.example\r\n").startswith("250-")


@needs_haproxy
@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
@pytest.mark.parametrize("listener", ["proxied", "proxied-unix"])
def test_haproxy_in_front(server: ServerProcess, tmp_path: Path, options: str, listener: str) -> None:
    address = server.listeners[listener].replace("unix:", "unix@")
    with haproxy.running_haproxy(tmp_path / "haproxy", address, options) as front:
        with RawClient(front.connect("127.0.0.5")) as client:
            stored, logged = delivered(server, client)
        with smtplib.SMTP("127.0.0.1", front.port, timeout=DEADLINE_S, source_address=("127.0.0.6", 0)) as ordinary:
            ordinary.sendmail("ann@example.org", ["alice@example.test"], CONTENT)
    assert stored.client == "[127.0.0.5]"
    assert (logged["remote"], logged["proxy"]) == ("127.0.0.5", "127.0.0.1" if listener == "proxied" else None)
    witness = f"127.0.0.5 by {logged['proxy'] or 'itself'}"
    assert {"plugin": "witness", "outcome": "pass", "evidence": witness} in logged["results"]  # type: ignore[operator]
    assert trace.split(server.messages("alice@example.test")[-1]).client == "[127.0.0.6]"


@needs_haproxy
@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_of_tls(server: ServerProcess, tmp_path: Path, options: str) -> None:
    with haproxy.running_haproxy(tmp_path / "haproxy", server.listeners["proxied-tls"], options) as front:
        secured = client_context().wrap_socket(front.connect("127.0.0.5"), server_hostname="mx.example.test")
        with RawClient(secured) as client:
            stored, _ = delivered(server, client)
    assert (stored.client, stored.protocol) == ("[127.0.0.5]", "ESMTPS")


@needs_haproxy
@pytest.mark.parametrize(
    ("options", "check", "result"),
    [
        ("send-proxy-v2 check inter 100ms", "", "itself"),  # LOCAL, and gone before the greeting
        ("send-proxy-v2 check inter 100ms", "option smtpchk EHLO lb.example.org", "itself"),
        ("send-proxy check inter 100ms", "", "v1"),
        (
            "send-proxy-v2 check-send-proxy check inter 100ms",
            "option tcp-check\n    tcp-check expect rstring ^220",
            "itself",
        ),
    ],
)
def test_health_checks_make_no_noise(
    server: ServerProcess, tmp_path: Path, options: str, check: str, result: str
) -> None:
    before, logged, errors = results(server), len(server.log_lines()), server.stderr()
    with haproxy.running_haproxy(tmp_path / "haproxy", server.listeners["proxied"], options, check) as front:
        wait_until(lambda: results(server)[result] >= before[result] + 5, "five checks")
        assert front.health() == "UP"
    wait_until(lambda: server.metric("fastsmtp_connections") == 0, "the last check is over")
    after = results(server)
    assert {key for key in after if after[key] != before[key]} <= {result, "none"}
    noise = [one for one in server.log_lines()[logged:] if one["event"] != "connection"]
    assert (noise, server.stderr()) == ([], errors)


def test_a_stop_does_not_wait_for_a_header(tmp_path: Path) -> None:
    tables = TABLES[: TABLES.index("[[listener]]", 20)]  # the first one
    with running_server(tmp_path / "site", {"timeouts.proxy_header": "1h"}, plugins=tables) as server:
        before = server.descriptors()
        waiting = server.connect("proxied")
        waiting.sendall(b"PROXY ")
        wait_until(lambda: server.descriptors() > before, "it has come in")
        assert server.stop() == 0
        assert ended(waiting) == b""
