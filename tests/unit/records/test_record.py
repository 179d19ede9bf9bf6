"""What is kept of a transaction and of a connection, beside what the log has."""

import json
from typing import Any

from fastsmtp.log.lines import connection_line, encode_transaction, transaction_line
from fastsmtp.records.record import connection_record, encode_record, transaction_record
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.replies import MAIL_FIRST, RELAYING_DENIED, TOO_MANY_RECIPIENTS, USER_UNKNOWN, accept, defer, reject
from fastsmtp.smtp.transaction import Connection, Recipient, Transaction


def a_connection() -> Connection:
    return Connection("C1", "192.0.2.1", 4711, "192.0.2.2", 25)


def recorded(transaction: Transaction) -> dict[str, Any]:
    record = transaction_record(transaction_line(transaction, time=1.7e9, duration_ns=1), transaction)
    encoded = encode_record(encode_transaction(transaction, time=1.7e9, duration_ns=1), transaction)
    assert json.loads(encoded) == json.loads(json.dumps(record))
    return record


def test_of_a_plain_transaction_there_is_hardly_more_than_the_line() -> None:
    transaction = Transaction("T1", a_connection())
    transaction.recipients.append(Recipient(Address("ann", "example.test")))
    line = transaction_line(transaction, time=1.7e9, duration_ns=1)
    assert recorded(transaction) == {**line, "connection": "C1"}


def test_answers_of_plugins() -> None:
    transaction = Transaction("T1", a_connection())
    transaction.connection.answers = [(("gate", "connect", True), None, 5, 1)]
    transaction.connection.results.append(Result("gate", "pass", "fine"))
    transaction.answers = [(("judge", "mail", False), "550 no", 7, 0)]
    record = recorded(transaction)
    assert record["connection_answers"] == [(("gate", "connect", True), None, 5, 1)]
    assert record["connection_results"] == 1
    assert record["answers"] == [(("judge", "mail", False), "550 no", 7, 0)]


def test_replies_that_are_not_the_usual_ones() -> None:
    transaction = Transaction("T1", a_connection())
    transaction.connection.remote_name = "mx.example.net"
    transaction.recipients += [
        Recipient(Address("ann", "a.test")),
        Recipient(Address("bob", "a.test"), (), accept("mine")),
    ]
    record = recorded(transaction)
    assert record["replies"] == ["250 2.1.5 Recipient OK", "250 2.0.0 mine"]
    assert record["remote_name"] == "mx.example.net"


def test_what_was_refused_besides_recipients_and_message() -> None:
    transaction = Transaction("T1", a_connection())
    transaction.refusals.append((Address("x", "a.test"), USER_UNKNOWN))
    transaction.reply = reject("5.7.1", "no")
    transaction.refused_commands = [
        (b"RCPT", USER_UNKNOWN), (b"RCPT", TOO_MANY_RECIPIENTS), (b"message", transaction.reply),
    ]  # fmt: skip
    assert recorded(transaction)["refused_commands"] == [("RCPT", "452 4.5.3 Too many recipients")]
    transaction.refused_commands = [(b"RCPT", USER_UNKNOWN)]
    assert "refused_commands" not in recorded(transaction)


def test_a_connection() -> None:
    connection = a_connection()
    connection.user, connection.remote_name = "ann@example.test", "mx.example.net"
    connection.results.append(Result("gate", "fail", "listed"))
    connection.answers = [(("gate", "connect", False), "naughty 550 no", 5, 1)]
    record = connection_record(connection_line(connection, time=1.7e9), connection)
    assert (record["id"], record["connection"], record["outcome"], record["user"]) == (
        "C1",
        "C1",
        "left",
        connection.user,
    )
    assert (record["connection_results"], record["connection_answers"]) == (1, connection.answers)
    connection.refused_commands = [(b"MAIL", defer("4.3.2", "later"))]
    assert connection_record({}, connection)["outcome"] == "deferred"
    connection.refused_commands += [(b"RCPT", MAIL_FIRST), (b"\xff", RELAYING_DENIED)]
    record = connection_record({}, connection)
    assert record["outcome"] == "refused"
    assert record["refused_commands"] == [
        ("MAIL", "450 4.3.2 later"), ("RCPT", "503 5.5.1 Need MAIL first"), ("�", "550 5.7.1 Relaying denied"),
    ]  # fmt: skip
