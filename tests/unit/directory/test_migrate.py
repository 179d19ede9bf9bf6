"""Tables that are brought up to date: what was there stays, what is there already is left alone."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from fastsmtp.directory.layout import OPTIONAL_TABLES, Layout
from fastsmtp.directory.migrate import Migration, migrate_sqlite, migrations, pending
from fastsmtp.errors import DirectoryError

ALL = ["base.sql", "0002_aliases.sql", "0003_mailbox.sql", "0004_block_entry.sql"]
INDEXES = {
    "domain_number",
    *(
        f"{table}_{kind}"
        for table in ("domain", "user", "alias", "domain_alias")
        for kind in ("folded_name", "beyond_ascii")
    ),
}
HAND_MADE = """
CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username varchar(255));
INSERT INTO domain VALUES (7, 1, 'Example.Test'), (8, NULL, 'other.test');
INSERT INTO "user" VALUES (3, 7, 1, 0, 'Joe'), (4, 8, NULL, NULL, 'Ann');
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory.db"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM")  # makes the file
        yield connection


def names(done: list[Migration]) -> list[str]:
    return [migration.name for migration in done]


def schema(database: sqlite3.Connection) -> set[tuple[str, str]]:
    return set(database.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))


def test_every_file_of_the_schema_is_a_migration() -> None:
    for dialect in ("sqlite", "postgres"):
        files = {file.name for file in resources.files("fastsmtp_schema").joinpath(dialect).iterdir()}
        found = migrations(dialect)
        assert set(names(found)) == files
        assert [migration.number for migration in found] == list(range(1, len(files) + 1))
        assert names(found)[0] == "base.sql"
    assert names(migrations("sqlite")) == ALL


def test_what_is_pending() -> None:
    assert names(pending("sqlite", [])) == ALL
    assert names(pending("sqlite", {1, 3})) == ["0002_aliases.sql", "0004_block_entry.sql"]
    assert pending("sqlite", {1, 2, 3, 4, 99}) == []


def test_an_empty_database(database: sqlite3.Connection, path: Path) -> None:
    assert names(migrate_sqlite(path)) == ALL
    assert migrate_sqlite(path) == []
    assert database.execute("SELECT version FROM schema_version").fetchall() == [(1,), (2,), (3,), (4,)]
    tables = {name for kind, name in schema(database) if kind == "table"}
    assert tables == {
        "domain",
        "user",
        "alias",
        "domain_alias",
        "mailbox",
        "domain_setting",
        "block_entry",
        "schema_version",
    }


def test_a_database_that_was_made_by_hand(database: sqlite3.Connection, path: Path) -> None:
    database.executescript(HAND_MADE)
    before = list(database.iterdump())
    assert names(migrate_sqlite(path)) == ALL
    assert set(before) <= set(database.iterdump())
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    with closing(sqlite3.connect(":memory:")) as new:
        for migration in migrations("sqlite"):
            new.executescript(migration.sql)
        assert schema(new) | {("table", "schema_version")} == schema(database)


def test_one_that_has_some_of_it(database: sqlite3.Connection, path: Path) -> None:
    for migration in migrations("sqlite"):
        database.executescript(migration.sql)
    database.execute("INSERT INTO alias (domain_id, alias_name, target) VALUES (1, 'team', 'joe@example.test')")
    assert names(migrate_sqlite(path)) == ALL
    assert database.execute("SELECT count(*) FROM alias").fetchone() == (1,)


def test_a_migration_that_fails_leaves_nothing_of_itself(database: sqlite3.Connection, path: Path) -> None:
    database.executescript(HAND_MADE)
    database.execute("CREATE TABLE mailbox (username text)")
    database.execute("CREATE VIEW domain_setting AS SELECT 1")
    before = schema(database)
    database.execute("CREATE TABLE alias (address text, goto text)")
    with pytest.raises(DirectoryError, match=r"directory\.db: no such column: domain_id \(done before: base\.sql\)"):
        migrate_sqlite(path)
    assert database.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
    assert ("table", "domain_alias") not in schema(database)
    database.execute("DROP TABLE alias")
    assert names(migrate_sqlite(path)) == ALL[1:]
    assert before <= schema(database)


def test_names_that_clash_are_told(database: sqlite3.Connection, path: Path) -> None:
    database.executescript(HAND_MADE)
    database.execute("INSERT INTO domain VALUES (9, 1, 'EXAMPLE.TEST')")
    before = schema(database)
    with pytest.raises(DirectoryError, match=r"UNIQUE constraint failed: index 'domain_folded_name'$"):
        migrate_sqlite(path)
    assert schema(database) == before


def test_a_missing_file_is_not_made(path: Path) -> None:
    with pytest.raises(DirectoryError, match="unable to open"):
        migrate_sqlite(path)
    assert not path.exists()


