"""Lists that the operator keeps in the directory: the table block_entry, in a SQLite file."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from fastsmtp.directory.database import BUSY_TIMEOUT_S, MissingTableError
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import ListRow, StoredRows

__all__ = ["ROWS", "SqliteLists"]

# The casts are for a table that somebody made with types of their own.
ROWS: Final = (
    "SELECT CAST(entry AS text), coalesce(CAST(reason AS text), '') FROM block_entry"
    " WHERE list = ? AND entry IS NOT NULL ORDER BY 1"
)


class SqliteLists:
    """Implements `StoredLists`. The file is opened when somebody asks, and read in a thread of its own."""

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path.absolute()
        self._busy_timeout_s = busy_timeout_s
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._times_opened = 0

    async def rows(self, name: str, seen: StoredRows | None = None) -> StoredRows:
        """As for all lists; `seen` when nobody has written to the file since."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "lists")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._rows, name, seen)

    async def close(self) -> None:
        """Let go of the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._disconnect)
            thread.shutdown(wait=False)

    def _rows(self, name: str, seen: StoredRows | None) -> StoredRows:
        try:
            connection = self._connected()
            # The version counts what others have written, as this connection has seen it (PRAGMA data_version).
            mark = (self._times_opened, connection.execute("PRAGMA data_version").fetchone()[0])
            if seen is not None and seen.mark == mark:
                return seen
            return StoredRows(mark, tuple(map(ListRow._make, connection.execute(ROWS, (name,)))))
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            if str(error).startswith("no such table"):
                raise MissingTableError(str(self._path), str(error)) from error
            raise DirectoryError(f"cannot read the directory {self._path}: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        """To the file that is at the path now; SQLite would go on reading one that was replaced."""
        status = self._path.stat()
        file = status.st_dev, status.st_ino
        if self._connection is None or file != self._file:
            self._disconnect()
            uri = f"{self._path.as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, timeout=self._busy_timeout_s, isolation_level=None)
            # What is in another encoding must not make all the rest unreadable.
            self._connection.text_factory = lambda stored: stored.decode(errors="replace")
            self._file = file
            self._times_opened += 1
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
