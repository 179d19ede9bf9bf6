"""Small worlds of domains, users and aliases, and directories that have them: one `Build` for each backend."""

import asyncio
import inspect
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from postgres_worlds import in_foreign_postgres, in_migrated_postgres

from fastsmtp.directory.lookup import is_mailbox_name
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.directory.migrate import migrate_sqlite
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.ports import Directory, Login, Logins, Whereabouts
from fastsmtp.smtp.address import Address, fold

__all__ = ["BACKENDS", "Alias", "Build", "Town", "World", "fill_sqlite"]


class Alias(NamedTuple):
    """One row of an alias."""

    domain: str
    name: str
    target: str
    is_active: bool | None = True


@dataclass(frozen=True, slots=True)
class World:
    """Names as somebody spelled them in a database; what SQL calls NULL is None.

    `users` are keyed by domain and name, with whether they can receive, and so are `logins`, with whether they may log
    in and the hash of their password; whoever is not in it may, but has none. `domain_aliases` say which domain is
    meant, and whether they are active. Every domain of a user or an alias is in `domains`.
    """

    domains: Mapping[str, bool | None]
    users: Mapping[tuple[str, str], bool | None] = field(default_factory=dict)
    quotas: Mapping[tuple[str, str], int | None] = field(default_factory=dict)
    logins: Mapping[tuple[str, str], tuple[bool | None, str | None]] = field(default_factory=dict)
    aliases: Sequence[Alias] = ()
    domain_aliases: Mapping[str, tuple[str, bool | None]] = field(default_factory=dict)
    postmaster: Address | None = None
    separator: str = "+"

    def can_login(self, user: tuple[str, str]) -> bool | None:
        """Whether a user may log in."""
        return self.logins.get(user, (True, None))[0]

    @property
    def mailboxes(self) -> dict[tuple[str, str], tuple[int | None, str | None]]:
        """Quota and password hash of those users of whom there is something to say."""
        return {
            user: (self.quotas.get(user), self.logins.get(user, (True, None))[1])
            for user in self.users
            if user in self.quotas or user in self.logins
        }


Build: TypeAlias = Callable[[Path, World], Directory]
"""Makes a directory of a world; the folder is there and empty, for what has to be put somewhere."""


class Town:
    """An open directory in an event loop of its own; a context manager."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.run(self._directory.open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runner.run(self._directory.close())
        self._runner.close()

    def locate(self, address: Address) -> Whereabouts:
        """Its answer, waited for where it has to be."""
        return self._runner.run(self._locate(address))

    async def _locate(self, address: Address) -> Whereabouts:
        answer = self._directory.locate(address)
        return await answer if inspect.isawaitable(answer) else answer

    def find_login(self, address: Address) -> Login | None:
        """The same for who may log in."""
        return self._runner.run(self._find_login(address))

    async def _find_login(self, address: Address) -> Login | None:
        assert isinstance(self._directory, Logins)
        answer = self._directory.find_login(address)
        return await answer if inspect.isawaitable(answer) else answer


def _is_domain(name: str) -> bool:
    return name.isprintable() and name != "" and " " not in name


def _quoted(name: str, domain: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"@{domain}'


def in_memory(_: Path, world: World) -> Directory:
    """What the memory directory refuses to know is nobody's in a database."""
    directory = MemoryDirectory(postmaster=world.postmaster, separator=world.separator)
    for domain, is_active in world.domains.items():
        if _is_domain(domain):
            directory.add_domain(domain, is_active=bool(is_active))
    for (domain, name), can_receive in world.users.items():
        if is_mailbox_name(fold(name)):
            quota, password_hash = world.mailboxes.get((domain, name), (None, None))
            directory.add_user(
                _quoted(name, domain),
                can_receive=bool(can_receive),
                can_login=bool(world.can_login((domain, name))),
                quota_bytes=quota,
                password_hash=password_hash,
            )
    for alias in world.aliases:
        if alias.is_active:
            name = alias.name if alias.name == "*" else _quoted(alias.name, "")[:-1]
            directory.add_alias(f"{name}@{alias.domain}", alias.target)
    for name, (domain, is_active) in world.domain_aliases.items():
        if _is_domain(domain):
            directory.add_domain_alias(name, domain, is_active=bool(is_active))
    return directory


def fill_sqlite(path: Path, world: World) -> None:
    """Rows as they are spelled, in tables without our constraints, as other programs make them.

    Optional tables are there only where the world has something for them.
    """
    domain_ids = {domain: number for number, domain in enumerate(world.domains)}
    with closing(sqlite3.connect(path)) as database:
        database.executescript("""
            PRAGMA synchronous = off;
            CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
            CREATE TABLE "user" (
                user_id int, domain_id int, can_receive smallint, can_login smallint, username varchar(255)
            );
        """)
        database.executemany(
            "INSERT INTO domain VALUES (?, ?, ?)", [(domain_ids[name], on, name) for name, on in world.domains.items()]
        )
        database.executemany(
            'INSERT INTO "user" VALUES (?, ?, ?, ?, ?)',
            [
                (number, domain_ids[key[0]], on, world.can_login(key), key[1])
                for number, (key, on) in enumerate(world.users.items())
            ],
        )
        if world.aliases:
            database.execute(
                "CREATE TABLE alias (alias_id integer PRIMARY KEY, domain_id int, is_active smallint,"
                " alias_name varchar(255), target varchar(255))"
            )
            database.executemany(
                "INSERT INTO alias (domain_id, is_active, alias_name, target) VALUES (?, ?, ?, ?)",
                [(domain_ids[alias.domain], alias.is_active, alias.name, alias.target) for alias in world.aliases],
            )
        if world.domain_aliases:
            database.execute(
                "CREATE TABLE domain_alias (domain_alias_id integer PRIMARY KEY, alias_name varchar(255),"
                " domain_id int, is_active smallint)"
            )
            database.executemany(
                "INSERT INTO domain_alias (alias_name, domain_id, is_active) VALUES (?, ?, ?)",
                [(name, domain_ids[domain], on) for name, (domain, on) in world.domain_aliases.items()],
            )
        if world.mailboxes:
            database.execute(
                "CREATE TABLE mailbox (user_id integer PRIMARY KEY, quota_bytes bigint, password_hash text)"
            )
            user_ids = {user: number for number, user in enumerate(world.users)}
            database.executemany(
                "INSERT INTO mailbox VALUES (?, ?, ?)",
                [(user_ids[user], *mailbox) for user, mailbox in world.mailboxes.items()],
            )
        database.commit()


def in_foreign_sqlite(folder: Path, world: World) -> Directory:
    """A database of others."""
    fill_sqlite(folder / "directory.db", world)
    return SqliteDirectory(folder / "directory.db", postmaster=world.postmaster, separator=world.separator)


def in_migrated_sqlite(folder: Path, world: World) -> Directory:
    """A database of others that got our tables and indexes."""
    directory = in_foreign_sqlite(folder, world)
    with closing(sqlite3.connect(folder / "directory.db")) as database:
        database.execute("PRAGMA journal_mode = wal")
    migrate_sqlite(folder / "directory.db")
    return directory


BACKENDS: dict[str, Build] = {
    "memory": in_memory,
    "foreign": in_foreign_sqlite,
    "migrated": in_migrated_sqlite,
    "foreign postgres": in_foreign_postgres,
    "migrated postgres": in_migrated_postgres,
}
