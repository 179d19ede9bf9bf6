"""A directory for the administration, in either database; and the database of another program."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import postgres
import pytest

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.admin import Admin, SqliteAdmin
from fastsmtp.directory.database import Database
from fastsmtp.directory.database_postgres import PostgresDatabase
from fastsmtp.directory.database_sqlite import SqliteDatabase
from fastsmtp.directory.migrate_postgres import migrate_postgres

# The tables of the Maildir plugin of qpsmtpd, with names as people spell them.
QPSMTPD = """
CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username varchar(255));
INSERT INTO domain VALUES (7, 1, 'Example.Test'), (8, NULL, 'B\u00dcCHER.test');
INSERT INTO "user" VALUES (3, 7, 1, 0, 'Joe'), (4, 7, NULL, NULL, 'Ann'), (5, 8, 1, 1, 'ZO\u00cb');
"""


@dataclass
class Place:
    """Where a database is, and what somebody else does to it."""

    url: PostgresUrl | Path

    def connect(self) -> Database:
        return SqliteDatabase(self.url) if isinstance(self.url, Path) else PostgresDatabase(self.url)

    def admin(self) -> Admin:
        return Admin(self.connect())

    def migrate(self) -> None:
        if isinstance(self.url, Path):
            SqliteDatabase(self.url, create=True).close()
        else:
            migrate_postgres(self.url)

    def run(self, script: str) -> None:
        if isinstance(self.url, Path):
            with closing(sqlite3.connect(self.url)) as database:
                database.executescript(script)
        else:
            postgres.run(self.url.dsn, script)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        if not isinstance(self.url, Path):
            return postgres.query(self.url.dsn, statement)
        with closing(sqlite3.connect(self.url)) as database:
            return database.execute(statement).fetchall()


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A database without tables."""
    if request.param == "postgres":
        return Place(PostgresUrl(postgres.shared_server().new_database()))
    path = tmp_path / "directory.db"
    path.touch()
    return Place(path)


@pytest.fixture
def place(empty: Place) -> Place:
    """A database with all of our tables."""
    empty.migrate()
    return empty


@pytest.fixture
def admin(place: Place) -> Iterator[Admin]:
    with place.admin() as admin:
        yield admin


@pytest.fixture(params=["as it is", "migrated"])
def foreign(empty: Place, request: pytest.FixtureRequest) -> Place:
    """A database that another program has made."""
    empty.run(QPSMTPD)
    if request.param == "migrated":
        empty.migrate()
    return empty


@pytest.fixture
def sqlite_admin(tmp_path: Path) -> Iterator[SqliteAdmin]:
    """Where it makes no difference which database it is, this is the quick one."""
    with SqliteAdmin(tmp_path / "directory.db", create=True) as admin:
        yield admin
