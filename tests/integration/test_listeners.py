"""Listeners that differ: a Unix socket beside TCP, each with its own plugins."""

import grp
import pwd
import smtplib
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP
from typing import Final

import pytest
from integration.clients import postfix
from integration.clients.raw import RawClient
from integration.clients.senders import Mail
from integration.server import ServerProcess, running_server, serve, wait_until

SETTINGS: Final = {"listen.smtp": ["127.0.0.1:0"]}
TABLES: Final = """
[[listener]]
name = "relay"
address = "unix:relay.sock"
plugins = []

[[plugin]]
use = "block_sender"
options = { domains = ["spam.example"] }
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path, SETTINGS, plugins=TABLES) as server:
        yield server


def test_each_listener_has_its_own_plugins(server: ServerProcess) -> None:
    spam = b"<a@spam.example>"
    with RawClient(server.connect()) as client:
        client.say(b"EHLO client.example.org")
        assert client.say(b"MAIL FROM:" + spam).startswith(b"550 ")
    with RawClient(server.connect("relay")) as client:
        client.say(b"EHLO client.example.org")
        client.deliver(b"Subject: x\r\n\r\nbody\r\n", sender=spam)
    [message] = server.messages("alice@example.test")
    assert b"Subject: x\n\nbody\n" in message


def test_a_client_on_a_unix_socket_has_no_address(server: ServerProcess) -> None:
    with RawClient(server.connect("relay")) as client:
        client.say(b"EHLO client.example.org")
        stored = client.deliver(b"Subject: x\r\n\r\nbody\r\n")
    [message] = server.messages("alice@example.test")
    assert b"\nReceived: from client.example.org by mx.example.test with ESMTP\n\tid " in message
    wait_until(lambda: bool(server.log_lines("transaction")), "the transaction is logged")
    [line] = server.log_lines("transaction")
    assert (line["id"], line["listener"], line["remote"]) == (stored, "relay", "")


def test_the_log_names_the_listener(server: ServerProcess) -> None:
    with smtplib.SMTP(server.host, server.port) as client:
        client.sendmail("a@example.org", ["alice@example.test"], b"Subject: x\r\n\r\nbody\r\n")
    wait_until(lambda: bool(server.log_lines("transaction")), "the transaction is logged")
    [line] = server.log_lines("transaction")
    assert (line["listener"], line["remote"]) == ("127.0.0.1:0", "127.0.0.1")  # as it is configured


def test_a_unix_socket_lives_as_long_as_its_server(server: ServerProcess) -> None:
    path = server.folder / "relay.sock"
    assert server.listeners["relay"] == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert server.stop() == 0
    assert not path.exists()


def test_a_socket_left_behind_by_a_kill_is_replaced(server: ServerProcess) -> None:
    path = server.folder / "relay.sock"
    server.process.kill()
    server.wait()
    assert path.exists()
    with serve(server.configuration) as again, RawClient(again.connect("relay")) as client:
        assert client.say(b"NOOP").startswith(b"250 ")


def test_a_socket_that_is_taken_is_a_sentence(server: ServerProcess, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as rival:
        rival.bind(str(tmp_path / "rival.sock"))
        rival.listen()
        server.stop()
        configuration = server.configuration.read_text().replace("relay.sock", "rival.sock")
        server.configuration.write_text(configuration)
        with pytest.raises(AssertionError, match=r"exit code 3: .*rival\.sock: Address already in use"):
            serve(server.configuration).__enter__()


def test_a_reload_adds_listeners_and_takes_them_away(server: ServerProcess) -> None:
    path = server.folder / "relay.sock"
    text = server.configuration.read_text()
    other = text.replace('name = "relay"', 'name = "other"').replace("relay.sock", "other.sock")
    server.configuration.write_text(other)
    server.signal(SIGHUP)
    wait_until(lambda: server.metric("fastsmtp_generation") == 2, "the new generation serves")
    assert not path.exists()
    server.listeners["other"] = f"unix:{server.folder}/other.sock"
    with RawClient(server.connect("other")) as client:
        client.say(b"EHLO client.example.org")
        client.deliver(b"Subject: x\r\n\r\nbody\r\n")
    assert server.metric("fastsmtp_connections_total", listener="other") == 1
    wait_until(
        lambda: server.metric("fastsmtp_transactions_total", listener="other", outcome="stored") == 1, "it is counted"
    )
    assert not server.troubles()


LMTP: Final = """
[[listener]]
name = "lmtp"
address = "unix:lmtp.sock"
protocol = "lmtp"

