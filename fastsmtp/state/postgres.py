"""State in PostgreSQL: three tables beside those of the directory, or in a database of their own."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from fastsmtp.config.places import PostgresUrl
from fastsmtp.ports import Rate
from fastsmtp.state.link import Link
from fastsmtp.state.records import Batch, decayed
from fastsmtp.stats import Stats

__all__ = ["PostgresBuckets", "PostgresStore", "postgres_link"]

_CONNECTIONS: Final = 4
_AT_ONCE: Final = 1000

_A_MOMENT_S: Final = 0.001
"""Until the next token, when it came between two questions."""

_TROUBLE: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_TABLES_LOCK: Final = 0x66736D7470737461
"""Whoever makes the tables is alone at it: `IF NOT EXISTS` does not see what another one is making."""

# Buckets need not survive a crash of the server: they are full again before it is up.
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS fastsmtp_text (
  key text PRIMARY KEY, value text NOT NULL, until double precision NOT NULL);
CREATE INDEX IF NOT EXISTS fastsmtp_text_until ON fastsmtp_text (until);
CREATE TABLE IF NOT EXISTS fastsmtp_score (
  key text PRIMARY KEY,
  amount double precision NOT NULL, at double precision NOT NULL, until double precision NOT NULL);
CREATE INDEX IF NOT EXISTS fastsmtp_score_until ON fastsmtp_score (until);
CREATE UNLOGGED TABLE IF NOT EXISTS fastsmtp_bucket (key text PRIMARY KEY, until double precision NOT NULL);
CREATE INDEX IF NOT EXISTS fastsmtp_bucket_until ON fastsmtp_bucket (until);
"""
_ARE_THERE: Final = """
SELECT to_regclass('fastsmtp_text') IS NOT NULL AND to_regclass('fastsmtp_score_until') IS NOT NULL
  AND to_regclass('fastsmtp_bucket_until') IS NOT NULL"""
_PUT: Final = """
INSERT INTO fastsmtp_text (key, value, until) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until"""
# 0.5 to the power of more than 1,000 would be an error and not 0.
_ADD: Final = """
INSERT INTO fastsmtp_score AS s (key, amount, at, until) VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO UPDATE SET
  amount = s.amount * power(0.5, least(1000, greatest(0, $3 - s.at) / $5::double precision)) + $2,
  at = greatest(s.at, $3), until = greatest(s.until, $4)"""
# `until` of a bucket is when it is full. The row is locked by ON CONFLICT, so that everybody sees what others took.
_TAKE: Final = """
WITH clock AS MATERIALIZED (SELECT extract(epoch FROM clock_timestamp())::double precision AS now),
taken AS (
  INSERT INTO fastsmtp_bucket AS b (key, until) SELECT $1, now + $4 * $2::double precision FROM clock
  ON CONFLICT (key) DO UPDATE SET until = greatest(b.until, (SELECT now FROM clock)) + $4 * $2::double precision
  WHERE greatest(b.until, (SELECT now FROM clock)) + ($4 - $3) * $2::double precision <= (SELECT now FROM clock)
  RETURNING 1)
SELECT EXISTS (SELECT FROM taken)"""
_LOOK: Final = """
SELECT until + ($4::double precision - $3::double precision) * $2::double precision
  - extract(epoch FROM clock_timestamp())::double precision
FROM fastsmtp_bucket WHERE key = $1"""
_GIVE_BACK: Final = "UPDATE fastsmtp_bucket SET until = until - $2::double precision WHERE key = $1"


