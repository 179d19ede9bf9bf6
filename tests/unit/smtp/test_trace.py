"""The trace fields: their form, and that nothing from outside gets a line of its own."""

import re
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.address import NULL_SENDER, Address, parse_forward_path, parse_mailbox
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.trace import delivered_to, received, return_path
from fastsmtp.smtp.transaction import Connection, Hello, Recipient, Transaction

NOW = 1_700_000_000.75
DATE = b"Tue, 14 Nov 2023 22:13:20 +0000"


def transaction(
    *recipients: str, hello: Hello | None = None, remote: str = "192.0.2.1", smtputf8: bool = False
) -> Transaction:
    connection = Connection("c1", remote, 4711, "192.0.2.25", 25, hello or Hello("EHLO", "mail.example.org"))
    return Transaction(
        "T1",
        connection,
        recipients=[Recipient(parse_mailbox(address)) for address in recipients],
        smtputf8=smtputf8,
    )


def unfolded(field: bytes) -> bytes:
    assert field.endswith(b"\n")
    assert re.search(rb"\n[^\t]", field) is None
    return field.removesuffix(b"\n").replace(b"\n\t", b" ")


def test_return_path() -> None:
    assert return_path(parse_mailbox("bounce+1@Example.ORG")) == b"Return-Path: <bounce+1@example.org>\n"
    assert return_path(parse_mailbox('"a b"@example.org')) == b'Return-Path: <"a b"@example.org>\n'
    assert return_path(NULL_SENDER) == b"Return-Path: <>\n"


def test_delivered_to() -> None:
    assert delivered_to(parse_mailbox("User+tag@example.test")) == b"Delivered-To: User+tag@example.test\n"
    assert delivered_to(parse_forward_path(b"<Postmaster>")[0]) == b"Delivered-To: postmaster\n"
    assert delivered_to(parse_mailbox("jörg@example.test")) == "Delivered-To: jörg@example.test\n".encode()


def test_received_in_full() -> None:
    assert received(transaction("alice@example.test"), "mx.example.test", NOW) == (
        b"Received: from mail.example.org ([192.0.2.1]) by mx.example.test with ESMTP\n"
        b"\tid T1 for <alice@example.test>;\n"
        b"\t" + DATE + b"\n"
    )


@pytest.mark.parametrize(
    ("verb", "smtputf8", "tls", "protocol"),
    [
        ("LHLO", False, None, b"LMTP id"),
        ("LHLO", False, TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256), b"LMTPS (TLSv1.3) id"),
        ("LHLO", True, None, b"UTF8LMTP id"),
        ("EHLO", True, None, b"UTF8SMTP id"),
    ],
)
def test_the_protocol_is_named(verb: str, *, smtputf8: bool, tls: TlsFacts | None, protocol: bytes) -> None:
    subject = transaction("alice@example.test", hello=Hello(verb, "mail.example.org"), smtputf8=smtputf8)
    subject.connection.tls = tls
    assert b" with " + protocol in unfolded(received(subject, "mx", NOW))


def test_a_client_without_an_address_has_no_literal() -> None:
    field = received(transaction("alice@example.test", remote=""), "mx", NOW)
    assert unfolded(field).startswith(b"Received: from mail.example.org by mx with ESMTP id T1 for <alice@")


def test_a_client_whose_name_is_known() -> None:
    taken = transaction("alice@example.test")
    taken.connection.remote_name = "spike.example"
    field = unfolded(received(taken, "mx", NOW))
    assert field.startswith(b"Received: from mail.example.org (spike.example [192.0.2.1]) by mx with ESMTP id T1")
    taken.connection.remote_address = ""
    assert unfolded(received(taken, "mx", NOW)).startswith(b"Received: from mail.example.org by mx with ESMTP id T1")


def test_received_does_not_tell_one_recipient_of_another() -> None:
    field = received(transaction("alice@example.test", "bob@example.test"), "mx", NOW)
    assert unfolded(field) == b"Received: from mail.example.org ([192.0.2.1]) by mx with ESMTP id T1; " + DATE


@pytest.mark.parametrize(
    ("verb", "smtputf8", "protocol"),
    [("HELO", False, b"SMTP"), ("EHLO", False, b"ESMTP"), ("EHLO", True, b"UTF8SMTP")],
)
def test_received_names_the_protocol(verb: str, smtputf8: bool, protocol: bytes) -> None:
    field = received(transaction("a@b.test", hello=Hello(verb, "h"), smtputf8=smtputf8), "mx", NOW)
    assert b" with " + protocol + b" id " in unfolded(field)


