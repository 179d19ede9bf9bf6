"""A PostgreSQL database, as the administration uses it."""

import postgres
import pytest

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.database_postgres import PostgresDatabase, postgres_statement
from fastsmtp.directory.migrate_postgres import migrate_postgres
from fastsmtp.errors import DirectoryError


@pytest.fixture
def url() -> PostgresUrl:
    url = PostgresUrl(postgres.shared_server().new_database())
    migrate_postgres(url)
    return url


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("SELECT a FROM b WHERE c = ? AND d = ?", "SELECT a FROM b WHERE c = $1 AND d = $2"),
        ("WHERE lower(a.name) = ?", 'WHERE lower(a.name COLLATE "C") = $1'),
        ("WHERE a.name GLOB '*[^ -~]*'", "WHERE a.name ~ '[^ -~]'"),
    ],
)
def test_statements_are_translated(written: str, taken: str) -> None:
    assert postgres_statement(written) == taken


def test_another_writer_is_waited_for_but_not_for_ever(url: PostgresUrl) -> None:
    writer, impatient = PostgresDatabase(url), PostgresDatabase(url, busy_timeout_s=0.05)
    with writer.changing():
        assert impatient.execute("SELECT count(*) FROM domain") == [(0,)]  # readers do not wait
        with pytest.raises(DirectoryError, match="lock timeout"), impatient.changing():
            raise AssertionError("it must not get here")
    with impatient.changing():
        impatient.execute("INSERT INTO domain (domain_name) VALUES (?)", "example.test")
    for database in (writer, impatient):
        database.close()


def test_a_sequence_that_is_behind_catches_up(url: PostgresUrl) -> None:
    postgres.run(url.dsn, "INSERT INTO domain (domain_id, domain_name) VALUES (7, 'by.hand')")
    database = PostgresDatabase(url)
    with database.changing():
        assert database.new_ids("domain", "domain_id", 2) == range(8, 10)
    database.close()
    postgres.run(url.dsn, "INSERT INTO domain (domain_name) VALUES ('by.default')")
    assert postgres.query(url.dsn, "SELECT max(domain_id) FROM domain") == [(10,)]


def test_nobody_is_there() -> None:
    with pytest.raises(DirectoryError, match=r"cannot connect to the directory postgresql://me@127\.0\.0\.1:1/mail"):
        PostgresDatabase(PostgresUrl("postgresql://me:secret@127.0.0.1:1/mail"))


def test_the_server_goes_away(url: PostgresUrl) -> None:
    def change() -> None:
        with database.changing():
            postgres.run(
                url.dsn,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            database.execute("SELECT 1")

    database = PostgresDatabase(url)
    with pytest.raises(DirectoryError, match="cannot use the directory"):
        change()
    with pytest.raises(DirectoryError, match="cannot use the directory"):
        database.execute("SELECT 1")
    database.close()
