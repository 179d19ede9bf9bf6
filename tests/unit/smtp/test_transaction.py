"""The facts of a connection and of one mail transaction."""

from typing import get_args

from fastsmtp.smtp.address import NULL_SENDER, Address
from fastsmtp.smtp.replies import RECIPIENT_OK
from fastsmtp.smtp.transaction import (
    TRANSACTION_OUTCOMES,
    Connection,
    Hello,
    Recipient,
    Transaction,
    TransactionOutcome,
)


def connection() -> Connection:
    return Connection("c1", "192.0.2.1", 40_000, "192.0.2.2", 25)


def test_extensions_are_offered_and_withdrawn_in_any_case() -> None:
    hello = Hello("EHLO", "client.example")
    hello.offer("size", "1000")
    hello.offer("PIPELINING")
    assert hello.extensions == {"SIZE": "1000", "PIPELINING": ""}
    hello.offer("Size", "2000")
    hello.withdraw("pipelining")
    assert hello.extensions == {"SIZE": "2000"}


def test_withdrawing_what_is_not_offered_is_fine() -> None:
    hello = Hello("EHLO", "client.example")
    hello.withdraw("DSN")
    assert hello.extensions == {}


def test_the_hello_name_is_empty_before_the_greeting() -> None:
    greeted = connection()
    assert greeted.hello_name == ""
    greeted.hello = Hello("HELO", "client.example")
    assert greeted.hello_name == "client.example"


def test_a_new_transaction_is_empty_and_open() -> None:
    transaction = Transaction("t1", connection())
    assert transaction.sender == NULL_SENDER
    assert (transaction.recipients, transaction.refusals, transaction.results) == ([], [], [])
    assert (transaction.declared_size, transaction.body, transaction.smtputf8) == (None, "7BIT", False)
    assert (transaction.reply, transaction.outcome) == (None, "open")


def test_nothing_is_shared_between_two() -> None:
    one, other = Transaction("t1", connection()), Transaction("t1", connection())
    one.recipients.append(Recipient(Address("a", "example.org")))
    one.message.append(b"x")
    one.notes.put("note")
    assert other.recipients == []
    assert bytes(other.message) == b""
    assert other.notes.get(str) is None
    assert one.connection.notes is not other.connection.notes


def test_a_transaction_is_equal_to_itself_only() -> None:
    shared = connection()
    assert Transaction("t1", shared) != Transaction("t1", shared)
    assert connection() != connection()
    assert len({Transaction("t1", shared), Transaction("t1", shared)}) == 2


def test_a_recipient_has_no_mailbox_before_the_directory_has_spoken() -> None:
    recipient = Recipient(Address("a", "example.org"))
    assert (recipient.mailboxes, recipient.reply) == ((), RECIPIENT_OK)


def test_outcomes_are_all_but_open() -> None:
    assert {"open", *TRANSACTION_OUTCOMES} == set(get_args(TransactionOutcome))
