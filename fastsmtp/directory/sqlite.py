"""The directory in a SQLite file, asked synchronously (docs/decisions/0003-sqlite.md says why that is right)."""

import asyncio
import inspect
import math
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, TypeVar

from fastsmtp.directory.layout import BASE_TABLES, OPTIONAL_TABLES, Layout, read_rows
from fastsmtp.directory.logins import LoginRow, login_of, login_question
from fastsmtp.directory.lookup import Rules
from fastsmtp.directory.queries import OwnQueries, own_login_rows, own_rows
from fastsmtp.directory.resolve import Question, Rows, ask, resolve
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Login, Whereabouts
from fastsmtp.smtp.address import Address

__all__ = ["BUSY_TIMEOUT_S", "SqliteDirectory", "is_locked"]

BUSY_TIMEOUT_S: Final = 5.0
"""How long a locked database is waited for, in seconds."""

RECHECK_S: Final = 1.0
"""How long a file that was replaced goes unnoticed, in seconds: looking costs a fifth of a look-up."""

_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

_Answer = TypeVar("_Answer")


def is_locked(error: sqlite3.Error) -> bool:
    """Whether somebody else holds the lock, so that trying again makes sense."""
    # The extended codes (SQLITE_BUSY_RECOVERY, ...) have the plain one in their low byte.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _LOCKED


def _trouble(path: Path, error: object) -> DirectoryError:
    sentence = f"cannot read the directory {path}: {error}"
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DIRECTORY:
        sentence += " (in WAL mode SQLite keeps two files beside it, so the folder must be writable)"
    return DirectoryError(sentence)


class _Reader(ABC):
    """A connection that only reads, and how it answers questions; it waits `timeout_s` seconds for a lock.

    Raises sqlite3.Error everywhere, and DirectoryError where the tables are not what they should be.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        uri = f"{path.as_uri()}?mode=ro"
        self.connection = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)
        # A name that was stored in another encoding must not make the whole answer unreadable.
        self.connection.text_factory = lambda stored: stored.decode(errors="surrogateescape")
        try:
            # For a table without our index, scanning it is quicker than indexing it for a single question.
            self.connection.execute("PRAGMA automatic_index = off")
            self._data_version = self._pragma("data_version")
            self._schema_version = self._pragma("schema_version")
            self._prepare()
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def fetch(self, question: Question) -> Rows:
        """The rows that answer a question."""

    @abstractmethod
    def fetch_login(self, question: Question) -> Sequence[LoginRow]:
        """The rows that answer a question about a login."""

    @abstractmethod
    def _prepare(self) -> None:
        """Look at what can be asked."""

    def notice(self) -> bool:
        """Whether somebody has written since the last call; if they changed the tables, they are looked at anew."""
        version = self._pragma("data_version")
        if version == self._data_version:
            return False
        schema_version = self._pragma("schema_version")
        if schema_version != self._schema_version:
            self._prepare()
            self._schema_version = schema_version
        self._data_version = version
        return True

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def _pragma(self, name: str) -> int:
        value: int = self.connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value


class _TableReader(_Reader):
    """Asks tables: ours, by whatever names."""

    def __init__(self, path: Path, timeout_s: float, layout: Layout) -> None:
        self._layout = layout
        super().__init__(path, timeout_s)

    def fetch(self, question: Question) -> Rows:
        first, second, *_ = (*question.names, None, None)
        sql = self._plain if question.is_ascii else self._beyond_ascii
        return read_rows(self.connection.execute(sql, (question.domain, first, second)))

    def fetch_login(self, question: Question) -> Sequence[LoginRow]:
        sql = self._layout.login_sql("sqlite", self._tables, is_ascii=question.is_ascii)
        try:
            return list(map(LoginRow._make, self.connection.execute(sql, (question.domain, question.names[0]))))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise _trouble(self._path, self._layout.no_logins(error)) from error

    def _prepare(self) -> None:
        self._tables = tables = [table for table in OPTIONAL_TABLES if self._exists(table)]
        for table in (*BASE_TABLES, *tables):
            try:
                self.connection.execute(self._layout.probe(table))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # not what was asked is wrong, but the file
                    raise
                raise _trouble(self._path, self._layout.stranger(table, error)) from error
        self._plain = self._layout.question_sql("sqlite", tables, is_ascii=True)
        self._beyond_ascii = self._layout.question_sql("sqlite", tables, is_ascii=False)

    def _exists(self, table: str) -> bool:
        *_, name = self._layout.name(table)
        return bool(name and self.connection.execute("SELECT 1 FROM pragma_table_info(?)", (name,)).fetchall())


class _QueryReader(_Reader):
    """Asks the operator's own queries."""

    def __init__(self, path: Path, timeout_s: float, queries: OwnQueries) -> None:
        self._queries = queries
        super().__init__(path, timeout_s)

    def fetch(self, question: Question) -> Rows:
        domain = self._ask("domain", domain=question.domain).fetchall()
        if not domain:
            return Rows()
        users: dict[str, tuple[object, ...]] = {}
        for name in question.names:
            if rows := self._ask("recipient", local=name, domain=question.domain).fetchall():
                users[name] = rows[0]
                break
        return own_rows(question, domain[0], users)

    def fetch_login(self, question: Question) -> Sequence[LoginRow]:
        asked = self._queries.login_query  # also where the domain is not ours: the operator shall hear of it
        domain = self._ask("domain", domain=question.domain).fetchone()
        login = self._run("login", asked, domain=question.domain, local=question.names[0]).fetchone()
        return own_login_rows(question, domain, login)

    def _prepare(self) -> None:
        asked = (
            self._ask("domain", domain="directory.invalid"),
            self._ask("recipient", local="postmaster", domain="directory.invalid"),
        )
        self._queries.check_columns(*(len(cursor.description or ()) for cursor in asked))

    def _ask(self, query: Literal["domain", "recipient"], **parameters: str) -> sqlite3.Cursor:
        return self._run(query, getattr(self._queries, query), **parameters)

    def _run(self, query: str, sql: str, **parameters: str) -> sqlite3.Cursor:
        try:
            return self.connection.execute(sql, parameters)
        except sqlite3.Error as error:
            # ProgrammingError is the module's own, for parameters that there are not.
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
                raise
            raise _trouble(self._path, f"directory.queries.{query}: {error}") from error


