"""Migrations of PostgreSQL: each once, whoever else migrates, and nothing that was there is lost."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import postgres
import pytest

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.migrate import migrations
from fastsmtp.directory.migrate_postgres import migrate_postgres
from fastsmtp.errors import DirectoryError

ALL = [migration.name for migration in migrations("postgres")]


@pytest.fixture
def url() -> PostgresUrl:
    return PostgresUrl(postgres.shared_server().new_database())


def names(url: PostgresUrl) -> list[str]:
    return [migration.name for migration in migrate_postgres(url)]


def test_an_empty_database_gets_everything_once(url: PostgresUrl) -> None:
    assert names(url) == ALL
    assert names(url) == []
    assert postgres.query(url.dsn, "SELECT version FROM schema_version ORDER BY version") == [
        (migration.number,) for migration in migrations("postgres")
    ]


def test_a_database_of_others_keeps_its_tables(url: PostgresUrl) -> None:
    postgres.run(
        url.dsn,
        "CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255))",
        'CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint,'
        " username varchar(255), shoe_size int)",
        "INSERT INTO domain VALUES (7, 1, 'Example.Test')",
        "INSERT INTO \"user\" VALUES (1, 7, 1, 1, 'Joe', 43)",
    )
    assert names(url) == ALL
    assert postgres.query(url.dsn, 'SELECT * FROM "user"') == [(1, 7, 1, 1, "Joe", 43)]


def test_every_file_can_be_run_again(url: PostgresUrl) -> None:
    migrate_postgres(url)
    for migration in migrations("postgres"):
        postgres.run(url.dsn, "SET client_min_messages = warning", migration.sql)


def test_those_who_migrate_at_once_share_the_work(url: PostgresUrl) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = [name for ran in pool.map(names, [url] * 4) for name in ran]
    assert sorted(done) == sorted(ALL)


def test_what_fails_is_not_recorded_and_what_had_run_is_said(url: PostgresUrl) -> None:
    postgres.run(url.dsn, "CREATE VIEW alias AS SELECT 1 AS one")
    with pytest.raises(DirectoryError, match=r"cannot migrate the directory .*alias.*\(done before: base\.sql\)"):
        migrate_postgres(url)
    assert postgres.query(url.dsn, "SELECT version FROM schema_version") == [(1,)]
    postgres.run(url.dsn, "DROP VIEW alias")
    assert names(url) == ALL[1:]


def test_what_hangs_on_a_row_goes_with_it(url: PostgresUrl) -> None:
    migrate_postgres(url)
    postgres.run(
        url.dsn,
        "INSERT INTO domain VALUES (1, 1, 'a.test'), (2, 1, 'b.test')",
        "INSERT INTO \"user\" VALUES (1, 1, 1, 1, 'joe'), (2, 2, 1, 1, 'joe')",
        "INSERT INTO mailbox (user_id) VALUES (1), (2)",
        "INSERT INTO domain_setting (domain_id) VALUES (1), (2)",
        "INSERT INTO alias (domain_id, alias_name, target) VALUES (1, 'x', 'joe@a.test'), (2, 'x', 'joe@b.test')",
        "INSERT INTO domain_alias (domain_id, alias_name) VALUES (1, 'c.test'), (2, 'd.test')",
        'DELETE FROM "user" WHERE user_id = 1',
        "DELETE FROM domain WHERE domain_id = 1",
    )
    assert postgres.query(url.dsn, "SELECT user_id FROM mailbox") == [(2,)]
    assert postgres.query(url.dsn, "TABLE domain_setting") == [(2, None)]
    assert postgres.query(url.dsn, "SELECT domain_id FROM alias") == [(2,)]
    assert postgres.query(url.dsn, "SELECT domain_id FROM domain_alias") == [(2,)]


def test_somebody_who_holds_a_table_is_not_waited_for_without_end(url: PostgresUrl) -> None:
    migrate_postgres(url)
    postgres.run(url.dsn, "DELETE FROM schema_version WHERE version > 3")

    async def scene() -> None:
        async with postgres.connected(url.dsn) as other, other.transaction():
            await other.execute("LOCK TABLE domain IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(DirectoryError, match="lock timeout"):
                await asyncio.to_thread(migrate_postgres, url, busy_timeout_s=0.1)

    asyncio.run(scene())
