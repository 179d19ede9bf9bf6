"""The plugin chain alone: what asking costs with none, one and ten plugins, and with one that has to be awaited."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Final

from bench.micro.figures import Figure, NotPlayedError, best_ns, best_ns_awaiting
from fastsmtp.config.model import PluginEntry
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.loader import load_plugins
from fastsmtp.plugin import Address, AnyPlugin, Connection, NoOptions, Plugin, Reply, Stage, Transaction
from fastsmtp.server.clock import SystemClock
from fastsmtp.stats import Stats

__all__ = ["figures"]

_SENDER: Final = Address("sender", "load.example")
_REPEATS: Final = 5000


class Silent(Plugin[NoOptions]):
    """Has no opinion, at once."""

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:  # noqa: ARG002 - a hook is given it
        return None


class Waiting(Plugin[NoOptions]):
    """Has no opinion, after the loop had its turn."""

    async def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:  # noqa: ARG002 - likewise
        await asyncio.sleep(0)
        return None


def figures() -> Iterator[Figure]:
    """Nanoseconds to ask a stage. Raises NotPlayedError when a plugin was not asked as it should be."""
    for count in (0, 1, 10):
        chain, transaction = _chain(count, Silent), _transaction()

        def ask(chain: Chain = chain, transaction: Transaction = transaction) -> None:
            chain.ask(Stage.MAIL, transaction, _SENDER)

        yield Figure(f"a stage with {count} plugins", best_ns(ask, _REPEATS), "ns")
    yield Figure("a stage with 1 that has to wait", asyncio.run(_waiting()), "ns", "a turn of asyncio's loop included")


async def _waiting() -> float:
    chain, transaction = _chain(1, Waiting), _transaction()

    async def ask() -> None:
        decision = chain.ask(Stage.MAIL, transaction, _SENDER)
        if not isinstance(decision, Awaitable):
            raise NotPlayedError("nothing to wait for")
        await decision

    return await best_ns_awaiting(ask, _REPEATS)


def _chain(count: int, plugin: type[AnyPlugin]) -> Chain:
    entries = [PluginEntry(use="plugin", name=f"plugin{number}") for number in range(count)]
    loaded = load_plugins(entries, classes={entry.title: plugin for entry in entries})
    return Chain(loaded, Stats(), SystemClock())


def _transaction() -> Transaction:
    return Transaction("T1", Connection("C1", "192.0.2.1", 4711, "192.0.2.2", 25))
