"""`fastsmtp db`: the tables of the directory."""

from pathlib import Path

import click

from fastsmtp.cli.terminal import config_option, say

__all__ = ["db"]


@click.group(short_help="The tables of the directory: migrate.")
def db() -> None:
    """The tables of the directory."""


@db.command()
@config_option
def migrate(config: Path | None) -> None:
    """Make the tables that are missing; those that are there keep their rows and columns.

    A server that runs goes on. A SQLite file is made when there is none.
    """
    from fastsmtp.cli.admin import refuse_foreign
    from fastsmtp.config.file import find_file
    from fastsmtp.config.load import load
    from fastsmtp.config.places import SqliteUrl
    from fastsmtp.directory.admin import SqliteAdmin
    from fastsmtp.directory.migrate import migrate_sqlite
    from fastsmtp.directory.migrate_postgres import migrate_postgres

    directory = load(find_file(config)).directory
    refuse_foreign(directory)
    if not isinstance(directory.url, SqliteUrl):
        done = migrate_postgres(directory.url, connect_timeout_s=directory.connect_timeout)
    elif directory.url.path.exists():
        done = migrate_sqlite(directory.url.path)
    else:
        SqliteAdmin(directory.url.path, create=True).close()
        say(f"{directory.url} is made")
        return
    for migration in done:
        say(f"{migration.name} is done")
    say(f"{directory.url} is up to date")
