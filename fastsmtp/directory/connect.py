"""One connection to PostgreSQL, and what went wrong with it as a sentence that has no password in it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from asyncpg import UndefinedColumnError, UndefinedTableError

from fastsmtp.config.places import POSTGRES_FORM, PostgresUrl
from fastsmtp.errors import DirectoryError

__all__ = [
    "TROUBLE",
    "Connection",
    "Statement",
    "UndefinedColumnError",
    "UndefinedTableError",
    "connect",
    "is_pooled",
    "reason",
]

TROUBLE: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg raises when the server refuses, is away, or is none; TimeoutError is an OSError."""

_NO_URL: Final = f"the directory's url {POSTGRES_FORM}"


class Statement(Protocol):
    """A prepared statement."""

    async def fetch(self, *args: object) -> list[Any]:
        """All rows."""
        ...

    def get_attributes(self) -> tuple[object, ...]:
        """The columns that its rows have."""
        ...


class Connection(Protocol):
    """What we use of asyncpg's; the methods raise TROUBLE."""

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """All rows of one statement."""
        ...

    async def execute(self, query: str) -> str:
        """Several statements, without parameters."""
        ...

    async def prepare(self, query: str, *, name: str | None = None) -> Statement:
        """Without a name, the statement is parsed anew each time: nothing of it has to be at the server already."""
        ...

    def add_termination_listener(self, callback: Callable[["Connection"], object]) -> None:
        """Call back when it is closed, by whichever side."""
        ...

    async def add_listener(self, channel: str, callback: Callable[["Connection", int, str, str], object]) -> None:
        """LISTEN; `callback` is given connection, process, channel and payload."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Committed at the end, rolled back on an exception."""
        ...

    def is_closed(self) -> bool:
        """Whether either side has closed it."""
        ...

    def get_server_pid(self) -> int:
        """The process that the server named when we connected; a pooler names something of its own."""
        ...

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - it is asyncpg's
        """Let a cancelled statement end, and say goodbye; without an answer in time the connection is cut."""
        ...

    def terminate(self) -> None:
        """Cut the connection."""
        ...


async def connect(url: PostgresUrl, timeout_s: float) -> Connection:
    """A new connection, within `timeout_s` seconds, TLS and password included. Raises DirectoryError.

    asyncpg reads the URL, `PG...` variables, password file and service file as libpq does. It is told to keep no
    prepared statements, which a pooler between us and the server would lose.
    """
    if not url.makes_sense:
        raise DirectoryError(_NO_URL)
    settings = {"application_name": "fastsmtp"}
    try:
        connection: Connection = await asyncpg.connect(
            url.dsn, timeout=timeout_s, statement_cache_size=0, server_settings=settings
        )
    except TROUBLE as error:
        raise DirectoryError(f"cannot connect to the directory {url}: {reason(error, timeout_s)}") from error
    except ValueError:  # of int(), urllib and others; they say it with pieces of the URL
        raise DirectoryError(_NO_URL) from None
    return connection


async def is_pooled(connection: Connection) -> bool:
    """Whether a pooler stands before the server, which may give each transaction another process. Raises TROUBLE.

    PgBouncer and its like have to tell each client a process and a key of their own, for cancelling.
    """
    [(process,)] = await connection.fetch("SELECT pg_backend_pid()")
    return bool(process != connection.get_server_pid())


def reason(error: BaseException, timeout_s: float) -> str:
    """One line on what went wrong, in something that was given `timeout_s` seconds."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return "; ".join(str(error).splitlines()) or type(error).__name__
