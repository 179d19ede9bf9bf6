"""Who exists, for the command line: everything that changes domains, users, aliases and lists, in either database.

Its parts are admin_domains, admin_users, admin_aliases, admin_blocks and admin_import. Each statement is written once;
database_sqlite and database_postgres carry it out.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from fastsmtp.directory.admin_aliases import AliasAdmin
from fastsmtp.directory.admin_blocks import BlockAdmin
from fastsmtp.directory.admin_domains import DomainAdmin
from fastsmtp.directory.admin_import import AdminImport, Imported, RefusedImportError
from fastsmtp.directory.admin_rows import (
    AliasList,
    BlockRow,
    DomainAlias,
    DomainInUseError,
    DomainRow,
    DuplicateError,
    UnknownAliasError,
    UnknownDomainError,
    UnknownEntryError,
    UnknownUserError,
    UserRow,
)
from fastsmtp.directory.alias_warnings import AliasWarnings
from fastsmtp.directory.database import BUSY_TIMEOUT_S
from fastsmtp.directory.database_sqlite import SqliteDatabase
from fastsmtp.directory.lookup import Rules
from fastsmtp.directory.names import AdminError, BadAddressError, BadEntryError, MailboxNameError

__all__ = [
    "Admin",
    "AdminError",
    "AliasList",
    "BadAddressError",
    "BadEntryError",
    "BlockRow",
    "DomainAlias",
    "DomainInUseError",
    "DomainRow",
    "DuplicateError",
    "Imported",
    "MailboxNameError",
    "RefusedImportError",
    "SqliteAdmin",
    "UnknownAliasError",
    "UnknownDomainError",
    "UnknownEntryError",
    "UnknownUserError",
    "UserRow",
]


class Admin(DomainAdmin, AliasAdmin, BlockAdmin, AliasWarnings, AdminImport):
    """Changes a directory, each change in a transaction of its own; a context manager that closes the database.

    Every method raises DirectoryError when the database cannot be used, and an AdminError when the change makes no
    sense.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


class SqliteAdmin(Admin):
    """The administration of a SQLite file.

    With `create` the file, the tables, the indexes and WAL mode are made where they are missing; a database that is
    already there keeps its rows. Other writers are waited for `busy_timeout_s` seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        rules: Rules | None = None,
    ) -> None:
        super().__init__(SqliteDatabase(path, create=create, busy_timeout_s=busy_timeout_s), rules)