[[listener]]
name = "lmtp-tcp"
address = "127.0.0.1:0"
protocol = "lmtp"
"""


@pytest.fixture(scope="module")
def deliverer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that others deliver through."""
    with running_server(tmp_path_factory.mktemp("lmtp"), SETTINGS, plugins=LMTP) as server:
        yield server


def lmtp_client(server: ServerProcess, listener: str) -> smtplib.LMTP:
    address = server.listeners[listener]
    host, _, port = address.rpartition(":")
    return smtplib.LMTP(address.removeprefix("unix:")) if host == "unix" else smtplib.LMTP(host, int(port))


@pytest.mark.parametrize("listener", ["lmtp", "lmtp-tcp"])
def test_smtplib_speaks_lmtp(deliverer: ServerProcess, listener: str) -> None:
    before = len(deliverer.messages("bob@example.test"))
    with lmtp_client(deliverer, listener) as client:  # which takes one reply for all recipients, so there is one
        refused = client.sendmail(
            "ann@example.org", ["nobody@example.test", "bob@example.test"], b"Subject: lmtp\r\n\r\nbody\r\n"
        )
    assert {address: code for address, (code, _) in refused.items()} == {"nobody@example.test": 550}
    *_, stored = messages = deliverer.messages("bob@example.test")
    assert len(messages) == before + 1
    assert b" with LMTP" in stored
    assert (b"([127.0.0.1])" in stored) is (listener == "lmtp-tcp")


def test_each_recipient_hears_his_own_reply(deliverer: ServerProcess) -> None:
    with RawClient(deliverer.connect("lmtp")) as client:
        assert client.say(b"EHLO client.example.org").startswith(b"500 5.5.1 ")
        assert client.say(b"LHLO client.example.org").startswith(b"250-mx.example.test\r\n")
        for line in (b"MAIL FROM:<>", b"RCPT TO:<alice@example.test>", b"RCPT TO:<bob@example.test>"):
            assert client.say(line).startswith(b"250 ")
        assert client.say(b"DATA").startswith(b"354 ")
        assert client.say(b"Subject: x\r\n\r\nbody\r\n.").startswith(b"250 2.0.0 stored as ")
        assert client.reply().startswith(b"250 2.0.0 stored as ")


def test_beside_it_smtp_is_spoken(deliverer: ServerProcess) -> None:
    with RawClient(deliverer.connect()) as client:
        assert client.say(b"LHLO client.example.org").startswith(b"50")
        assert client.say(b"EHLO client.example.org").startswith(b"250-")


needs_postfix = pytest.mark.skipif(bool(postfix.why_not()), reason=postfix.why_not())


@needs_postfix
def test_a_postfix_that_delivers_by_lmtp(tmp_path: Path) -> None:
    # Its client runs as another user, who cannot go through pytest's own folders.
    with tempfile.TemporaryDirectory(prefix="lmtp-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        owner = grp.getgrgid(pwd.getpwnam("postfix").pw_gid).gr_name
        table = f'[[listener]]\naddress = "unix:{folder}/lmtp.sock"\nprotocol = "lmtp"\nsocket_group = "{owner}"\n'
        more = f"default_transport = lmtp:unix:{folder}/lmtp.sock\nrelayhost =\n"
        with (
            running_server(tmp_path, SETTINGS, plugins=table) as server,
            postfix.running_postfix((server.host, server.port), more=more) as sender,
        ):
            sender.submit(Mail(b"Subject: by Postfix\r\n\r\nbody\r\n", ("alice@example.test", "bob@example.test")))
            for user in ("alice@example.test", "bob@example.test"):
                wait_until(lambda user=user: len(server.messages(user)) == 1, "it arrives")  # type: ignore[misc]
                [stored] = server.messages(user)
                assert b"\nReceived: from postfix.example.org by mx.example.test with LMTP" in stored
