"""Brings the tables of a PostgreSQL database up to date."""

import asyncio
from typing import Final

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.connect import TROUBLE, Connection, connect, reason
from fastsmtp.directory.database import BUSY_TIMEOUT_S
from fastsmtp.directory.migrate import APPLIED, RECORD_TABLE, Migration, pending
from fastsmtp.errors import DirectoryError

__all__ = ["migrate_postgres"]

# Two who migrate at once share the work. The number is any that nobody else in the database is likely to lock.
_LOCK: Final = "SELECT pg_advisory_xact_lock(7_367_466)"


def migrate_postgres(
    url: PostgresUrl, *, connect_timeout_s: float = 5.0, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> list[Migration]:
    """Run what is pending, each in a transaction with its record; returns what was run.

    Other writers are waited for `busy_timeout_s` seconds. Raises DirectoryError; what had been run then stays.
    """
    return asyncio.run(_migrate(url, connect_timeout_s, busy_timeout_s))


async def _migrate(url: PostgresUrl, connect_timeout_s: float, busy_timeout_s: float) -> list[Migration]:
    done: list[Migration] = []
    connection = await connect(url, connect_timeout_s)
    try:
        while migration := await _run_next(connection, busy_timeout_s):
            done.append(migration)
        await connection.close(timeout=busy_timeout_s)
    except TROUBLE as error:
        ran = f" (done before: {', '.join(migration.name for migration in done)})" if done else ""
        sentence = f"cannot migrate the directory {url}: {reason(error, busy_timeout_s)}{ran}"
        raise DirectoryError(sentence) from error
    finally:
        connection.terminate()
    return done


async def _run_next(connection: Connection, busy_timeout_s: float) -> Migration | None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {busy_timeout_s * 1000:.0f}")
        await connection.execute("SET LOCAL client_min_messages = warning")  # IF NOT EXISTS has much to say
        await connection.execute(_LOCK)
        await connection.execute(RECORD_TABLE)
        todo = pending("postgres", {number for (number,) in await connection.fetch(APPLIED)})
        if not todo:
            return None
        await connection.execute(todo[0].sql)
        await connection.fetch("INSERT INTO schema_version (version) VALUES ($1)", todo[0].number)
    return todo[0]
