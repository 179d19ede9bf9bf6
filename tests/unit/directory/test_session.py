"""What a connection finds out before it is used, and the one question that it then asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import postgres
import pytest

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.connect import connect
from fastsmtp.directory.layout import Layout
from fastsmtp.directory.migrate_postgres import migrate_postgres
from fastsmtp.directory.queries import OwnQueries
from fastsmtp.directory.resolve import AliasRow, Question, UserRow
from fastsmtp.directory.session import Session, open_session

DEADLINE_S = 20.0

ROWS = """
INSERT INTO domain (domain_name) SELECT 'd' || g || '.test' FROM generate_series(1, 200) AS g;
INSERT INTO domain (domain_name) VALUES ('Österreich.test');
INSERT INTO "user" (domain_id, username) SELECT 1 + g % 200, 'u' || g FROM generate_series(1, 20000) AS g;
INSERT INTO "user" (domain_id, username) VALUES (2, 'Zoë');
INSERT INTO alias (domain_id, alias_name, target) SELECT 1 + g % 200, 'a' || g, 'u1@d2.test'
    FROM generate_series(1, 5000) AS g;
INSERT INTO domain_alias (domain_id, alias_name) SELECT g, 'o' || g || '.test' FROM generate_series(1, 200) AS g;
INSERT INTO mailbox (user_id, quota_bytes) SELECT g, 1000 FROM generate_series(1, 20000) AS g;
ANALYZE;
"""


@pytest.fixture(scope="module")
def dsn() -> str:
    """A database with all of our tables."""
    dsn = postgres.shared_server().new_database()
    migrate_postgres(PostgresUrl(dsn))
    postgres.run(dsn, ROWS)
    return dsn


@asynccontextmanager
async def opened(dsn: str, layout: Layout | OwnQueries) -> AsyncIterator[Session]:
    session = await open_session(await connect(PostgresUrl(dsn), DEADLINE_S), layout)
    yield session
    await session.close(DEADLINE_S)
    assert session.is_closed()


def test_rows_of_users_and_aliases(dsn: str) -> None:
    async def scene() -> None:
        async with opened(dsn, Layout()) as session:
            rows = await session.fetch(Question("d2.test", ("u1", "a1")))
            assert rows.users == [UserRow("d2.test", "d2.test", 1, "u1", 1, 1000)]
            assert rows.aliases == [AliasRow("d2.test", "d2.test", "a1", "u1@d2.test")]
            assert (await session.fetch(Question("o2.test", ("nobody",)))).users == [UserRow("o2.test", "d2.test", 1)]
            assert (await session.fetch(Question("d2.test", ("zoë",)))).users[-1].username == "Zoë"
            assert (await session.fetch(Question("xn--sterreich-z7a.test", ()))).users[0].asked == "Österreich.test"
            assert (await session.fetch(Question("other.test", ("u1",)))).users == []

    asyncio.run(scene())


def test_statements_have_names_at_the_server_itself(dsn: str) -> None:
    async def scene() -> None:
        connection = await connect(PostgresUrl(dsn), DEADLINE_S)
        session = await open_session(connection, Layout())
        for number in range(20):
            await session.fetch(Question("d2.test", (f"u{number}",)))
        rows = await connection.fetch(
            "SELECT name, generic_plans > 0 FROM pg_prepared_statements WHERE name <> '' ORDER BY name"
        )
        # A plan that is made once, and not for each question: that is what the names are for.
        assert [tuple(row) for row in rows] == [("beyond_ascii", False), ("plain", True)]
        await session.close(DEADLINE_S)

    asyncio.run(scene())


@pytest.mark.parametrize("is_ascii", [True, False])
def test_every_table_is_asked_by_an_index(dsn: str, is_ascii: bool) -> None:
    question = Layout().question_sql("postgres", ("alias", "domain_alias", "mailbox"), is_ascii=is_ascii)
    for parameter, value in (("$1", "'d5.test'"), ("$2", "'u4'"), ("$3", "NULL")):
        question = question.replace(parameter, value)
    plan = "\n".join(line for (line,) in postgres.query(dsn, f"EXPLAIN {question}"))
    assert 'Seq Scan on "user"' not in plan, plan
    assert "Seq Scan on alias" not in plan, plan
    assert "Seq Scan on mailbox" not in plan, plan


def test_own_queries_are_asked_for_each_name_until_one_is_there(dsn: str) -> None:
    queries = OwnQueries(
        "SELECT is_active FROM domain WHERE domain_name = :domain",
        "SELECT can_receive FROM \"user\" WHERE username = :local AND :domain <> ''",
    )

    async def scene() -> None:
        async with opened(dsn, queries) as session:
            rows = await session.fetch(Question("d2.test", ("x", "u1", "u2")))
            assert rows.users == [UserRow("d2.test", "d2.test", 1), UserRow("d2.test", "d2.test", 1, "u1", 1)]
            assert (await session.fetch(Question("other.test", ("u1",)))).users == ()

    asyncio.run(scene())


def test_a_connection_that_is_gone_can_be_closed(dsn: str) -> None:
    async def scene() -> None:
        connection = await connect(PostgresUrl(dsn), DEADLINE_S)
        session = await open_session(connection, Layout())
        connection.terminate()
        assert session.is_closed()
        await session.close(DEADLINE_S)

    asyncio.run(scene())
