"""The directory in a SQLite file, asked synchronously (docs/decisions/0003-sqlite.md says why that is right)."""

import asyncio
import inspect
import math
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

from fastsmtp.directory.lookup import Lookup, Row, Rules
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Whereabouts
from fastsmtp.smtp.address import Address

__all__ = ["BUSY_TIMEOUT_S", "SqliteDirectory", "is_locked"]

BUSY_TIMEOUT_S: Final = 5.0
"""How long a locked database is waited for, in seconds."""

KNOWN_ENTRIES: Final = 10_000
"""Answers that are kept until SQLite says that somebody has written: a look-up costs 49 us, an answer kept 2 us."""

FRESH_S: Final = 0.005
"""For how long nobody asks SQLite whether somebody has written (PRAGMA data_version costs 6 us), in seconds."""

RECHECK_S: Final = 1.0
"""How long a file that was replaced goes unnoticed, in seconds: looking costs a fifth of a look-up."""

# lower() folds ASCII only, as the unique indexes of schema/sqlite/base.sql do. The casts are for tables that somebody
# declared without types. Parameters: the domain, and two user names.
_PLAIN: Final = """
SELECT CAST(d.domain_name AS TEXT), d.is_active, CAST(u.username AS TEXT), u.can_receive
FROM domain AS d
LEFT JOIN "user" AS u ON u.domain_id = d.domain_id AND lower(u.username) IN (?, ?)
WHERE lower(d.domain_name) = ?
"""

# The same, and whatever has a name beyond ASCII: SQL knows neither its U-labels nor its normalization forms. Names
# leave as bytes, since one that was stored in another encoding must not make the whole answer unreadable.
_BEYOND_ASCII: Final = """
WITH name (first, second, domain) AS (VALUES (?, ?, ?)),
ours AS (
    SELECT d.* FROM name JOIN domain AS d ON lower(d.domain_name) = name.domain
    UNION ALL
    SELECT * FROM domain WHERE domain_name GLOB '*[^ -~]*'
)
SELECT CAST(d.domain_name AS BLOB), d.is_active, CAST(u.username AS BLOB), u.can_receive
FROM name JOIN ours AS d
LEFT JOIN "user" AS u ON u.domain_id = d.domain_id AND lower(u.username) IN (name.first, name.second)
UNION ALL
SELECT CAST(d.domain_name AS BLOB), d.is_active, CAST(u.username AS BLOB), u.can_receive
FROM ours AS d
JOIN "user" AS u ON u.domain_id = d.domain_id AND u.username GLOB '*[^ -~]*'
"""

_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_locked(error: sqlite3.Error) -> bool:
    """Whether somebody else holds the lock, so that trying again makes sense."""
    # The extended codes (SQLITE_BUSY_RECOVERY, ...) have the plain one in their low byte.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _LOCKED


def _fetch(connection: sqlite3.Connection, lookup: Lookup) -> list[Row]:
    rows: list[Row] = []
    for part in lookup.parts():
        first, second, *_ = (*part.names, None, None)
        parameters = (first, second, part.domain)
        if part.is_ascii:
            rows += connection.execute(_PLAIN, parameters).fetchall()
        else:
            rows += map(_decode, connection.execute(_BEYOND_ASCII, parameters))
    return rows


def _decode(row: tuple[bytes, int | None, bytes | None, int | None]) -> Row:
    domain, is_active, username, can_receive = row
    name = None if username is None else username.decode(errors="surrogateescape")
    return domain.decode(errors="surrogateescape"), is_active, name, can_receive


