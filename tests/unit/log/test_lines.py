import json
from typing import Any

import pytest

from fastsmtp.log.encoding import encode_line
from fastsmtp.log.lines import encode_transaction
from fastsmtp.log.lines import transaction_line as plain_transaction_line
from fastsmtp.smtp.address import NULL_SENDER, Address
from fastsmtp.smtp.record import Authentication, Result
from fastsmtp.smtp.replies import USER_UNKNOWN, Reply
from fastsmtp.smtp.tls import ClientCertificate, TlsFacts
from fastsmtp.smtp.transaction import Connection, Hello, Recipient, Transaction

STORED = Reply(250, "2.0.0", "stored as 1a2b")


def transaction_line(transaction: Transaction, *, time: float, duration_ns: int) -> dict[str, Any]:
    """The line, which is the same where it is made as JSON."""
    line = plain_transaction_line(transaction, time=time, duration_ns=duration_ns)
    encoded = encode_transaction(transaction, time=time, duration_ns=duration_ns)
    assert json.loads(encoded) == json.loads(encode_line(line))
    return line


def test_a_transaction_is_one_line() -> None:
    connection = Connection(
        "c1", "192.0.2.7", 50_000, "192.0.2.1", 25, listener="mx", hello=Hello("EHLO", "client.example")
    )
    transaction = Transaction("1a2b", connection, sender=Address("joe", "example.com"))
    transaction.recipients.append(Recipient(Address("Al ice", "example.org")))
    transaction.message.append(b"Subject: x\n\n")
    transaction.message.size = 14
    transaction.results.append(Result("headers", "pass", "all there"))
    transaction.refusals.append((Address("eve", "example.org"), USER_UNKNOWN))
    transaction.reply, transaction.outcome = STORED, "stored"

    assert transaction_line(transaction, time=1.5, duration_ns=1_234_567) == {
        "time": "1970-01-01T00:00:01.500Z",
        "event": "transaction",
        "id": "1a2b",
        "listener": "mx",
        "remote": "192.0.2.7",
        "proxy": None,
        "helo": "client.example",
        "tls": None,
        "sender": "joe@example.com",
        "recipients": ['"Al ice"@example.org'],
        "size": 14,
        "duration_ms": 1.235,
        "outcome": "stored",
        "reply": "250 2.0.0 stored as 1a2b",
        "refused": [{"recipient": "eve@example.org", "reply": "550 5.1.1 No such user here"}],
        "results": [{"plugin": "headers", "outcome": "pass", "evidence": "all there"}],
    }


def test_a_result_says_what_the_method_of_authentication_said() -> None:
    transaction = Transaction("1a2b", Connection("c1", "192.0.2.7", 50_000, "192.0.2.1", 25))
    found = Authentication("spf", "softfail", (("smtp", "mailfrom", "joe@example.com"),))
    transaction.results.append(Result("spf", "fail", "~all", found))
    assert transaction_line(transaction, time=0.0, duration_ns=0)["results"] == [
        {"plugin": "spf", "outcome": "fail", "evidence": "~all", "authentication": "spf=softfail"}
    ]


def test_a_transaction_says_how_it_was_encrypted() -> None:
    connection = Connection("c1", "192.0.2.7", 50_000, "192.0.2.1", 25)
    connection.tls = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", 128)
    transaction = Transaction("1a2b", connection)
    basic = {"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "bits": 128}
    assert transaction_line(transaction, time=0.0, duration_ns=0)["tls"] == basic

    shown = ClientCertificate("CN=client", "CN=authority", (), "ab" * 32, is_verified=True)
    connection.tls = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", 128, "mx.example.test", shown)
    assert transaction_line(transaction, time=0.0, duration_ns=0)["tls"] == {
        **basic,
        "server_name": "mx.example.test",
        "client": {"subject": "CN=client", "fingerprint": "ab" * 32, "verified": True},
    }


def test_a_transaction_says_who_had_logged_in() -> None:
    connection = Connection("c1", "192.0.2.7", 50_000, "192.0.2.1", 25)
    assert "user" not in transaction_line(Transaction("1a2b", connection), time=0.0, duration_ns=0)
    connection.user = "joe@example.test"
    assert transaction_line(Transaction("1a2b", connection), time=0.0, duration_ns=0)["user"] == "joe@example.test"


@pytest.mark.parametrize("duration_ns", [0, 499, 500, 1_499_500, 12_000_000_000, 7_000_000])
def test_a_duration_is_said_to_the_microsecond(duration_ns: int) -> None:
    transaction = Transaction("1a2b", Connection("c1", "::1", 1, "::1", 25))
    line = transaction_line(transaction, time=0.0, duration_ns=duration_ns)
    assert abs(line["duration_ms"] - duration_ns / 1e6) <= 0.0005


def test_several_recipients_and_what_json_has_to_escape() -> None:
    transaction = Transaction("1a2b", Connection("c1", "::1", 1, "::1", 25, hello=Hello("EHLO", '"\\é')))
    transaction.recipients += [Recipient(Address(name, "example.org")) for name in ("a", "b c", "é\x7f", "\ud800")]
    line = transaction_line(transaction, time=1.0, duration_ns=0)
    assert line["recipients"][:2] == ["a@example.org", '"b c"@example.org']


def test_a_transaction_without_an_end() -> None:
    transaction = Transaction("1a2b", Connection("c1", "::1", 1, "::1", 25), sender=NULL_SENDER)

    line = transaction_line(transaction, time=0.0, duration_ns=0)

    assert (line["helo"], line["sender"], line["recipients"], line["reply"]) == ("", "", [], None)
