"""A recipient who is in the directory's cache."""

import asyncio
import tempfile
from collections.abc import Awaitable, Iterator
from pathlib import Path

from bench.micro.figures import Figure, NotPlayedError, best_ns
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.cache import CachedDirectory
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.ports import Found
from fastsmtp.server.clock import SystemClock
from fastsmtp.smtp.address import Address, parse_mailbox
from fastsmtp.stats import Stats

__all__ = ["figures"]


def figures() -> Iterator[Figure]:
    """Nanoseconds. Raises NotPlayedError when the answer is not there at once."""
    text = "recipient@bench.example"
    yield Figure("an address parsed", best_ns(lambda: parse_mailbox(text), 20_000), "ns")
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "directory.db")
        with SqliteAdmin(database, create=True) as admin:
            admin.add_domain("bench.example")
            admin.add_user(text)
        yield Figure("a cache hit", asyncio.run(_hit(database, parse_mailbox(text))), "ns")


async def _hit(database: Path, address: Address) -> float:
    cache = CachedDirectory(
        SqliteDirectory(database),
        entries=100_000,
        ttl_s=1e6,
        negative_ttl_s=1e6,
        stale_ttl_s=1e6,
        clock=SystemClock(),
        stats=Stats(),
    )
    await cache.open()
    try:
        first = cache.locate(address)
        if isinstance(first, Awaitable):
            await first
        if not isinstance(cache.locate(address), Found):
            raise NotPlayedError("a cached recipient was not found at once")
        return best_ns(lambda: cache.locate(address), 20_000)
    finally:
        await cache.close()
