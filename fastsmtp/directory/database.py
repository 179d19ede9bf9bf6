"""What the administration needs of a database, so that each of its statements is written once."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeAlias

from fastsmtp.errors import DirectoryError

__all__ = ["BUSY_TIMEOUT_S", "Database", "MissingTableError", "Row"]

BUSY_TIMEOUT_S: Final = 5.0
"""How long other writers are waited for, in seconds."""

Row: TypeAlias = tuple[Any, ...]


class MissingTableError(DirectoryError):
    """The database is there, a table is not."""

    def __init__(self, name: str, complaint: str) -> None:
        super().__init__(f"cannot use the directory {name}: {complaint}; to make what is missing: fastsmtp db migrate")


class Database(Protocol):
    """A connection. Statements are written as for SQLite, with `?` for values; truth values are 0 and 1.

    Every method raises DirectoryError when the database cannot be used, MissingTableError when a table is not there.
    """

    name: str
    """What messages call it; without a password."""

    def execute(self, statement: str, *values: object) -> list[Row]:
        """All rows of one statement; what only writes has none (but for `RETURNING`)."""
        ...

    def execute_many(self, statement: str, rows: Iterable[Row]) -> None:
        """A statement that writes, once for each row of values."""
        ...

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Many new rows, by the quickest road there is."""
        ...

    def new_ids(self, table: str, column: str, count: int = 1) -> range:
        """So many numbers that no row of the table has; to be used in the same change."""
        ...

    def tables(self) -> frozenset[str]:
        """The names of the tables that statements can use."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """A transaction in which all statements see the same moment."""
        ...

    def changing(self) -> AbstractContextManager[None]:
        """A transaction that writes: nobody else writes between what is read in it and what it writes."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