class SqliteDirectory:
    """Answers at once, from an indexed read; only a locked database makes it an awaitable.

    `postmaster` gets the mail for postmaster where a domain has no such user; `separator` ends the user name before a
    tag ("" for no tags); `layout` says what to ask; `busy_timeout_s` is how many seconds a locked database is waited
    for, `recheck_s` after how many it is looked whether the file was replaced.
    """

    def __init__(
        self,
        path: Path,
        *,
        postmaster: Address | None = None,
        separator: str = "+",
        layout: Layout | OwnQueries | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        recheck_s: float = RECHECK_S,
    ) -> None:
        self._path = path.absolute()
        self._name = str(self._path)
        self._rules = Rules(postmaster, separator)
        self._layout = layout or Layout()
        self._busy_timeout_s = busy_timeout_s
        self._recheck_s = recheck_s
        self._checked_at = -math.inf
        self._reader: _Reader | None = None
        self._file: tuple[int, int] | None = None
        self._has_news = False
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
        return self._answer(lambda reader: ask(resolve(self._rules, address), reader.fetch))

    def find_login(self, address: Address) -> Login | asyncio.Future[Login | None] | None:
        """Whoever may log in under this name; a future while the database is locked. Raises DirectoryError."""
        question = login_question(address)
        if question is None:
            return None
        return self._answer(lambda reader: login_of(reader.fetch_login(question), question))

    def _answer(self, answer: Callable[[_Reader], _Answer]) -> _Answer | asyncio.Future[_Answer]:
        try:
            return answer(self._connect())
        except sqlite3.Error as error:
            if is_locked(error):
                deadline = time.monotonic() + self._busy_timeout_s
                return asyncio.get_running_loop().run_in_executor(self._waiter, self._wait_and_answer, answer, deadline)
            self._disconnect()
            raise _trouble(self._path, error) from error

    def is_changed(self) -> bool:
        """Whether an answer may be another one since the last call (also the first time); costs 6 us.

        While the file cannot be read, nothing is known to have changed: the next `locate` says what is wrong with it.
        """
        try:
            if self._connect().notice():
                self._has_news = True
        except DirectoryError:
            return False
        except sqlite3.Error as error:
            if not is_locked(error):
                self._disconnect()
            return False
        has_news, self._has_news = self._has_news, False
        return has_news

    def _wait_and_answer(self, answer: Callable[[_Reader], _Answer], deadline: float) -> _Answer:
        """In the thread: SQLite itself tries until the lock is gone or `deadline` (monotonic seconds) is past."""
        try:
            with closing(self._new_reader(max(0.0, deadline - time.monotonic()))) as reader:
                return answer(reader)
        except sqlite3.Error as error:
            raise _trouble(self._path, error) from error

    def _connect(self) -> _Reader:
        """The reader of the file that is at the path now; SQLite would go on reading one that was replaced."""
        now = time.monotonic()
        if self._reader is not None and now - self._checked_at < self._recheck_s:
            return self._reader
        self._checked_at = now
        try:
            status = os.stat(self._name)  # noqa: PTH116 - the path object costs as much again
        except OSError as error:
            self._disconnect()
            raise _trouble(self._path, error) from error
        file = status.st_dev, status.st_ino
        if self._reader is None or file != self._file:
            self._disconnect()
            self._reader, self._file = self._new_reader(timeout_s=0), file
            self._has_news = True
        elif self._reader.notice():
            self._has_news = True
        return self._reader

    def _new_reader(self, timeout_s: float) -> _Reader:
        if isinstance(self._layout, OwnQueries):
            return _QueryReader(self._path, timeout_s, self._layout)
        return _TableReader(self._path, timeout_s, self._layout)

    def _disconnect(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
