"""A SQLite file, as the administration uses it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from unit.directory.conftest import QPSMTPD

from fastsmtp.directory.database_sqlite import SqliteDatabase
from fastsmtp.directory.migrate import migrations
from fastsmtp.errors import DirectoryError

OBJECTS = "SELECT count(*) FROM sqlite_master"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory.db"


def test_only_create_changes_the_journal_mode_and_the_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(QPSMTPD)
        SqliteDatabase(path).close()
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute(OBJECTS).fetchone() == (2,)
    SqliteDatabase(path, create=True).close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("SELECT count(*) FROM schema_version").fetchone() == (len(migrations("sqlite")),)
        assert database.execute('SELECT count(*) FROM "user"').fetchone() == (3,)


def test_names_that_clash_are_told_when_the_indexes_are_made(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(QPSMTPD)
        database.execute("INSERT INTO domain VALUES (9, 1, 'EXAMPLE.TEST')")
        database.commit()
    with pytest.raises(DirectoryError, match="domain_folded_name"):
        SqliteDatabase(path, create=True)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute(OBJECTS).fetchone() == (2,)


def test_creating_twice_keeps_everything(path: Path) -> None:
    for expected in ([], [("example.test",)]):
        database = SqliteDatabase(path, create=True)
        assert database.execute("SELECT domain_name FROM domain") == expected
        if not expected:
            database.execute("INSERT INTO domain (domain_name) VALUES (?)", "example.test")
        database.close()


def test_a_missing_file_is_not_made_by_accident(path: Path) -> None:
    with pytest.raises(DirectoryError, match="unable to open"):
        SqliteDatabase(path)
    assert not path.exists()


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(DirectoryError, match="not a database"):
        SqliteDatabase(path, create=True)
    database = SqliteDatabase(path)
    with pytest.raises(DirectoryError, match="not a database"):
        database.tables()
    database.close()


def test_another_writer_is_waited_for_but_not_for_ever(path: Path) -> None:
    SqliteDatabase(path, create=True).close()
    impatient = SqliteDatabase(path, busy_timeout_s=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(DirectoryError, match="locked"), impatient.changing():
            raise AssertionError("it must not get here")
        writer.execute("ROLLBACK")
    with impatient.changing():
        impatient.execute("INSERT INTO domain (domain_name) VALUES (?)", "example.test")
    impatient.close()


def test_a_name_in_another_encoding_is_read(path: Path) -> None:
    database = SqliteDatabase(path, create=True)
    database.execute("INSERT INTO domain (domain_name) VALUES (CAST(? AS TEXT))", b"b\xfccher.test")
    assert database.execute("SELECT domain_name FROM domain") == [("b\ufffdcher.test",)]
    database.close()