@pytest.mark.parametrize(
    ("verb", "smtputf8", "protocol"),
    [("HELO", False, b"SMTP"), ("EHLO", False, b"ESMTPS"), ("EHLO", True, b"UTF8SMTPS"), ("LHLO", False, b"LMTPS")],
)
def test_received_says_how_it_was_encrypted(verb: str, smtputf8: bool, protocol: bytes) -> None:
    encrypted = transaction("a@b.test", hello=Hello(verb, "h"), smtputf8=smtputf8)
    encrypted.connection.tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
    field = unfolded(received(encrypted, "mx", NOW))
    assert b" with " + protocol + b" (TLSv1.3) id " in field
    assert b" for <a@b.test> tls TLS_AES_256_GCM_SHA384; " in field


@pytest.mark.parametrize(
    ("verb", "smtputf8", "plain", "encrypted"),
    [
        ("HELO", False, b"SMTP", b"SMTP"),
        ("EHLO", False, b"ESMTPA", b"ESMTPSA"),
        ("EHLO", True, b"UTF8SMTPA", b"UTF8SMTPSA"),
        ("LHLO", False, b"LMTPA", b"LMTPSA"),
    ],
)
def test_received_says_that_the_client_logged_in(verb: str, smtputf8: bool, plain: bytes, encrypted: bytes) -> None:
    one = transaction("a@b.test", hello=Hello(verb, "h"), smtputf8=smtputf8)
    one.connection.user = "joe@example.test"
    field = unfolded(received(one, "mx", NOW))
    assert b" with " + plain + b" id " in field
    assert b"joe" not in field  # who it was concerns those alone who may read the log
    one.connection.tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
    assert b" with " + encrypted + b" (TLSv1.3) id " in unfolded(received(one, "mx", NOW))


@pytest.mark.parametrize(
    ("remote", "literal"),
    [("192.0.2.1", b"([192.0.2.1])"), ("2001:db8::1", b"([IPv6:2001:db8::1])"), ("fe80::1%eth0", b"([IPv6:fe80::1])")],
)
def test_received_has_the_address_of_the_client(remote: str, literal: bytes) -> None:
    assert literal in received(transaction("a@b.test", remote=remote), "mx", NOW)


@pytest.mark.parametrize(
    "name",
    ["mail.example.org", "localhost", "under_score.example", "a.b.", "[192.0.2.1]", "[IPv6:2001:db8::1]", "x" * 63],
)
def test_a_hello_name_is_echoed(name: str) -> None:
    field = received(transaction("a@b.test", hello=Hello("EHLO", name)), "mx", NOW)
    assert unfolded(field).startswith(b"Received: from " + name.encode() + b" ([")


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a\nX: y", "a\r", "a\n", "-a", "a..b", "[a.b]", "[192.0.2.1", "(a)", "é.test", "x" * 64, "a." * 128],
)
def test_what_is_no_hello_name_is_not_echoed(name: str) -> None:
    field = received(transaction("a@b.test", hello=Hello("EHLO", name)), "mx", NOW)
    assert unfolded(field).startswith(b"Received: from invalid ([192.0.2.1]) by mx ")


def test_a_client_that_did_not_greet_is_invalid() -> None:
    silent = transaction("a@b.test")
    silent.connection.hello = None
    assert b"from invalid ([192.0.2.1]) by mx with SMTP id" in unfolded(received(silent, "mx", NOW))


@given(st.text(max_size=80), st.text(max_size=40), st.text(max_size=40))
def test_nothing_begins_a_line_of_its_own(name: str, local: str, domain: str) -> None:
    address = Address(local, domain)  # as a plugin may make it, unchecked
    subject = transaction("a@b.test", hello=Hello("EHLO", name))
    subject.recipients[0].address = address
    unfolded(received(subject, "mx.example.test", NOW))
    for field in (return_path(address), delivered_to(address)):
        assert field.count(b"\n") == 1
        assert b"\r" not in field
        assert b"\0" not in field


LONG = TlsFacts("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 256)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.sampled_from([None, LONG]))
def test_lines_are_short_where_the_words_are(hello: int, host: int, user: int, tls: TlsFacts | None) -> None:
    subject = transaction("u" * user + "@b.test", hello=Hello("EHLO", "h" * hello))
    subject.connection.tls = tls
    lines = received(subject, "m" * host, NOW).split(b"\n")
    assert all(len(line) <= 78 for line in lines)


@given(st.integers(0, 4_000_000_000))
def test_the_date_is_the_second(second: int) -> None:
    field = received(transaction("a@b.test"), "mx", second + 0.999)
    date = parsedate_to_datetime(field.rpartition(b";")[2].strip().decode())
    assert date.timestamp() == second
