"""Return-Path, Delivered-To and Received on real deliveries, each taken apart by a strict grammar."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from integration.clients import trace
from integration.clients.raw import RawClient
from integration.server import DEADLINE_S, ServerProcess, running_server

USERS: Final = (
    "alice@example.test",
    "bob@example.test",
    "postmaster@example.test",
    "jürgen@example.test",
    '"joe smith"@example.test',
    "anna@bücher.example",
)
SETTINGS: Final = {"listen.smtp": ["127.0.0.1:0", "[::1]:0"], "directory.postmaster": "postmaster@example.test"}
CONTENT: Final = b"Subject: trace\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("site"), SETTINGS, users=USERS) as server:
        yield server


@pytest.fixture
def client(server: ServerProcess) -> Iterator[RawClient]:
    with RawClient(server.connect()) as client:
        yield client


def copies(server: ServerProcess, transaction_id: str) -> list[trace.Trace]:
    """The files of one message, all mailboxes, by Delivered-To."""
    stored = (file.read_bytes() for file in server.mail_root.glob("*/*/new/*"))
    found = [trace.split(copy) for copy in stored if transaction_id.encode() in copy]
    found.sort(key=lambda copy: copy.delivered_to)
    assert all(copy.id == transaction_id for copy in found)
    assert all(copy.content == CONTENT.replace(b"\r\n", b"\n") for copy in found)
    return found


def deliver(
    server: ServerProcess,
    client: RawClient,
    recipient: bytes = b"<alice@example.test>",
    sender: bytes = b"<ann@example.org>",
) -> trace.Trace:
    """One message to one recipient."""
    [copy] = copies(server, client.deliver(CONTENT, [recipient], sender))
    return copy


@pytest.mark.parametrize(
    ("hello", "parameters", "protocol"),
    [
        (b"HELO", b"", "SMTP"),
        (b"EHLO", b"", "ESMTP"),
        (b"ehlo", b" BODY=8BITMIME SIZE=100", "ESMTP"),
        (b"EHLO", b" SMTPUTF8", "UTF8SMTP"),  # RFC 6531 section 4.3
    ],
)
def test_fields(hello: bytes, parameters: bytes, protocol: str, server: ServerProcess, client: RawClient) -> None:
    begun = datetime.now(UTC).replace(microsecond=0)
    assert client.say(hello + b" client.example.org").startswith(b"250")
    copy = deliver(server, client, sender=b"<ann@example.org>" + parameters)
    assert copy.return_path == "ann@example.org"
    assert copy.delivered_to == copy.recipient == "alice@example.test"
    assert (copy.name, copy.client, copy.by) == ("client.example.org", "[127.0.0.1]", "mx.example.test")
    assert copy.protocol == protocol
    assert begun <= copy.date <= datetime.now(UTC) + timedelta(seconds=1)


def test_each_transaction_has_its_own(server: ServerProcess, client: RawClient) -> None:
    client.say(b"HELO one.example.org")
    first = deliver(server, client, sender=b"<first@example.org>")
    client.say(b"EHLO two.example.org")
    second = deliver(server, client, b"<bob@example.test>", b"<second@example.org> SMTPUTF8")
    third = deliver(server, client, b"<bob@example.test>", b"<>")
    assert [(copy.name, copy.protocol, copy.return_path, copy.recipient) for copy in (first, second, third)] == [
        ("one.example.org", "SMTP", "first@example.org", "alice@example.test"),
        ("two.example.org", "UTF8SMTP", "second@example.org", "bob@example.test"),
        ("two.example.org", "ESMTP", "", "bob@example.test"),
    ]
    assert len({first.id, second.id, third.id}) == 3


def test_several_recipients_do_not_learn_of_each_other(server: ServerProcess, client: RawClient) -> None:
    client.say(b"EHLO client.example.org")
    recipients = [b"<alice@example.test>", b"<bob@example.test>", b"<Postmaster>"]
    found = copies(server, client.deliver(CONTENT, recipients))
    assert [copy.delivered_to for copy in found] == ["alice@example.test", "bob@example.test", "postmaster"]
    for copy in found:
        assert copy.recipient is None
        others = {"alice", "bob", "postmaster"} - {copy.delivered_to.partition("@")[0]}
        assert not any(other in copy.received + copy.delivered_to for other in others)
    assert len({copy.received for copy in found}) == 1


def test_two_addresses_of_one_mailbox_are_one_copy(server: ServerProcess, client: RawClient) -> None:
    client.say(b"EHLO client.example.org")
    [copy] = copies(server, client.deliver(CONTENT, [b"<alice+secret@example.test>", b"<ALICE@Example.TEST>"]))
    assert copy.delivered_to == "alice+secret@example.test"
    assert copy.recipient is None


def test_a_recipient_who_was_refused_does_not_count(server: ServerProcess, client: RawClient) -> None:
    client.say(b"EHLO client.example.org")
    assert client.say(b"MAIL FROM:<ann@example.org>").startswith(b"250 ")
    assert client.say(b"RCPT TO:<nobody@example.test>").startswith(b"550 ")
    assert client.say(b"RSET").startswith(b"250 ")
    assert client.say(b"MAIL FROM:<ann@example.org>").startswith(b"250 ")
    assert client.say(b"RCPT TO:<nobody@example.test>").startswith(b"550 ")
    assert client.say(b"RCPT TO:<bob@example.test>").startswith(b"250 ")
    assert client.say(b"DATA").startswith(b"354 ")
    [copy] = copies(server, client.finish(CONTENT))
    assert copy.recipient == copy.delivered_to == "bob@example.test"


@pytest.mark.parametrize(
    ("sender", "return_path"),
    [
        (b"<>", ""),
        (b"<Ann@EXAMPLE.org>", "Ann@example.org"),
        (b"<@relay.example,@b.example:ann@example.org>", "ann@example.org"),
        (b'<"ann"@example.org>', "ann@example.org"),
        (b'<"ann lee"@example.org>', '"ann lee"@example.org'),
        (b'<"a\\"b\\\\c"@example.org>', '"a\\"b\\\\c"@example.org'),
        (b'<"a>b<c, d;(e)"@example.org>', '"a>b<c, d;(e)"@example.org'),
        (b'<".ann."@example.org>', '".ann."@example.org'),
        (b'<""@example.org>', '""@example.org'),
        (b"<ann@[192.0.2.1]>", "ann@[192.0.2.1]"),
        (b"<ann@[ipv6:2001:DB8:0::1]>", "ann@[IPv6:2001:db8::1]"),
        ("<ännchen@bücher.example> SMTPUTF8".encode(), "ännchen@xn--bcher-kva.example"),
        ('<"a\u2028b\u0085c"@example.org> SMTPUTF8'.encode(), "a?b?c@example.org"),  # no line separators
    ],
)
def test_return_path(sender: bytes, return_path: str, server: ServerProcess, client: RawClient) -> None:
    client.say(b"EHLO client.example.org")
    assert deliver(server, client, sender=sender).return_path == return_path


@pytest.mark.parametrize(
    ("recipient", "delivered_to"),
    [
        (b"<ALICE@Example.Test>", "ALICE@example.test"),
        (b"<alice+shop@example.test>", "alice+shop@example.test"),
        (b"<@relay.example:alice@example.test>", "alice@example.test"),
        (b'<"alice"@example.test>', "alice@example.test"),
        (b'<"joe smith"@example.test>', '"joe smith"@example.test'),
        (b'<"Joe\\ Smith"@example.test>', '"Joe Smith"@example.test'),
        (b"<postMaster>", "postmaster"),
        ("<jürgen@example.test>".encode(), "jürgen@example.test"),
        ("<anna@bücher.example>".encode(), "anna@xn--bcher-kva.example"),
        (b"<anna@XN--BCHER-KVA.example>", "anna@xn--bcher-kva.example"),
    ],
)
def test_delivered_to(recipient: bytes, delivered_to: str, server: ServerProcess, client: RawClient) -> None:
    client.say(b"EHLO client.example.org")
    copy = deliver(server, client, recipient, b"<ann@example.org> SMTPUTF8")
    assert copy.delivered_to == copy.recipient == delivered_to


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "_spf.client.example.org.",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "x" * 63 + ".example",
        "a." * 127 + "b",
    ],
)
def test_hello_name(name: str, server: ServerProcess, client: RawClient) -> None:
    assert client.say(f"EHLO {name}".encode()).startswith(b"250")
    assert deliver(server, client).name == name


@pytest.mark.parametrize(
    "name",
    [
        "a(b",
        "a)b",
        "(comment)",
        "a;b",
        "a;Mon,23Nov2026",
        "a,b",
        '"quoted"',
        "<angle>",
        "user@example.org",
        "back\\slash",
        "[127.0.0.1",
        "[IPv6:]",
        "-hyphen.example",
        "two..dots",
        "x" * 64,
        "x" * 255,
    ],
)
def test_hello_name_that_would_break_the_field(name: str, server: ServerProcess, client: RawClient) -> None:
    assert client.say(f"EHLO {name}".encode()).startswith(b"250")
    copy = deliver(server, client)
    assert copy.name == "invalid"
    assert copy.client == "[127.0.0.1]"


@pytest.mark.parametrize(
    "name", [b"client.example.org with more", "bücher.example".encode(), b"\xff", b"a\0b", b"a\x07b", b"x" * 256, b""]
)
def test_hello_name_that_is_refused(name: bytes, server: ServerProcess, client: RawClient) -> None:
    for verb in (b"HELO ", b"EHLO "):
        assert client.say(verb + name).startswith(b"501 5.5.")
    assert client.say(b"MAIL FROM:<ann@example.org>").startswith(b"503 ")
    client.say(b"EHLO client.example.org")
    assert deliver(server, client).name == "client.example.org"


def test_ipv6(server: ServerProcess) -> None:
    with RawClient(socket.create_connection(server.smtp_addresses[1], DEADLINE_S)) as client:
        client.say(b"EHLO client.example.org")
        assert deliver(server, client).client == "[IPv6:::1]"


@pytest.mark.parametrize("hello", [b"a.example", b"b" * 60 + b".example", b"c" * 63 + b"." + b"d" * 63 + b".example"])
@pytest.mark.parametrize("tag", [b"", b"+" + b"t" * 55, b"+" + b"t" * 200])
def test_lines_are_short_where_the_words_are(
    hello: bytes, tag: bytes, server: ServerProcess, client: RawClient
) -> None:
    client.say(b"EHLO " + hello)
    copy = deliver(server, client, b"<alice%s@example.test>" % tag)
    for line in copy.received.splitlines():
        assert len(line) <= trace.LINE_COLUMNS or line.strip().count(" ") <= 1
