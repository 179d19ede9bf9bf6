"""A SQLite file, as the administration uses it."""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from fastsmtp.directory.database import BUSY_TIMEOUT_S, MissingTableError, Row
from fastsmtp.directory.migrate import migrate_sqlite
from fastsmtp.directory.sqlite import is_locked
from fastsmtp.errors import DirectoryError

__all__ = ["SqliteDatabase"]

_LOCK_RETRY_S: Final = 0.01


class SqliteDatabase:
    """Implements `Database`. With `create`, file, tables, indexes and WAL mode are made where they are missing.

    Other writers are waited for `busy_timeout_s` seconds. Raises DirectoryError.
    """

    def __init__(self, path: Path, *, create: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path.absolute()
        self.name = str(self._path)
        self._busy_timeout_s = busy_timeout_s
        if create:
            with suppress(OSError):  # it is there, or SQLite says what is wrong
                # Passwords are in it, if only their hashes. SQLite gives its other files the same mode.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
        with self._errors():
            uri = f"{self._path.as_uri()}?mode={'rwc' if create else 'rw'}"
            self._connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)
        # A name in another encoding must not make all others unreadable.
        self._connection.text_factory = lambda stored: stored.decode(errors="replace")
        try:
            with self._errors():
                self._connection.execute("PRAGMA foreign_keys = on")
                if create:
                    self._create()
        except DirectoryError:
            self.close()
            raise

    def execute(self, statement: str, *values: object) -> list[Row]:
        """All rows of one statement."""
        with self._errors():
            return self._connection.execute(statement, values).fetchall()

    def execute_many(self, statement: str, rows: Iterable[Row]) -> None:
        """A statement that writes, once for each row of values."""
        with self._errors():
            self._connection.executemany(statement, rows)

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Many new rows."""
        places = ", ".join("?" * len(columns))
        self.execute_many(f'INSERT INTO "{table}" ({", ".join(columns)}) VALUES ({places})', rows)  # noqa: S608 - ours

    def new_ids(self, table: str, column: str, count: int = 1) -> range:
        """So many numbers that no row has: tables that were not made by us may not count by themselves."""
        [(highest,)] = self.execute(f'SELECT coalesce(max({column}), 0) FROM "{table}"')  # noqa: S608 - our own names
        return range(highest + 1, highest + 1 + count)

    def tables(self) -> frozenset[str]:
        """The names of tables and views."""
        rows = self.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        return frozenset(name for (name,) in rows)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A transaction in which all statements see the same moment."""
        with self._errors(), self._connection:
            self._connection.execute("BEGIN")
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A transaction that writes, with the lock from its start on."""
        with self._errors(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _create(self) -> None:
        self._use_wal()
        migrate_sqlite(self._path, busy_timeout_s=self._busy_timeout_s)

    def _use_wal(self) -> None:
        """Switch to WAL; SQLite does not wait by itself for others who are doing the same at this moment."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = wal")
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_LOCK_RETRY_S)
            else:
                return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if str(error).startswith("no such table"):
                raise MissingTableError(self.name, str(error)) from error
            raise DirectoryError(f"cannot use the directory {self.name}: {error}") from error
