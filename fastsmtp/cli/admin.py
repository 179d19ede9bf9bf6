"""The directory that commands look at and change."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fastsmtp.config.model import DirectorySettings, Settings
    from fastsmtp.directory.admin import Admin
    from fastsmtp.directory.csv_lines import Quota

__all__ = ["QUOTA", "connect_admin", "limit", "open_admin", "refuse_foreign", "yes_no"]


@contextmanager
def open_admin(config: Path | None, *, make: bool = False) -> Iterator["Admin"]:
    """The directory of this configuration, open for changes; `make` a file where there is none yet.

    Raises ConfigurationError, DirectoryError.
    """
    from fastsmtp.config.file import find_file
    from fastsmtp.config.load import load

    with connect_admin(load(find_file(config)), make=make) as admin:
        yield admin


def connect_admin(settings: "Settings", *, make: bool = False) -> "Admin":
    """The same for settings; a context manager. Raises ConfigurationError, DirectoryError."""
    from fastsmtp.config.places import SqliteUrl
    from fastsmtp.directory.admin import Admin, SqliteAdmin
    from fastsmtp.directory.lookup import Rules

    directory = settings.directory
    refuse_foreign(directory)
    rules = Rules(settings.postmaster, directory.subaddress_separator)
    if isinstance(directory.url, SqliteUrl):
        path = directory.url.path
        # An existing file is somebody's: it gets no tables, indexes or journal mode of ours for the asking.
        return SqliteAdmin(path, create=make and not path.exists(), rules=rules)
    from fastsmtp.directory.database_postgres import PostgresDatabase

    return Admin(PostgresDatabase(directory.url, connect_timeout_s=directory.connect_timeout), rules)


def refuse_foreign(directory: "DirectorySettings") -> None:
    """Raises ConfigurationError when the tables are those of another program."""
    from fastsmtp.errors import ConfigurationError

    if directory.tables or directory.queries:
        raise ConfigurationError(
            "[directory] tables and queries: this database belongs to another program; change it with that one's tools"
        )


class _QuotaType(click.ParamType["Quota"]):
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> "Quota":
        from fastsmtp.directory.csv_lines import read_quota
        from fastsmtp.directory.names import AdminError

        try:
            return read_quota(str(value))
        except AdminError as error:
            self.fail(str(error), param, ctx)


QUOTA = _QuotaType()
"""A size, or `none` for no limit."""


def limit(quota: "Quota") -> int | None:
    """A quota as the database has it."""
    return None if quota == "none" else quota


def yes_no(value: bool) -> str:
    """A truth value in a table."""
    return "yes" if value else "no"
