"""Records in a SQLite file: read synchronously (docs/decisions/0003-sqlite.md says why), written in a thread."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from fastsmtp.errors import StateError
from fastsmtp.state.records import Batch, decayed

__all__ = ["SqliteStore", "look_at_file"]

_BUSY_TIMEOUT_S: Final = 5.0
_PURGED_AT_ONCE: Final = 5_000
"""Rows of one transaction, so that no writer waits for long."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS state_text (
  key text PRIMARY KEY, value text NOT NULL, until real NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS state_text_until ON state_text (until);
CREATE TABLE IF NOT EXISTS state_score (
  key text PRIMARY KEY, amount real NOT NULL, at real NOT NULL, until real NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS state_score_until ON state_score (until);
"""
_PUT: Final = """
INSERT INTO state_text (key, value, until) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until"""
_ADD: Final = """
INSERT INTO state_score (key, amount, at, until) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (key) DO UPDATE SET
  amount = decayed(amount, ?3 - at, ?5) + ?2, at = max(at, ?3), until = max(until, ?4)"""
_TEXT: Final = "SELECT value FROM state_text WHERE key = ? AND until > ?"
_SCORE: Final = "SELECT amount, at FROM state_score WHERE key = ?"

_T = TypeVar("_T")


class SqliteStore:
    """Implements `RecordStore`. The file is made, for its owner alone, where it is missing; a table keeps `most` rows.

    An answer waits for nobody: WAL lets us read while others write.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path.absolute()
        self._most = most
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "state")

    async def open(self) -> None:
        """Make the file and its tables. Raises StateError."""
        self._reader = await self._in_thread(self._open)

    async def close(self) -> None:
        """Let go of the file."""
        if self._writer is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.close)
            self._writer = None
        self._thread.shutdown(wait=False)
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def text(self, key: str, now_s: float) -> str | None:
        """As for every store, and at once."""
        row = self._row(_TEXT, _plain(key), now_s)
        return None if row is None else str(row[0])

    def score(self, key: str, half_life_s: float, now_s: float) -> float:
        """As for every store, and at once."""
        row = self._row(_SCORE, _plain(key))
        return 0.0 if row is None else decayed(row[0], now_s - row[1], half_life_s)

    async def write(self, batch: Batch) -> None:
        """As for every store: one transaction."""
        texts = [(_plain(key), _plain(text), until) for key, (text, until) in batch.texts.items()]
        additions = [
            (_plain(key), one.amount, one.at_s, one.until_s, one.half_life_s) for key, one in batch.additions.items()
        ]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_PUT, texts)
            connection.executemany(_ADD, additions)

        await self._in_thread(lambda: self._change(write))

    async def purge(self, now_s: float) -> None:
        """As for every store, a few rows at a time."""
        for table in ("state_text", "state_score"):
            while await self._in_thread(partial(self._drop_some, table, now_s)):
                pass

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._writer = _connect(self._path, _BUSY_TIMEOUT_S)
        deadline = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            try:
                self._writer.execute("PRAGMA journal_mode = wal")
                break
            except sqlite3.OperationalError:  # SQLite does not wait for others who are switching at this moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        # A power cut may lose the last moments of what plugins remember, and never more than them.
        self._writer.execute("PRAGMA synchronous = normal")
        self._writer.executescript(_TABLES)
        return _connect(self._path, 0.0)

    def _change(self, change: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._writer is None:
            raise sqlite3.ProgrammingError("the file is closed")
        with self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            return change(self._writer)

    def _drop_some(self, table: str, now_s: float) -> bool:
        """Drop rows that have ended, and of more than `most` those that end first; whether there may be others."""

        def drop(connection: sqlite3.Connection) -> bool:
            [(count,)] = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own name
            too_many = min(max(0, count - self._most), _PURGED_AT_ONCE)
            first = f"SELECT key FROM {table} WHERE until <= ? ORDER BY until LIMIT ?"  # noqa: S608 - our own name
            ended = connection.execute(first, (now_s, _PURGED_AT_ONCE)).fetchall()
            if len(ended) < too_many:
                ended = connection.execute(first, (float("inf"), too_many)).fetchall()
            connection.executemany(f"DELETE FROM {table} WHERE key = ?", ended)  # noqa: S608 - our own name
            return len(ended) == _PURGED_AT_ONCE

        return self._change(drop)

    # --- both --------------------------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            raise self._trouble(error) from error

    def _row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        if self._reader is None:
            raise StateError(f"the state {self._path} is closed")
        try:
            row: tuple[Any, ...] | None = self._reader.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._trouble(error) from error
        return row

    def _trouble(self, error: Exception) -> StateError:
        return StateError(f"cannot use the state {self._path}: {error}")


def look_at_file(path: Path) -> None:
    """See whether there is a file of ours, or a place for one; makes nothing. Raises StateError."""
    if not path.exists():
        if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
            raise StateError(f"{path} cannot be made: its folder is not there, or cannot be written by this user")
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise StateError(f"cannot use the state {path}: {error}") from error
    if not os.access(path, os.W_OK):
        raise StateError(f"the state {path} cannot be written by this user")


def _connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    # Made in the thread; the one that reads goes to the event loop, and only there it is used.
    connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    connection.create_function("decayed", 3, decayed, deterministic=True)
    return connection


def _plain(text: str) -> str:
    """Text that can be stored: what a client sent may have halves of surrogates in it."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
