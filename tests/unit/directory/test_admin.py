"""The administration as a whole."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import postgres
import pytest
from unit.directory.conftest import Place

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.admin import Admin, DuplicateError, SqliteAdmin, UserRow
from fastsmtp.directory.csv_lines import read_users
from fastsmtp.directory.database_postgres import PostgresDatabase
from fastsmtp.directory.migrate_postgres import migrate_postgres
from fastsmtp.errors import DirectoryError


def test_every_part_is_there(admin: Admin) -> None:
    admin.add_domain("example.test")
    admin.add_user("joe@example.test")
    alias = admin.add_alias("info@example.test", ["joe@example.test"])
    assert admin.warnings(alias) == []
    assert admin.import_users([]).added == 0


def test_it_lets_go_of_the_database(sqlite_admin: SqliteAdmin) -> None:
    with sqlite_admin:
        assert sqlite_admin.list_domains() == []
    with pytest.raises(DirectoryError, match="closed"):
        sqlite_admin.list_domains()


def test_many_at_once(place: Place) -> None:
    def work(number: int) -> int:
        refused = 0
        with place.admin() as admin:
            for user in range(5):
                try:
                    admin.add_domain("example.test")
                except DuplicateError:
                    refused += 1
                admin.add_user(f"user{number}.{user}@example.test")
        return refused

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 19
    with place.admin() as admin:
        assert len(admin.list_users()) == 20


def test_the_rights_that_the_page_for_operators_names_are_enough() -> None:
    owner = PostgresUrl(postgres.shared_server().new_database())
    migrate_postgres(owner)
    name = urlsplit(owner.dsn).path[1:]
    postgres.run(
        owner.dsn,
        f"CREATE ROLE clerk_{name} LOGIN",
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO clerk_{name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk_{name}",
        f"GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO clerk_{name}",
    )
    clerk = PostgresUrl(owner.dsn.replace("//postgres@", f"//clerk_{name}@"))
    with Admin(PostgresDatabase(clerk)) as admin:
        admin.add_domain("example.test")
        admin.add_domain_alias("also.test", "example.test")
        admin.add_user("joe@example.test", quota_bytes=5)
        admin.add_alias("info@example.test", ["joe@example.test"])
        assert admin.import_users(read_users(["address,quota", "ann@example.test,9"])).added == 1
        assert admin.remove_domain("example.test", force=True) == 2


def test_the_schema_itself_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    with SqliteAdmin(path, create=True) as admin:
        admin.add_domain("example.test")
        admin.add_user("joe@example.test")
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA foreign_keys = on")
            for statement in (
                "INSERT INTO domain (domain_name) VALUES ('EXAMPLE.test')",
                "INSERT INTO \"user\" (domain_id, username) VALUES (1, 'JOE')",
                "INSERT INTO \"user\" (domain_id, username) VALUES (2, 'ann')",
                "DELETE FROM domain",
            ):
                with pytest.raises(sqlite3.IntegrityError):
                    database.execute(statement)
            database.execute("INSERT INTO domain (domain_name) VALUES ('other.test')")
            database.execute("INSERT INTO \"user\" (domain_id, username) VALUES (2, 'joe')")
            database.commit()
        assert admin.list_users("other.test") == [UserRow("other.test", "joe", True, True)]
