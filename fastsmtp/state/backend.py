"""The state that a configuration asks for."""

import asyncio
from dataclasses import dataclass
from typing import Any

from fastsmtp.config.places import PostgresUrl, SqliteUrl
from fastsmtp.config.state import RedisUrl, StateSettings
from fastsmtp.errors import ConfigurationError, StateError
from fastsmtp.ports import Buckets, Clock
from fastsmtp.state.link import Link
from fastsmtp.state.records import RecordStore, StoredRecords
from fastsmtp.state.several_hosts import RemoteBuckets, SeveralHostsBuckets
from fastsmtp.state.sqlite import SqliteStore, look_at_file
from fastsmtp.stats import Stats

__all__ = ["State", "look_at", "state"]

_NO_CLIENT = "state.url: valkey:// and redis:// need a client library; pip install 'fastsmtp-mx[redis]'"


@dataclass(frozen=True, slots=True)
class State:
    """What plugins share, and the way to the server that has it, where there is one."""

    buckets: Buckets
    records: StoredRecords
    link: Link[Any] | None = None

    async def open(self) -> None:
        """Go to the server; one that is away is knocked at."""
        if self.link is not None:
            await self.link.open()

    async def close(self) -> None:
        """Write what waits, and let go."""
        await self.records.close()
        if self.link is not None:
            await self.link.close()


def state(settings: StateSettings, here: Buckets, clock: Clock, stats: Stats) -> State:
    """With `here`, the buckets of this host. Raises ConfigurationError."""
    if isinstance(settings.url, SqliteUrl):
        return State(here, StoredRecords(SqliteStore(settings.url.path, settings.records), clock, stats))
    link, store, there = _server(settings.url, settings, stats)
    return State(SeveralHostsBuckets(here, there), StoredRecords(store, clock, stats), link)


async def look_at(settings: StateSettings) -> str:
    """Whether it can be used, in one sentence. Raises StateError, ConfigurationError."""
    if isinstance(settings.url, SqliteUrl):
        await asyncio.to_thread(look_at_file, settings.url.path)
        return str(settings.url) if settings.url.path.exists() else f"{settings.url} will be made"
    link, _, _ = _server(settings.url, settings, Stats())
    await link.open()
    try:
        if not link.is_there:
            raise StateError(f"the state {settings.url} is away: {link.why}")
    finally:
        await link.close()
    return str(settings.url)


def _server(
    url: PostgresUrl | RedisUrl, settings: StateSettings, stats: Stats
) -> tuple[Link[Any], RecordStore, RemoteBuckets]:
    # Late, both: their drivers take long to import, and few sites need them.
    if isinstance(url, PostgresUrl):
        from fastsmtp.state.postgres import PostgresBuckets, PostgresStore, postgres_link

        database = postgres_link(url, settings.timeout, stats)
        return database, PostgresStore(database, settings.records), PostgresBuckets(database)
    try:
        from fastsmtp.state.redis import RedisBuckets, RedisStore, redis_link
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "redis":
            raise
        raise ConfigurationError(_NO_CLIENT) from error
    server = redis_link(url, settings.timeout, stats)
    return server, RedisStore(server), RedisBuckets(server)
