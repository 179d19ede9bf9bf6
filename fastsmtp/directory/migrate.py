"""Brings a database's tables up to date with the numbered files of schema/; each one only adds.

A database that others made has the base tables already, and keeps them: base.sql adds what is missing.
"""

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

from fastsmtp.directory.database import BUSY_TIMEOUT_S
from fastsmtp.directory.layout import Dialect
from fastsmtp.errors import DirectoryError

__all__ = ["APPLIED", "RECORD_TABLE", "Migration", "migrate_sqlite", "migrations", "pending"]

RECORD_TABLE: Final = "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)"
APPLIED: Final = "SELECT version FROM schema_version"

_NUMBERED: Final = re.compile(r"(\d{4})_\w+\.sql")


class Migration(NamedTuple):
    """One file of the schema; base.sql is number 1."""

    number: int
    name: str
    sql: str


def migrations(dialect: Dialect) -> list[Migration]:
    """All files for this kind of database, in their order."""
    folder = resources.files("fastsmtp_schema").joinpath(dialect)
    found = [Migration(1, "base.sql", folder.joinpath("base.sql").read_text())]
    found += [
        Migration(int(numbered[1]), file.name, file.read_text())
        for file in folder.iterdir()
        if (numbered := _NUMBERED.fullmatch(file.name))
    ]
    return sorted(found)


def pending(dialect: Dialect, applied: Collection[int]) -> list[Migration]:
    """What is left to do for a database in which these numbers are recorded."""
    return [migration for migration in migrations(dialect) if migration.number not in applied]


def migrate_sqlite(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> list[Migration]:
    """Run what is pending, each in a transaction with its record; returns what was run.

    Other writers are waited for `busy_timeout_s` seconds. Raises DirectoryError; what had been run then stays.
    """
    done: list[Migration] = []
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)) as connection:
            while migration := _run_next(connection):
                done.append(migration)
    except sqlite3.Error as error:
        ran = f" (done before: {', '.join(migration.name for migration in done)})" if done else ""
        raise DirectoryError(f"cannot migrate the directory {path}: {error}{ran}") from error
    return done


def _run_next(connection: sqlite3.Connection) -> Migration | None:
    """Under the lock, so that two who migrate at once share the work."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(RECORD_TABLE)
        todo = pending("sqlite", {number for (number,) in connection.execute(APPLIED)})
        if not todo:
            return None
        # Not executescript(), which would commit what has begun.
        for statement in _statements(todo[0].sql):
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version (version) VALUES (?)", (todo[0].number,))
    return todo[0]


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, none of which ends within a line."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement:
        yield statement
