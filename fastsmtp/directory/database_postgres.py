"""A PostgreSQL database, as the administration uses it: asyncpg, driven from a program that does not wait."""

import asyncio
import re
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count as count_from
from typing import Any, Final, TypeVar

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.connect import TROUBLE, UndefinedTableError, connect, reason
from fastsmtp.directory.database import BUSY_TIMEOUT_S, MissingTableError, Row
from fastsmtp.errors import DirectoryError

__all__ = ["PostgresDatabase", "postgres_statement"]

_Result = TypeVar("_Result")

_PLACE: Final = re.compile(r"\?")
_FOLDED: Final = re.compile(r"lower\(([\w.]+)\)")
_BEYOND_ASCII: Final = re.compile(r"GLOB '\*(\[\^ -~\])\*'")

# Whoever reads goes on reading, whoever writes waits: without our unique indexes nothing else keeps two from adding the
# same name. Everybody takes the locks in this order.
_LOCK: Final = 'LOCK TABLE domain, "user" IN SHARE ROW EXCLUSIVE MODE'


@lru_cache(maxsize=256)
def postgres_statement(statement: str) -> str:
    """A statement that was written for SQLite, as PostgreSQL takes it.

    `?` is numbered, lower() folds ASCII only (the "C" collation), and "beyond ASCII" is a regular expression: as the
    indexes of schema/postgres/base.sql have it.
    """
    statement = _FOLDED.sub(r'lower(\1 COLLATE "C")', statement)
    statement = _BEYOND_ASCII.sub(r"~ '\1'", statement)
    numbers = count_from(1)
    return _PLACE.sub(lambda _: f"${next(numbers)}", statement)


class PostgresDatabase:
    """Implements `Database`.

    The server may take `connect_timeout_s` seconds to let us in; other writers are waited for `busy_timeout_s`
    seconds. It has an event loop of its own, so it cannot be used inside of another one. Raises DirectoryError.
    """

    def __init__(
        self, url: PostgresUrl, *, connect_timeout_s: float = 5.0, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self.name = str(url)
        self._busy_timeout_s = busy_timeout_s
        self._runner = asyncio.Runner()
        try:
            self._connection: Any = self._runner.run(connect(url, connect_timeout_s))
        except BaseException:
            self._runner.close()
            raise

    def execute(self, statement: str, *values: object) -> list[Row]:
        """All rows of one statement; outside of a transaction, which a pooler needs, it has one of its own."""
        if not self._connection.is_in_transaction():
            with self._transaction():
                return self.execute(statement, *values)
        records = self._run(self._connection.fetch(postgres_statement(statement), *values))
        return [tuple(record) for record in records]

    def execute_many(self, statement: str, rows: Iterable[Row]) -> None:
        """A statement that writes, once for each row of values."""
        self._run(self._connection.executemany(postgres_statement(statement), rows))

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Many new rows, by COPY."""
        self._run(self._connection.copy_records_to_table(table, columns=columns, records=rows))

    def new_ids(self, table: str, column: str, count: int = 1) -> range:
        """So many numbers that no row has; the sequence of the column, where there is one, goes on behind them."""
        if not count:
            return range(0)
        quoted = f'"{table}"'
        [(sequence,)] = self.execute("SELECT pg_get_serial_sequence(?, ?)", quoted, column)
        [(highest,)] = self.execute(f"SELECT coalesce(max({column}), 0) FROM {quoted}")  # noqa: S608 - our own names
        first: int = highest + 1
        if sequence is not None:
            # A sequence is behind where somebody gave rows their numbers by hand.
            [(following,)] = self.execute("SELECT nextval(CAST(CAST(? AS text) AS regclass))", sequence)
            first = max(first, following)
            self.execute("SELECT setval(CAST(CAST(? AS text) AS regclass), ?)", sequence, first + count - 1)
        return range(first, first + count)

    def tables(self) -> frozenset[str]:
        """The names of the tables that are found without their schema's name."""
        rows = self.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'f') AND pg_table_is_visible(oid)"
        )
        return frozenset(name for (name,) in rows)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A transaction in which all statements see the same moment."""
        with self._transaction(isolation="repeatable_read", readonly=True):
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A transaction that writes, with the lock from its start on."""
        with self._transaction():
            self.execute("SELECT set_config('lock_timeout', ?, true)", f"{self._busy_timeout_s * 1000:.0f}ms")
            self.execute(_LOCK)
            yield

    def close(self) -> None:
        """Close the connection."""
        if not self._connection.is_closed():
            self._runner.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        try:
            await self._connection.close(timeout=self._busy_timeout_s)
        except (TimeoutError, OSError):
            self._connection.terminate()

    @contextmanager
    def _transaction(self, **options: Any) -> Iterator[None]:
        transaction = self._connection.transaction(**options)
        self._run(transaction.start())
        try:
            yield
        except BaseException:
            # When the connection is gone, the transaction is, too; what broke it is what has to be told.
            if not self._connection.is_closed():
                self._run(transaction.rollback())
            raise
        self._run(transaction.commit())

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        with self._errors():
            return self._runner.run(work)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UndefinedTableError as error:
            raise MissingTableError(self.name, str(error)) from error
        except TROUBLE as error:
            raise DirectoryError(
                f"cannot use the directory {self.name}: {reason(error, self._busy_timeout_s)}"
            ) from error
