"""Domains and users of a SQLite directory, for the command line: everything that changes them is here."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fastsmtp.directory.lookup import same_domain
from fastsmtp.directory.names import (
    AdminError,
    BadAddressError,
    MailboxNameError,
    read_address,
    read_domain,
    read_new_address,
)
from fastsmtp.directory.sqlite import BUSY_TIMEOUT_S, is_locked
from fastsmtp.errors import DirectoryError
from fastsmtp.smtp.address import Address, AddressError, canonical_domain, fold

__all__ = [
    "AdminError",
    "BadAddressError",
    "DomainInUseError",
    "DomainRow",
    "DuplicateError",
    "MailboxNameError",
    "SqliteAdmin",
    "UnknownDomainError",
    "UnknownUserError",
    "UserRow",
]

_LOCK_RETRY_S: Final = 0.01


class DuplicateError(AdminError):
    """The domain or user is there already."""


class UnknownDomainError(AdminError):
    """The domain is not in the directory."""


class UnknownUserError(AdminError):
    """The user is not in the directory."""


class DomainInUseError(AdminError):
    """The domain still has users."""


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A domain in its canonical form, and how many users it has."""

    name: str
    is_active: bool
    users: int


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user: canonical domain, folded name, and what they may do."""

    domain: str
    name: str
    can_receive: bool
    can_login: bool

    @property
    def address(self) -> str:
        """The address as it is written, with quotes where the name needs them."""
        return str(Address(self.name, self.domain))


def _shown(stored: str) -> str:
    """A stored domain name in its canonical form, or as it is when it has none."""
    try:
        return canonical_domain(stored)
    except AddressError:
        return stored


class SqliteAdmin:
    """Changes a SQLite directory, each change in a transaction of its own; a context manager.

    With `create` the file, the tables, the indexes and WAL mode are made where they are missing; a database that is
    already there keeps its rows. Other writers are waited for `busy_timeout_s` seconds. Every method raises
    DirectoryError when the file cannot be used, and an AdminError when the change makes no sense.
    """

    def __init__(self, path: Path, *, create: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path.absolute()
        self._busy_timeout_s = busy_timeout_s
        with self._errors():
            uri = f"{self._path.as_uri()}?mode={'rwc' if create else 'rw'}"
            self._db = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)
        self._db.text_factory = lambda stored: stored.decode(errors="replace")
        try:
            with self._errors():
                self._db.execute("PRAGMA foreign_keys = on")
                if create:
                    self._create()
        except DirectoryError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def add_domain(self, domain: str, *, is_active: bool = True) -> DomainRow:
        """Make a domain ours. Raises BadAddressError, DuplicateError."""
        name = read_domain(domain)
        with self._change():
            if self._domain_ids(name):
                raise DuplicateError(f"the domain {name} is here already")
            # Tables that were not made by us may not count by themselves.
            self._db.execute(
                "INSERT INTO domain (domain_id, is_active, domain_name)"
                " SELECT coalesce(max(domain_id), 0) + 1, ?, ? FROM domain",
                (is_active, name),
            )
        return DomainRow(name, is_active, users=0)

    def list_domains(self) -> list[DomainRow]:
        """All domains, by name."""
        with self._errors():
            rows = self._db.execute(
                "SELECT coalesce(CAST(d.domain_name AS TEXT), ''), d.is_active, count(u.domain_id)"
                ' FROM domain AS d LEFT JOIN "user" AS u ON u.domain_id = d.domain_id GROUP BY d.rowid'
            ).fetchall()
        return sorted(
            (DomainRow(_shown(name), bool(active), users) for name, active, users in rows), key=lambda row: row.name
        )

    def set_domain_active(self, domain: str, is_active: bool) -> None:
        """Switch a domain on or off. Raises BadAddressError, UnknownDomainError."""
        name = read_domain(domain)
        with self._change():
            for domain_id in self._known_domain_ids(name):
                self._db.execute("UPDATE domain SET is_active = ? WHERE domain_id = ?", (is_active, domain_id))

    def remove_domain(self, domain: str, *, force: bool = False) -> int:
        """Forget a domain, with `force` its users too; returns how many users that were.

        Raises BadAddressError, UnknownDomainError, and DomainInUseError when it has users (without `force`).
        """
        name = read_domain(domain)
        removed = 0
        with self._change():
            for domain_id in self._known_domain_ids(name):
                removed += self._db.execute('DELETE FROM "user" WHERE domain_id = ?', (domain_id,)).rowcount
                self._db.execute("DELETE FROM domain WHERE domain_id = ?", (domain_id,))
            if removed and not force:  # the transaction is rolled back
                raise DomainInUseError(f"the domain {name} still has users: {removed}")
        return removed

    def add_user(self, address: str, *, can_receive: bool = True, can_login: bool = True) -> UserRow:
        """Add a user to a domain of ours.

        Raises BadAddressError, MailboxNameError, UnknownDomainError, DuplicateError.
        """
        user = read_new_address(address)
        row = UserRow(user.domain, user.folded_local, can_receive, can_login)
        with self._change():
            domain_ids = self._known_domain_ids(row.domain)
            if self._user_rowids(user, domain_ids):
                raise DuplicateError(f"the user {row.address} is here already")
            self._db.execute(
                'INSERT INTO "user" (user_id, domain_id, can_receive, can_login, username)'
                ' SELECT coalesce(max(user_id), 0) + 1, ?, ?, ?, ? FROM "user"',
                (domain_ids[0], can_receive, can_login, row.name),
            )
        return row

    def list_users(self, domain: str | None = None) -> list[UserRow]:
        """The users of one domain or of all, by domain and name. Raises BadAddressError, UnknownDomainError."""
        with self._errors():
            chosen = [None] if domain is None else self._known_domain_ids(read_domain(domain))
            rows = [
                UserRow(_shown(name), fold(user), bool(can_receive), bool(can_login))
                for domain_id in chosen
                for name, user, can_receive, can_login in self._db.execute(
                    "SELECT CAST(d.domain_name AS TEXT), CAST(u.username AS TEXT), u.can_receive, u.can_login"
                    ' FROM domain AS d JOIN "user" AS u ON u.domain_id = d.domain_id'
                    " WHERE (?1 IS NULL OR d.domain_id = ?1)"
                    " AND d.domain_name IS NOT NULL AND u.username IS NOT NULL",
                    (domain_id,),
                )
            ]
        return sorted(rows, key=lambda row: (row.domain, row.name))

    def set_user(self, address: str, *, can_receive: bool | None = None, can_login: bool | None = None) -> UserRow:
        """Change what a user may do; None leaves a permission alone.

        Raises BadAddressError, UnknownDomainError, UnknownUserError.
        """
        user = read_address(address)
        with self._change():
            for rowid in self._known_user_rowids(user):
                receives, logs_in = self._db.execute(
                    'UPDATE "user" SET can_receive = coalesce(?, can_receive), can_login = coalesce(?, can_login)'
                    " WHERE rowid = ? RETURNING can_receive, can_login",
                    (can_receive, can_login, rowid),
                ).fetchall()[0]
        return UserRow(user.domain, user.folded_local, bool(receives), bool(logs_in))

    def remove_user(self, address: str) -> None:
        """Forget a user; the mail stays. Raises BadAddressError, UnknownDomainError, UnknownUserError."""
        user = read_address(address)
        with self._change():
            for rowid in self._known_user_rowids(user):
                self._db.execute('DELETE FROM "user" WHERE rowid = ?', (rowid,))

    def _create(self) -> None:
        base = resources.files("fastsmtp_schema").joinpath("sqlite", "base.sql").read_text()
        self._use_wal()
        self._db.executescript(f"BEGIN IMMEDIATE;\n{base}\nCOMMIT;")

    def _use_wal(self) -> None:
        """Switch to WAL; SQLite does not wait by itself for others who are doing the same at this moment."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = wal")
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_LOCK_RETRY_S)
            else:
                return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DirectoryError(f"cannot use the directory {self._path}: {error}") from error

    @contextmanager
    def _change(self) -> Iterator[None]:
        """A write transaction: nobody else writes between what is read in it and what it writes."""
        with self._errors(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def _domain_ids(self, name: str) -> list[int]:
        """The domain of this canonical name, in whatever spelling; a database of others may have it more than once."""
        rows = self._db.execute(
            "SELECT domain_id, CAST(domain_name AS TEXT) FROM domain"
            " WHERE lower(domain_name) = ? OR domain_name GLOB '*[^ -~]*' ORDER BY is_active DESC",
            (name,),
        )
        return [domain_id for domain_id, stored in rows if same_domain(stored, name)]

    def _known_domain_ids(self, name: str) -> list[int]:
        if found := self._domain_ids(name):
            return found
        raise UnknownDomainError(f"the domain {name} is not in the directory")

    def _user_rowids(self, user: Address, domain_ids: list[int]) -> list[int]:
        return [
            rowid
            for domain_id in domain_ids
            for rowid, stored in self._db.execute(
                'SELECT rowid, CAST(username AS TEXT) FROM "user"'
                " WHERE domain_id = ? AND (lower(username) = ? OR username GLOB '*[^ -~]*')",
                (domain_id, user.folded_local),
            )
            if fold(stored) == user.folded_local
        ]

    def _known_user_rowids(self, user: Address) -> list[int]:
        if found := self._user_rowids(user, self._known_domain_ids(user.domain)):
            return found
        raise UnknownUserError(f"the user {user} is not in the directory")
