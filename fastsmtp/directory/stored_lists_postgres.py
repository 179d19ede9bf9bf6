"""The same lists in PostgreSQL."""

import asyncio
from typing import Final

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.connect import TROUBLE, Connection, UndefinedTableError, connect, reason
from fastsmtp.directory.database import MissingTableError
from fastsmtp.directory.database_postgres import postgres_statement
from fastsmtp.directory.stored_lists import ROWS
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import ListRow, StoredRows

__all__ = ["PostgresLists"]

# Another one after any change, whoever made it: a table or a view of another program has no triggers of ours.
_MARK: Final = (
    "SELECT count(*), sum(CAST(hashtextextended("
    "(CAST(entry AS text) || chr(31) || coalesce(CAST(reason AS text), '')) COLLATE \"C\", 0) AS numeric))"
    " FROM block_entry WHERE list = ? AND entry IS NOT NULL"
)


class PostgresLists:
    """Implements `StoredLists`, on one connection, made when somebody asks and as often as it was cut.

    It takes `connect_timeout_s` seconds at most, and a question `statement_timeout_s`.
    """

    def __init__(self, url: PostgresUrl, *, connect_timeout_s: float = 5.0, statement_timeout_s: float = 2.0) -> None:
        self._url = url
        self._connect_timeout_s = connect_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._connection: Connection | None = None
        self._one_at_a_time = asyncio.Lock()

    async def rows(self, name: str, seen: StoredRows | None = None) -> StoredRows:
        """As for all lists; `seen` when it is still the same."""
        async with self._one_at_a_time:
            connection = self._connection
            if connection is None or connection.is_closed():
                self._connection = connection = await connect(self._url, self._connect_timeout_s)
            try:
                async with asyncio.timeout(self._statement_timeout_s):
                    return await _ask(connection, name, seen)
            except UndefinedTableError as error:
                raise MissingTableError(str(self._url), str(error)) from error
            except TROUBLE as error:
                self._connection = None
                connection.terminate()
                why = reason(error, self._statement_timeout_s)
                raise DirectoryError(f"cannot use the directory {self._url}: {why}") from error

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=self._statement_timeout_s)
            except TROUBLE:  # it is gone then, too
                connection.terminate()


async def _ask(connection: Connection, name: str, seen: StoredRows | None) -> StoredRows:
    # First the mark: what is changed between the two is read again the next time.
    [mark] = await connection.fetch(postgres_statement(_MARK), name)
    if seen is not None and seen.mark == tuple(mark):
        return seen
    rows = await connection.fetch(postgres_statement(ROWS), name)
    return StoredRows(tuple(mark), tuple(map(ListRow._make, rows)))
