"""The store that keeps nothing says so."""

import asyncio

from fastsmtp.delivery.discard import DiscardStore
from fastsmtp.ports import MessageStore
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import Connection, Transaction


def test_it_takes_everything_and_says_that_it_keeps_nothing() -> None:
    store: MessageStore = DiscardStore()
    transaction = Transaction("T1", Connection("c1", "192.0.2.1", 4711, "192.0.2.25", 25))

    async def life() -> object:
        await store.open()
        reply = store.store(transaction)
        await store.close()
        return reply

    assert asyncio.run(life()) == Reply(250, "2.0.0", "discarded as T1, this server keeps no mail")