def test_another_writer_is_waited_for_but_not_for_ever(database: sqlite3.Connection, path: Path) -> None:
    database.execute("BEGIN IMMEDIATE")
    with pytest.raises(DirectoryError, match="locked"):
        migrate_sqlite(path, busy_timeout_s=0.05)
    database.execute("ROLLBACK")
    assert names(migrate_sqlite(path)) == ALL


def test_many_at_once_share_the_work(database: sqlite3.Connection, path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: migrate_sqlite(path, busy_timeout_s=60), range(4)))
    assert sorted(name for part in done for name in names(part)) == sorted(ALL)
    assert database.execute("SELECT count(*) FROM schema_version").fetchone() == (4,)


@pytest.fixture
def migrated(database: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    database.executescript(HAND_MADE)
    migrate_sqlite(path)
    database.executescript("""
        INSERT INTO alias (domain_id, alias_name, target) VALUES (7, 'Team', 'joe@example.test'), (8, '*', 'a@b.test');
        INSERT INTO domain_alias (alias_name, domain_id) VALUES ('Second.test', 7), ('third.test', 8);
        INSERT INTO mailbox (user_id, quota_bytes, password_hash) VALUES (3, 10, 'hash'), (4, 20, 'hash');
        INSERT INTO domain_setting VALUES (7, '{}'), (8, NULL);
    """)
    return database


def test_who_goes_takes_everything_along(migrated: sqlite3.Connection) -> None:
    """A number may be given again, and nobody may inherit."""
    migrated.execute('DELETE FROM "user" WHERE user_id = 3')
    assert migrated.execute("SELECT user_id FROM mailbox").fetchall() == [(4,)]
    migrated.execute("DELETE FROM domain WHERE domain_id = 8")
    assert migrated.execute("SELECT domain_id FROM alias").fetchall() == [(7,)]
    assert migrated.execute("SELECT domain_id FROM domain_alias").fetchall() == [(7,)]
    assert migrated.execute("SELECT domain_id FROM domain_setting").fetchall() == [(7,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO alias (domain_id, alias_name, target) VALUES (7, 'TEAM', 'JOE@example.test')",
        "INSERT INTO alias (domain_id, alias_name) VALUES (7, 'x')",
        "INSERT INTO alias (domain_id, alias_name, target) VALUES (7, hex(zeroblob(128)), 'joe@example.test')",
        "INSERT INTO alias (domain_id, alias_name, target) VALUES (7, 'x', hex(zeroblob(128)))",
        "INSERT INTO domain_alias (alias_name, domain_id) VALUES ('SECOND.test', 8)",
        "INSERT INTO domain_alias (alias_name, domain_id) VALUES (hex(zeroblob(128)), 8)",
        "INSERT INTO mailbox (user_id) VALUES (3)",
        "INSERT INTO mailbox (user_id, quota_bytes) VALUES (5, -1)",
        "INSERT INTO mailbox (user_id, password_hash) VALUES (5, hex(zeroblob(128)))",
        "INSERT INTO mailbox (user_id, settings) VALUES (5, '{')",
        "INSERT INTO domain_setting VALUES (9, 'x')",
    ],
)
def test_the_schema_refuses_what_makes_no_sense(migrated: sqlite3.Connection, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        migrated.execute(statement)


def test_the_schema_takes_what_makes_sense(migrated: sqlite3.Connection) -> None:
    migrated.execute("INSERT INTO alias (domain_id, alias_name, target) VALUES (7, 'team', 'ann@example.test')")
    migrated.execute("INSERT INTO alias (domain_id, alias_name, target) VALUES (8, 'team', 'joe@example.test')")
    migrated.execute('INSERT INTO mailbox (user_id, settings) VALUES (5, \'{"greylist": {"on": false}}\')')
    assert migrated.execute("SELECT DISTINCT is_active FROM alias").fetchall() == [(1,)]
    assert migrated.execute("SELECT DISTINCT is_active FROM domain_alias").fetchall() == [(1,)]


@pytest.mark.parametrize("is_ascii", [True, False])
def test_every_question_finds_its_rows_by_an_index(migrated: sqlite3.Connection, is_ascii: bool) -> None:
    question = Layout().question_sql("sqlite", OPTIONAL_TABLES, is_ascii=is_ascii)
    migrated.execute("PRAGMA automatic_index = off")
    plan = migrated.execute(f"EXPLAIN QUERY PLAN {question}", ("example.test", "joe", None)).fetchall()
    steps = [step for *_, step in plan if step.startswith(("SCAN", "SEARCH"))]
    # `ours` is what the first part of the question has found.
    assert [step for step in steps if "INDEX" not in step and "PRIMARY KEY" not in step and step != "SCAN ours"] == []
    used = {index for index in INDEXES if any(f"USING INDEX {index} " in f"{step} " for step in steps)}
    assert used == {index for index in INDEXES if not (is_ascii and index.endswith("beyond_ascii"))}
