"""Records in an SQLite file: appended in batches, the oldest of which go when there are too many or they are too old.

Nothing but the time is indexed. An index on senders and recipients would cost more than all the rest for every message,
and what it would find faster is asked for rarely: `records.search` reads everything: 256 MiB in a few seconds.
"""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self

__all__ = ["LOCK_S", "RecordFile"]

LOCK_S: Final = 5.0
"""How long another process may write before we try again later."""

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE batch (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    written REAL NOT NULL,          -- seconds since the epoch
    records TEXT NOT NULL           -- a JSON array
);
CREATE INDEX batch_written ON batch (written);
CREATE VIEW record AS
    SELECT json_extract(value, '$.time') AS time, json_extract(value, '$.id') AS id,
        json_extract(value, '$.outcome') AS outcome, json_extract(value, '$.remote') AS remote,
        json_extract(value, '$.helo') AS helo, json_extract(value, '$.sender') AS sender,
        json_extract(value, '$.recipients') AS recipients, json_extract(value, '$.reply') AS reply, value AS record
    FROM batch, json_each(batch.records);
"""
_PURGED_AT_ONCE: Final = 64
_VACUUMED_PAGES: Final = 256
_CHECKPOINT_PAGES: Final = 1024
_WAL_BYTES: Final = 8 << 20


class RecordFile:
    """One connection of one thread. Raises sqlite3.Error and OSError, and can be used again afterwards.

    Nothing older than `keep_s` seconds stays, and no more than `limit_bytes` (the log of SQLite besides, some MiB).
    A power cut may cost the last records; it does not harm the others.
    """

    def __init__(self, path: Path, keep_s: float, limit_bytes: int) -> None:
        self.path = path
        self._keep_s = keep_s
        self._limit_bytes = limit_bytes
        self._database: sqlite3.Connection | None = None
        self._identity = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, records: Sequence[bytes], now_s: float) -> None:
        """Write JSON objects, all or none, and let go of as many old ones as it takes, or some of them."""
        database = self._opened()
        database.execute("BEGIN IMMEDIATE")
        try:
            text = b"[" + b",\n".join(records) + b"]"
            # One statement for all of them: each one lets go of the interpreter, and has to get it back.
            database.execute("INSERT INTO batch (written, records) VALUES (?, CAST(? AS TEXT))", (now_s, text))
            self._purge(database, now_s)
            database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has undone it already
                database.execute("ROLLBACK")
            raise

    def purge(self, now_s: float) -> None:
        """Let go of what is too old or too much, however much it is."""
        database = self._opened()
        has_more = True
        while has_more:
            database.execute("BEGIN IMMEDIATE")
            try:
                has_more = self._purge(database, now_s)
            finally:
                database.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _purge(self, database: sqlite3.Connection, now_s: float) -> bool:
        """At most so many batches at once, for others wait meanwhile; whether there is more to do."""
        for _ in range(_PURGED_AT_ONCE):
            oldest = database.execute("SELECT number, written FROM batch ORDER BY number LIMIT 1").fetchone()
            if oldest is None or (oldest[1] >= now_s - self._keep_s and _used(database) <= self._limit_bytes):
                break
            database.execute("DELETE FROM batch WHERE number = ?", oldest[:1])
        else:
            return True
        # Where the limit is lower than it was, the file shrinks; else the room of old records is for new ones.
        for _ in range(_VACUUMED_PAGES):
            if _pragma(database, "page_count") * _pragma(database, "page_size") <= self._limit_bytes * 5 // 4:
                return False
            if not _pragma(database, "freelist_count"):
                return False
            database.execute("PRAGMA incremental_vacuum")  # one page, as the module steps through it
        return True

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None and self._identity != _identity(self.path):
            self.close()  # somebody has taken it away
        if self._database is None:
            self._database = _open(self.path)
            self._identity = _identity(self.path)
        return self._database


def _open(path: Path) -> sqlite3.Connection:
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o640)  # whatever the umask; SQLite gives its other files the same mode
        os.close(descriptor)
    database = sqlite3.connect(path, timeout=LOCK_S, isolation_level=None)
    try:
        _prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _begin_wal(database)
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}").fetchall()
    version = _pragma(database, "user_version")
    if version == 0:
        database.execute("BEGIN IMMEDIATE")
        try:
            if _pragma(database, "user_version") == 0:  # other workers start, too
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {_VERSION}")
        finally:
            database.execute("COMMIT")
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"its tables are of version {version}, and not of {_VERSION}")


def _begin_wal(database: sqlite3.Connection) -> None:
    """Nobody waits for the lock of this one by himself."""
    until = time.monotonic() + LOCK_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _used(database: sqlite3.Connection) -> int:
    """Octets of pages with something in them."""
    return (_pragma(database, "page_count") - _pragma(database, "freelist_count")) * _pragma(database, "page_size")


def _pragma(database: sqlite3.Connection, name: str) -> int:
    with closing(database.execute(f"PRAGMA {name}")) as cursor:
        value: int = cursor.fetchone()[0]
    return value


def _identity(path: Path) -> tuple[int, int]:
    """Which file it is."""
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return 0, 0
