"""The clock, the store and the lists of a site in memory."""

import asyncio

import pytest

from fastsmtp.errors import DirectoryError
from fastsmtp.plugin import Address, Connection, Recipient, Transaction
from fastsmtp.ports import Mailbox
from fastsmtp.testing import MemoryLists, MemoryStore, SettableClock


def transaction(*recipients: Recipient) -> Transaction:
    connection = Connection("C1", "192.0.2.1", 1, "192.0.2.25", 25)
    return Transaction("T1", connection, recipients=list(recipients))


def test_time_stands_still_until_it_is_told_not_to() -> None:
    clock = SettableClock(now=100.0)
    began = clock.monotonic_ns()
    assert (clock.time(), clock.monotonic_ns()) == (100.0, began)
    clock.advance(1.5)
    assert (clock.time(), clock.monotonic_ns()) == (101.5, began + 1_500_000_000)
    clock.now = 7.0
    assert (clock.time(), clock.monotonic_ns()) == (7.0, began + 1_500_000_000)


def test_one_copy_for_each_mailbox_with_what_plugins_added() -> None:
    store = MemoryStore()
    txn = transaction(
        Recipient(Address("ann", "a.example"), (Mailbox("a.example", "ann"),)),
        Recipient(Address("ann+x", "a.example"), (Mailbox("a.example", "ann"),)),
        Recipient(Address("bob", "a.example"), (Mailbox("a.example", "bob"),)),
    )
    txn.message.append(b"Subject: hi\n")
    txn.message.add_header("X-A", "1")
    assert store.store(txn).code == 250
    copy = b"X-A: 1\nSubject: hi\n"
    assert store.delivered == {"ann@a.example": [copy], "bob@a.example": [copy]}


def test_in_lmtp_a_recipient_without_a_mailbox_is_left_out() -> None:
    store = MemoryStore()
    known, unknown = Recipient(Address("a", "b"), (Mailbox("b", "a"),)), Recipient(Address("x", "y"))
    txn = transaction(known, unknown)
    txn.replies_each = True
    assert store.store(txn).code == 250
    assert list(store.delivered) == ["a@b"]
    assert unknown.refusal is not None
    assert (known.refusal, unknown.refusal.code) == (None, 451)


def test_a_recipient_without_a_mailbox_refuses_the_message() -> None:
    store = MemoryStore()
    known, unknown = Recipient(Address("a", "b"), (Mailbox("b", "a"),)), Recipient(Address("x", "y"))
    assert store.store(transaction(known, unknown)).code == 451
    assert store.store(transaction()).code == 451
    assert store.delivered == {}


def test_lists_are_those_that_were_written_down() -> None:
    async def work() -> None:
        lists = MemoryLists()
        assert (await lists.rows("sender")).rows == ()
        lists.entries["sender"] = {"spam.example": "no"}
        found = await lists.rows("sender")
        assert found.rows == (("spam.example", "no"),)
        assert await lists.rows("sender", found) is found
        lists.trouble = DirectoryError("away")
        with pytest.raises(DirectoryError, match="away"):
            await lists.rows("sender", found)

    asyncio.run(work())