class _Peer:
    """A few connections."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    async def close(self) -> None:
        """Say goodbye, as far as that is possible."""
        try:
            await self.pool.close()
        finally:
            self.pool.terminate()


def postgres_link(url: PostgresUrl, timeout_s: float, stats: Stats) -> Link[_Peer]:
    """To this database; it is there when its tables are, which are made where they are missing."""

    async def connect() -> _Peer:
        pool = asyncpg.create_pool(
            url.dsn,
            min_size=0,
            max_size=_CONNECTIONS,
            statement_cache_size=0,  # a pooler between us and the server would lose them
            server_settings={"application_name": "fastsmtp state"},
        )
        try:
            await pool
            async with pool.acquire() as connection:
                if not await connection.fetchval(_ARE_THERE):
                    async with connection.transaction():
                        await connection.execute(f"SELECT pg_advisory_xact_lock({_TABLES_LOCK})")
                        await connection.execute(_TABLES)
                await connection.execute("DELETE FROM fastsmtp_bucket WHERE false")  # a replica cannot be written
        except BaseException:
            pool.terminate()
            raise
        return _Peer(pool)

    return Link(connect, _TROUBLE, str(url), timeout_s, stats)


class PostgresStore:
    """Implements `RecordStore`; a table keeps about `most` rows."""

    def __init__(self, link: Link[_Peer], most: int) -> None:
        self._link = link
        self._most = most

    async def open(self) -> None:
        """Connect, or begin to try."""
        await self._link.open()

    async def close(self) -> None:
        """Let go of the link."""
        await self._link.close()

    async def text(self, key: str, now_s: float) -> str | None:
        """As for every store."""
        query = "SELECT value FROM fastsmtp_text WHERE key = $1 AND until > $2"
        found: str | None = await self._link.ask(lambda peer: peer.pool.fetchval(query, _plain(key), now_s))
        return found

    async def score(self, key: str, half_life_s: float, now_s: float) -> float:
        """As for every store."""
        query = "SELECT amount, at FROM fastsmtp_score WHERE key = $1"
        row = await self._link.ask(lambda peer: peer.pool.fetchrow(query, _plain(key)))
        return 0.0 if row is None else decayed(row["amount"], now_s - row["at"], half_life_s)

    async def write(self, batch: Batch) -> None:
        """As for every store. In the order of keys: two who write the same ones cannot wait for each other."""
        puts = sorted((_plain(key), _plain(text), until_s) for key, (text, until_s) in batch.texts.items())
        adds = sorted(
            (_plain(key), one.amount, one.at_s, one.until_s, one.half_life_s) for key, one in batch.additions.items()
        )
        for statement, rows in ((_PUT, puts), (_ADD, adds)):
            for first in range(0, len(rows), _AT_ONCE):
                await self._link.ask(partial(_execute_many, statement, rows[first : first + _AT_ONCE]))

    async def purge(self, now_s: float) -> None:
        """As for every store, some rows at a time; how many there are is what the database believes."""
        for table in ("fastsmtp_text", "fastsmtp_score", "fastsmtp_bucket"):
            count: int = await self._link.ask(partial(_count, table))
            too_many = max(0, count - self._most)
            if too_many:
                await self._drop_some(table, float("inf"), min(too_many, _AT_ONCE))
            while await self._drop_some(table, now_s, _AT_ONCE):
                pass

    async def _drop_some(self, table: str, until_s: float, most: int) -> bool:
        """Drop rows that end first; whether there may be more."""
        first = f"SELECT key FROM {table} WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED"  # noqa: S608 - our own name
        done: str = await self._link.ask(
            lambda peer: peer.pool.execute(f"DELETE FROM {table} WHERE key IN ({first})", until_s, most)  # noqa: S608 - the same
        )
        return done == f"DELETE {_AT_ONCE}"


class PostgresBuckets:
    """Implements `RemoteBuckets`."""

    def __init__(self, link: Link[_Peer]) -> None:
        self._link = link

    @property
    def is_there(self) -> bool:
        """Whether it makes sense to ask."""
        return self._link.is_there

    async def take(self, key: str, rate: Rate, tokens: int) -> float:
        """As for all buckets. Raises StateError."""
        values = (_plain(key), rate.interval_ns / 1e9, rate.burst, max(tokens, 1))
        if tokens and await self._link.ask(lambda peer: peer.pool.fetchval(_TAKE, *values)):
            return 0.0
        # A second question, since the first one saw the row as it was before others took out of it.
        wait_s = await self._link.ask(lambda peer: peer.pool.fetchval(_LOOK, *values))
        return max(float(wait_s or 0.0), _A_MOMENT_S if tokens else 0.0)

    def give_back(self, key: str, rate: Rate, tokens: int) -> None:
        """As for all buckets; nobody waits."""
        values = (_plain(key), tokens * rate.interval_ns / 1e9)
        self._link.start(lambda peer: peer.pool.execute(_GIVE_BACK, *values))


async def _execute_many(statement: str, rows: Sequence[tuple[object, ...]], peer: _Peer) -> None:
    await peer.pool.executemany(statement, rows)


async def _count(table: str, peer: _Peer) -> int:
    """How many rows the database believes to be there: to count them would take it too long."""
    query = "SELECT reltuples::bigint FROM pg_class WHERE oid = $1::text::regclass"
    count: int = await peer.pool.fetchval(query, table)
    return count


def _plain(text: str) -> str:
    """Text that the database takes: no NUL, no halves of surrogates."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