class SqliteDirectory:
    """Answers at once, from an indexed read; only a locked database makes it an awaitable.

    `postmaster` gets the mail for postmaster where a domain has no such user; `separator` ends the user name before a
    tag ("" for no tags); `busy_timeout_s` is how many seconds a locked database is waited for, `recheck_s` after how
    many it is looked whether the file was replaced, `fresh_s` whether it was written to.
    """

    def __init__(
        self,
        path: Path,
        *,
        postmaster: Address | None = None,
        separator: str = "+",
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        recheck_s: float = RECHECK_S,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._path = path.absolute()
        self._name = str(self._path)
        self._recheck_s = recheck_s
        self._fresh_s = fresh_s
        self._asked_version_at = -math.inf
        self._checked_at = -math.inf
        self._rules = Rules(postmaster, separator)
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._known: dict[Address, Whereabouts] = {}
        self._version: int | None = None
        # One thread is enough: everybody in it waits for the same lock.
        self._waiter = ThreadPoolExecutor(1, "directory")

    async def open(self) -> None:
        """Ask something. Raises DirectoryError when the file or its tables are not there or stay locked."""
        answer = self.locate(Address("postmaster", "directory.invalid"))
        if inspect.isawaitable(answer):
            await answer

    async def close(self) -> None:
        """Close the file."""
        self._disconnect()
        self._waiter.shutdown(wait=False)

    def locate(self, address: Address) -> Whereabouts | asyncio.Future[Whereabouts]:
        """Where mail for this address goes; a future while the database is locked.

        Raises DirectoryError when the database cannot be read; the next call opens it anew.
        """
        try:
            connection = self._connect()
            if len(self._known) == KNOWN_ENTRIES or self._is_changed(connection):
                self._known.clear()
            if (answer := self._known.get(address)) is None:
                answer = self._known[address] = self._ask(connection, address)
        except sqlite3.Error as error:
            lookup = self._rules.lookup(address)
            if is_locked(error) and isinstance(lookup, Lookup):
                deadline = time.monotonic() + self._busy_timeout_s
                return asyncio.get_running_loop().run_in_executor(self._waiter, self._wait_and_locate, lookup, deadline)
            self._disconnect()
            raise self._trouble(error) from error
        return answer

    def _is_changed(self, connection: sqlite3.Connection) -> bool:
        """Whether somebody has written since we looked last; we look at most once in `fresh_s`."""
        now = time.monotonic()
        if now - self._asked_version_at < self._fresh_s:
            return False
        self._asked_version_at = now
        before = self._version
        (self._version,) = connection.execute("PRAGMA data_version").fetchone()
        return before != self._version

    def _ask(self, connection: sqlite3.Connection, address: Address) -> Whereabouts:
        lookup = self._rules.lookup(address)
        return lookup.answer(_fetch(connection, lookup)) if isinstance(lookup, Lookup) else lookup

    def _wait_and_locate(self, lookup: Lookup, deadline: float) -> Whereabouts:
        """In the thread: SQLite itself tries until the lock is gone or `deadline` (monotonic seconds) is past."""
        try:
            with closing(self._new_connection(max(0.0, deadline - time.monotonic()))) as connection:
                return lookup.answer(_fetch(connection, lookup))
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _connect(self) -> sqlite3.Connection:
        """The connection to the file that is at the path now; SQLite would go on reading one that was replaced."""
        now = time.monotonic()
        if self._connection is not None and now - self._checked_at < self._recheck_s:
            return self._connection
        self._checked_at = now
        try:
            status = os.stat(self._name)  # noqa: PTH116 - the path object costs as much again
        except OSError as error:
            self._disconnect()
            raise self._trouble(error) from error
        file = status.st_dev, status.st_ino
        if self._connection is None or file != self._file:
            self._disconnect()
            self._connection, self._file = self._new_connection(timeout_s=0), file
        return self._connection

    def _new_connection(self, timeout_s: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=ro", uri=True, timeout=timeout_s, isolation_level=None
        )
        # For a table without our index, scanning it is quicker than indexing it for a single question.
        connection.execute("PRAGMA automatic_index = off")
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._known.clear()
            self._asked_version_at = -math.inf

    def _trouble(self, error: Exception) -> DirectoryError:
        sentence = f"cannot read the directory {self._path}: {error}"
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DIRECTORY:
            sentence += " (in WAL mode SQLite keeps two files beside it, so the folder must be writable)"
        return DirectoryError(sentence)
