"""Who does not wait for the greeting, over real sockets; every address of 127.0.0.0/8 is a client of its own."""

import socket
import time
from contextlib import AbstractContextManager
from pathlib import Path

from integration.clients.tls import PlainClient, tls_server
from integration.server import DEADLINE_S, ServerProcess, running_server

SETTINGS: dict[str, object] = {"limits.exempt": []}


def serve(folder: Path, delay: str) -> AbstractContextManager[ServerProcess]:
    options = f'{{ delay = "{delay}", exempt = ["127.9.1.1"] }}'
    plugins = f'[[plugin]]\nuse = "early_talker"\ntimeout = "1m"\noptions = {options}\n'
    return running_server(folder, SETTINGS, users=["alice@example.test"], plugins=plugins)


def dialogue(server: ServerProcess, address: str, *, early: bool = False) -> tuple[bytes, float]:
    """All that this client hears, and how long it waited for the first of it."""
    lines = (b"HELO client.example", b"MAIL FROM:<>", b"RCPT TO:<alice@example.test>", b"DATA", b"Subject: x\r\n\r\n.")
    begun = time.monotonic()
    with socket.create_connection((server.host, server.port), DEADLINE_S, source_address=(address, 0)) as client:
        if early:
            client.sendall(b"".join(line + b"\r\n" for line in lines))
        heard = client.recv(4096)
        waited = time.monotonic() - begun
        if heard.startswith(b"220 ") and not early:
            for line in (*lines, b"QUIT"):
                client.sendall(line + b"\r\n")
                heard += client.recv(4096)
        while more := client.recv(4096):
            heard += more
    return heard, waited


def test_strangers_wait_and_who_talks_is_refused(tmp_path: Path) -> None:
    with serve(tmp_path / "site", "2s") as server:
        heard, waited = dialogue(server, "127.1.1.1")
        assert b"\r\n354 " in heard
        assert waited >= 2  # no timer is early
        heard, _ = dialogue(server, "127.2.2.2", early=True)
        assert heard.startswith(b"554 5.7.1 You have to wait until you are greeted")
        assert heard.count(b"\n") == 1
        assert server.metric("fastsmtp_early_talkers_total") == 1


def test_who_is_known_does_not_wait_nor_does_a_neighbour(tmp_path: Path) -> None:
    """Nobody could: the delay is longer than the patience of this test."""
    with serve(tmp_path / "site", "59s") as server:
        assert b"\r\n354 " in dialogue(server, "127.9.1.1")[0]  # exempt
        for address in ("127.9.1.1", "127.9.1.77"):
            assert b"\r\n354 " in dialogue(server, address)[0]


PIPELINING = """
[[plugin]]
use = "helo"
[[plugin]]
use = "early_talker"
options = { delay = 0, pipelining = "naughty", reason = "You have to wait for your turn" }
"""


def test_bad_manners_are_remembered_in_tls_and_a_bad_name_is_not(tmp_path: Path) -> None:
    """RFC 3207 section 4.2: what the client said is forgotten; what we have seen of it is not."""
    name = b"EHLO 192.0.2.1\r\n"
    rcpt = b"RCPT TO:<alice@example.test>\r\n"
    with tls_server(tmp_path, plugins=PIPELINING) as server:
        for hello, answer in ((name, "250 "), (name + b"NOOP\r\n", "550 5.7.1 You have to wait for your turn")):
            with PlainClient(server) as client:
                assert client.say(hello).startswith("250-")
                if hello is not name:
                    assert client.reply() == "250 2.0.0 OK"
                assert client.say(b"MAIL FROM:<ann@example.org>\r\n").startswith("250 ")
                assert client.say(rcpt).startswith("550 5.7.1 ")
                assert client.say(b"RSET\r\n").startswith("250 ")
                assert client.say(b"STARTTLS\r\n").startswith("220 ")
                with client.start_tls():
                    assert client.say(b"EHLO client.example\r\n").startswith("250-")
                    assert client.say(b"MAIL FROM:<ann@example.org>\r\n").startswith("250 ")
                    assert client.say(rcpt).startswith(answer)
