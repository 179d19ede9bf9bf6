"""The client's end of a dialogue."""

import pytest

from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.plugin import Connection, NoOptions, Plugin, Reply, reject
from fastsmtp.smtp.sasl import MECHANISMS, MechanismName
from fastsmtp.testing import Heard, Site


class NotYou(Plugin[NoOptions]):
    def on_connect(self, connection: Connection) -> Reply | None:
        return reject("5.7.1", "not you") if connection.remote_address == "192.0.2.66" else None


def test_replies_are_taken_apart() -> None:
    output = (
        b"250-mx.example.test\r\n250 SIZE 100\r\n250 2.1.0 Sender OK\r\n354 go\r\n550-5.7.1 one\r\n550 5.7.1 two\r\n"
    )
    assert Heard.parse(output) == [
        Heard(250, "", ("mx.example.test", "SIZE 100")),
        Heard(250, "2.1.0", ("Sender OK",)),
        Heard(354, "", ("go",)),
        Heard(550, "5.7.1", ("one", "two")),
    ]
    assert str(Heard.parse(b"550-5.7.1 one\r\n550 5.7.1 two\r\n")[0]) == "550 5.7.1 one / two"


def test_the_id_of_a_refusal_is_kept_apart() -> None:
    said = b"550-5.7.1 one\r\n550 5.7.1 two (T1)\r\n421 4.3.2 (C1)\r\n250 2.0.0 kept (T2)\r\n550 no (yes)\r\n"
    no, later, kept, other = Heard.parse(said)
    assert (no, no.id, str(no)) == (Heard(550, "5.7.1", ("one", "two")), "T1", "550 5.7.1 one / two")
    assert (later.lines, later.id) == (("",), "C1")
    assert (kept.lines, kept.id) == (("kept (T2)",), "")
    assert (other.lines, other.id) == (("no (yes)",), "")


def test_a_site_names_what_it_refuses() -> None:
    with Site([NotYou], users=["ann@example.test"]) as site:
        client = site.connect()
        client.hello()
        client.mail("bob@example.net")
        assert client.rcpt("nobody@example.test").id == client.rcpt("nobody@example.test").id
        client.disconnect()
        [transaction] = site.transactions
        assert transaction.refused_commands is not None
        assert [verb for verb, _ in transaction.refused_commands] == [b"RCPT", b"RCPT"]


@pytest.mark.parametrize("output", [b"250-a\r\n", b"250 a", b"250 a\n", b"hello\r\n", b"199 a\r\n"])
def test_half_a_reply_is_none(output: bytes) -> None:
    with pytest.raises(ValueError, match=r"line of a reply|does not end"):
        Heard.parse(output)


def test_every_command_gives_its_reply() -> None:
    with Site() as site:
        client = site.connect()
        assert str(client.greeting) == "220 mx.example.test ESMTP fastsmtp"
        assert client.helo("me.example").lines == ("mx.example.test",)
        assert "SIZE 26214400" in client.hello().lines
        assert str(client.mail("ann@example.org", "SIZE=10", "BODY=8BITMIME")) == "250 2.1.0 Sender OK"
        assert str(client.rcpt("user@example.test")) == "250 2.1.5 Recipient OK"
        assert str(client.data(b"Subject: hi\n\nHello\n")) == "250 2.0.0 kept as T1"
        assert client.command("NOOP").code == 250
        assert client.quit().code == 221
        assert not client.is_open
        with pytest.raises(ConnectionError, match="closed"):
            client.command("NOOP")
        assert client.feed(b"NOOP\r\n") == b""


def test_commands_can_be_pipelined() -> None:
    with Site() as site:
        client = site.connect()
        replies = client.say(b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n")
        assert [reply.code for reply in replies] == [250, 250, 550, 554]


@pytest.mark.parametrize(
    ("message", "stored"),
    [
        (b"", b""),
        (b"Subject: a\n\nb", b"Subject: a\n\nb\n"),
        (b"Subject: a\r\n\r\nb\r\n", b"Subject: a\n\nb\n"),
        (b"a: b\n\n.\n..\n.x\n", b"a: b\n\n.\n..\n.x\n"),
        (b"a: b\n\n\n\n", b"a: b\n\n\n\n"),
    ],
)
def test_a_message_arrives_as_it_was_meant(message: bytes, stored: bytes) -> None:
    with Site() as site:
        assert site.connect().send("", "user@example.test", message).code == 250
        assert site.delivered == {"user@example.test": [stored]}


def test_sending_goes_on_as_long_as_there_is_somebody_to_send_to() -> None:
    with Site(plugins=[NotYou], message_size=100) as site:
        client = site.connect()
        assert client.send("bad address", "user@example.test", b"").code == 501
        assert client.send("", ["x@example.test", "y@example.org"], b"").enhanced == "5.7.1"
        assert client.send("", ["x@example.test", "user@example.test"], b"a: b\n").code == 250
        assert client.send("", "user@example.test", b"x" * 200).code == 552
        assert [transaction.outcome for transaction in site.transactions] == ["reset", "stored", "refused"]
        turned_away = site.connect(ip="192.0.2.66")
        assert str(turned_away.greeting) == "554 5.7.1 not you"
        assert not turned_away.is_open


def test_a_client_can_go_in_the_middle_of_a_message() -> None:
    with Site() as site:
        client = site.connect()
        client.say(b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<user@example.test>\r\nDATA\r\nSubject: hi\r\n")
        client.disconnect()
        client.disconnect()
        assert [transaction.outcome for transaction in site.transactions] == ["lost"]
        assert site.delivered == {}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_logging_in(mechanism: MechanismName) -> None:
    with Site([NotYou], passwords={"Ann@example.test": "p\u00e4ssword"}) as site:
        client = site.connect()
        assert str(client.login("ann@example.test", "password", mechanism)) == "535 5.7.8 User or password is wrong"
        assert client.connection.user == ""
        assert client.login("ann@example.test", "p\u00e4ssword", mechanism).code == 235
        assert client.connection.user == "ann@example.test"
        assert site.connect().login("ann", "", mechanism).code == (535 if mechanism == "SCRAM-SHA-256" else 501)


def test_logging_in_where_nobody_can() -> None:
    with Site() as site:
        assert site.connect().login("ann@example.test", "secret").code == 502
    with Site(passwords={}, auth=None) as site:
        assert site.connect().login("ann@example.test", "secret").code == 502
    with pytest.raises(TypeError, match="to the directory"):
        Site(passwords={"ann@example.test": "secret"}, directory=MemoryDirectory())
