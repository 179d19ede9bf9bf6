"""The directory that a configuration asks for: a database, and the cache in front of it."""

import inspect
from typing import TYPE_CHECKING, Final

from fastsmtp.config.model import DirectorySettings
from fastsmtp.config.places import SqliteUrl
from fastsmtp.directory.cache import CachedDirectory
from fastsmtp.directory.layout import Layout
from fastsmtp.directory.queries import OwnQueries
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.directory.stored_lists import SqliteLists
from fastsmtp.errors import ConfigurationError
from fastsmtp.ports import Clock, Logins
from fastsmtp.smtp.address import Address
from fastsmtp.stats import Stats

if TYPE_CHECKING:
    from fastsmtp.directory.postgres import PostgresDirectory
    from fastsmtp.directory.stored_lists_postgres import PostgresLists

__all__ = ["cached_directory", "check_logins", "database", "layout", "stored_lists"]

_QUERIES: Final = ("domain", "recipient", "login")  # the last one for sites with AUTH


def layout(settings: DirectorySettings) -> Layout | OwnQueries:
    """How the database is to be asked. Raises ConfigurationError."""
    queries = settings.queries
    if not queries:
        return Layout(settings.tables)
    if settings.tables:
        raise ConfigurationError("directory.tables has no meaning beside directory.queries; leave one of them out")
    if not set(_QUERIES[:2]) <= set(queries) <= set(_QUERIES):
        raise ConfigurationError(
            f"directory.queries: {', '.join(queries)}; write both, domain and recipient, and login for AUTH"
        )
    return OwnQueries(**queries)


def database(
    settings: DirectorySettings, postmaster: Address | None, stats: Stats
) -> "SqliteDirectory | PostgresDirectory":
    """The database itself, where every question is a query. Raises ConfigurationError."""
    if isinstance(settings.url, SqliteUrl):
        return SqliteDirectory(
            settings.url.path,
            postmaster=postmaster,
            separator=settings.subaddress_separator,
            layout=layout(settings),
        )
    # Late: its driver takes half as long to import as all the rest of a worker that does not need it.
    from fastsmtp.directory.postgres import PostgresDirectory

    return PostgresDirectory(
        settings.url,
        postmaster=postmaster,
        separator=settings.subaddress_separator,
        pool_size=settings.pool_size,
        connect_timeout_s=settings.connect_timeout,
        statement_timeout_s=settings.statement_timeout,
        layout=layout(settings),
        listen_url=settings.listen_url,
        stats=stats,
    )


def cached_directory(
    settings: DirectorySettings, postmaster: Address | None, clock: Clock, stats: Stats
) -> CachedDirectory:
    """What the server asks: most answers come from memory. Raises ConfigurationError."""
    return CachedDirectory(
        database(settings, postmaster, stats),
        entries=settings.cache_entries,
        ttl_s=settings.cache_ttl,
        negative_ttl_s=settings.negative_ttl,
        stale_ttl_s=settings.stale_ttl,
        clock=clock,
        stats=stats,
    )


def stored_lists(settings: DirectorySettings) -> "SqliteLists | PostgresLists":
    """The lists that are kept there. Nothing is opened before somebody asks, and then on a connection of its own."""
    if isinstance(settings.url, SqliteUrl):
        return SqliteLists(settings.url.path)
    from fastsmtp.directory.stored_lists_postgres import PostgresLists  # late, as above

    return PostgresLists(
        settings.url, connect_timeout_s=settings.connect_timeout, statement_timeout_s=settings.statement_timeout
    )


async def check_logins(directory: Logins) -> None:
    """Ask for somebody who is nobody. Raises DirectoryError when the directory cannot be asked for logins at all."""
    answer = directory.find_login(Address("nobody", "directory.invalid"))
    if inspect.isawaitable(answer):
        await answer
