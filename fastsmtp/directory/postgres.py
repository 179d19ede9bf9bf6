"""The directory in PostgreSQL: a few connections for questions, and one that hears of changes."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.connect import TROUBLE, Connection, UndefinedTableError, connect, reason
from fastsmtp.directory.database import MissingTableError
from fastsmtp.directory.layout import Layout
from fastsmtp.directory.listener import Listener
from fastsmtp.directory.logins import login_of, login_question
from fastsmtp.directory.lookup import Rules
from fastsmtp.directory.pool import Pool
from fastsmtp.directory.queries import OwnQueries
from fastsmtp.directory.resolve import Question, Rows, ask_later, resolve
from fastsmtp.directory.session import Session, open_session
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Login, Whereabouts
from fastsmtp.smtp.address import Address
from fastsmtp.stats import Stats

__all__ = ["PostgresDirectory"]


class PostgresDirectory:
    """Answers when the database has answered; a question that is not answered in time is trouble, and never "no".

    `postmaster` gets the mail for postmaster where a domain has no such user; `separator` ends the user name before a
    tag ("" for no tags). At most `pool_size` connections are opened, each within `connect_timeout_s` seconds; whoever
    asks waits for `statement_timeout_s` seconds at most, whatever happens, and not at all while the database is known
    to be away. Changes are heard at `listen_url`, which must not lead through a pooler (None: the same as `url`).
    """

    def __init__(
        self,
        url: PostgresUrl,
        *,
        postmaster: Address | None = None,
        separator: str = "+",
        pool_size: int = 4,
        connect_timeout_s: float = 5.0,
        statement_timeout_s: float = 2.0,
        layout: Layout | OwnQueries | None = None,
        listen_url: PostgresUrl | None = None,
        stats: Stats | None = None,
    ) -> None:
        self._url = url
        self._rules = Rules(postmaster, separator)
        self._connect_timeout_s = connect_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._layout = layout or Layout()
        self._listen_url = listen_url or url
        self._pool = Pool(self._open_session, pool_size, statement_timeout_s, stats or Stats())
        self._listener: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and ask something. Raises DirectoryError when that cannot be done, with the reason."""
        await self._pool.open()

    async def close(self) -> None:
        """Close all connections."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
            self._listener = None
        await self._pool.close()

    def locate(self, address: Address) -> Coroutine[object, object, Whereabouts]:
        """Where mail for this address goes, within the statement timeout. Raises DirectoryError when awaited."""
        return self._locate(address)

    async def find_login(self, address: Address) -> Login | None:
        """Whoever may log in under this name, within the statement timeout. Raises DirectoryError."""
        question = login_question(address)
        if question is None:
            return None
        deadline = asyncio.get_running_loop().time() + self._statement_timeout_s
        return login_of(await self._pool.ask(lambda session: session.fetch_login(question), deadline), question)

    def listen(self, changed: Callable[[str | None], None]) -> None:
        """Call `changed` with the canonical name of a domain in which something changed; None stands for all.

        To be called in a running loop, and once. When the database cannot tell of changes, the log says so.
        """
        listener = Listener(
            self._listen_url,
            partial(self._hear, changed),
            connect_timeout_s=self._connect_timeout_s,
            statement_timeout_s=self._statement_timeout_s,
        )
        self._listener = asyncio.get_running_loop().create_task(listener.run())

    async def _locate(self, address: Address) -> Whereabouts:
        deadline = asyncio.get_running_loop().time() + self._statement_timeout_s
        return await ask_later(resolve(self._rules, address), partial(self._fetch, deadline))

    async def _fetch(self, deadline: float, question: Question) -> Rows:
        return await self._pool.ask(lambda session: session.fetch(question), deadline)

    def _hear(self, changed: Callable[[str | None], None], domain: str | None) -> None:
        if domain is None:  # maybe a migration: tables that were not there when we connected
            self._pool.renew()
        changed(domain)

    async def _open_session(self) -> Session:
        """A connection that is known to answer our questions."""
        connection = await connect(self._url, self._connect_timeout_s)
        try:
            return await self._prepare(connection)
        except BaseException:
            connection.terminate()
            raise

    async def _prepare(self, connection: Connection) -> Session:
        try:
            async with asyncio.timeout(self._statement_timeout_s):
                return await open_session(connection, self._layout)
        except UndefinedTableError as error:
            raise MissingTableError(str(self._url), str(error)) from error
        except (DirectoryError, *TROUBLE) as error:
            sentence = f"cannot use the directory {self._url}: {reason(error, self._statement_timeout_s)}"
            raise DirectoryError(sentence) from error
