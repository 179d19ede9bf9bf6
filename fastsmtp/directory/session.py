"""A connection to PostgreSQL that can answer a Question: from tables, or by the operator's own queries.

Where we are connected to the server itself, statements have a name and are prepared once. Behind a pooler, which may
give each transaction another server process, they have none and are parsed each time, in one go with their execution.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from fastsmtp.directory.connect import (
    TROUBLE,
    Connection,
    Statement,
    UndefinedColumnError,
    is_pooled,
)
from fastsmtp.directory.layout import BASE_TABLES, OPTIONAL_TABLES, Layout, read_rows
from fastsmtp.directory.logins import LoginRow
from fastsmtp.directory.queries import OwnQueries, own_login_rows, own_rows, positional
from fastsmtp.directory.resolve import Question, Rows

__all__ = ["Session", "open_session"]

# Asked once at each connection: it finds out what we may read.
_NOBODY: Final = Question("directory.invalid", ("postmaster",))


class Session(ABC):
    """A connection with its statements."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @abstractmethod
    async def fetch(self, question: Question) -> Rows:
        """The rows that answer a question. Raises TROUBLE."""

    @abstractmethod
    async def fetch_login(self, question: Question) -> Sequence[LoginRow]:
        """The rows that answer a question about a login, which is parsed each time. Raises TROUBLE, DirectoryError."""

    def is_closed(self) -> bool:
        """Whether either side has closed the connection."""
        return self._connection.is_closed()

    async def close(self, timeout_s: float) -> None:
        """Cancel what is under way and close, within so many seconds."""
        try:
            await self._connection.close(timeout=timeout_s)
        except TROUBLE:  # nobody is there to say goodbye to
            self._connection.terminate()


async def open_session(connection: Connection, layout: Layout | OwnQueries) -> Session:
    """Find out what there is, prepare the statements and try them.

    Raises TROUBLE, and DirectoryError where the tables or queries are not what they should be.
    """
    named = not await is_pooled(connection)
    if isinstance(layout, OwnQueries):
        session = await _own_session(connection, layout, named)
    else:
        session = await _table_session(connection, layout, named)
    await session.fetch(_NOBODY)
    return session


class _TableSession(Session):
    def __init__(
        self,
        connection: Connection,
        layout: Layout,
        tables: Sequence[str],
        plain: Statement,
        beyond_ascii: Statement,
    ) -> None:
        super().__init__(connection)
        self._layout = layout
        self._tables = tables
        self._plain = plain
        self._beyond_ascii = beyond_ascii

    async def fetch(self, question: Question) -> Rows:
        statement = self._plain if question.is_ascii else self._beyond_ascii
        # Stored names beyond ASCII all come to be compared here, so none is sent: the database may lack its letters.
        first, second, *_ = (*filter(str.isascii, question.names), None, None)
        return read_rows(await statement.fetch(question.domain, first, second))

    async def fetch_login(self, question: Question) -> Sequence[LoginRow]:
        sql = self._layout.login_sql("postgres", self._tables, is_ascii=question.is_ascii)
        name = question.names[0] if question.names[0].isascii() else None
        try:
            return list(map(LoginRow._make, await self._connection.fetch(sql, question.domain, name)))
        except UndefinedColumnError as error:
            raise self._layout.no_logins(error) from error


class _OwnSession(Session):
    def __init__(self, connection: Connection, queries: OwnQueries, domain: "_Query", recipient: "_Query") -> None:
        super().__init__(connection)
        self._queries = queries
        self._domain = domain
        self._recipient = recipient

    async def fetch(self, question: Question) -> Rows:
        domain = await self._domain.first(domain=question.domain)
        users: dict[str, Any] = {}
        for name in question.names if domain is not None else ():
            user = await self._recipient.first(domain=question.domain, local=name)
            if user is not None:
                users[name] = user
                break
        return own_rows(question, domain, users)

    async def fetch_login(self, question: Question) -> Sequence[LoginRow]:
        sql, parameters = positional(self._queries.login_query)
        query = _Query(await self._connection.prepare(sql), parameters)
        domain = await self._domain.first(domain=question.domain)
        return own_login_rows(question, domain, await query.first(domain=question.domain, local=question.names[0]))


class _Query:
    """A query of the operator's."""

    def __init__(self, statement: Statement, parameters: tuple[str, ...]) -> None:
        self._statement = statement
        self._parameters = parameters

    @property
    def columns(self) -> int:
        return len(self._statement.get_attributes())

    async def first(self, **values: str) -> Any | None:
        rows = await self._statement.fetch(*(values[parameter] for parameter in self._parameters))
        return rows[0] if rows else None


async def _table_session(connection: Connection, layout: Layout, named: bool) -> Session:
    wanted = {layout.table(table): table for table in OPTIONAL_TABLES if layout.name(table) != [""]}
    found = await connection.fetch(
        "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL", list(wanted)
    )
    tables = [wanted[name] for (name,) in found]
    for table in (*BASE_TABLES, *tables):
        try:
            await connection.prepare(layout.probe(table))
        except UndefinedColumnError as error:
            raise layout.stranger(table, error) from error
    plain, beyond_ascii = [
        await connection.prepare(
            layout.question_sql("postgres", tables, is_ascii=is_ascii), name=name if named else None
        )
        for name, is_ascii in (("plain", True), ("beyond_ascii", False))
    ]
    return _TableSession(connection, layout, tables, plain, beyond_ascii)


async def _own_session(connection: Connection, queries: OwnQueries, named: bool) -> Session:
    prepared = []
    for kind, query in (("domain", queries.domain), ("recipient", queries.recipient)):
        sql, parameters = positional(query)
        prepared.append(_Query(await connection.prepare(sql, name=kind if named else None), parameters))
    domain, recipient = prepared
    queries.check_columns(domain.columns, recipient.columns)
    return _OwnSession(connection, queries, domain, recipient)
