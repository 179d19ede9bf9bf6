"""What is PostgreSQL's alone: a server that goes away. What both have in common is in test_stored_lists."""

import asyncio
from collections.abc import Iterator

import postgres
import pytest

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.migrate_postgres import migrate_postgres
from fastsmtp.directory.stored_lists_postgres import PostgresLists
from fastsmtp.errors import DirectoryError


@pytest.fixture
def server() -> Iterator[postgres.PostgresServer]:
    server = postgres.started_server()
    try:
        yield server
    finally:
        server.remove()


def test_a_server_that_is_frozen_stopped_and_back(server: postgres.PostgresServer) -> None:
    url = PostgresUrl(server.new_database())
    migrate_postgres(url)
    postgres.run(url.dsn, "INSERT INTO block_entry VALUES ('sender', 'a.example', '')")
    lists = PostgresLists(url, connect_timeout_s=20.0, statement_timeout_s=0.5)
    with asyncio.Runner() as runner:
        before = runner.run(lists.rows("sender"))
        server.freeze()
        with pytest.raises(DirectoryError, match=r"cannot use the directory .*: no answer within 0\.5 s"):
            runner.run(lists.rows("sender", before))
        server.thaw()
        assert runner.run(lists.rows("sender", before)) is before
        server.stop()
        with pytest.raises(DirectoryError, match=r"cannot (use|connect to) the directory"):
            runner.run(lists.rows("sender", before))
        server.start()
        assert runner.run(lists.rows("sender", before)) is before
        runner.run(lists.close())


def test_two_who_ask_at_once_share_the_connection() -> None:
    url = PostgresUrl(postgres.shared_server().new_database())
    migrate_postgres(url)
    postgres.run(url.dsn, "INSERT INTO block_entry VALUES ('sender', 'a.example', ''), ('recipient', 'b@', '')")

    async def both() -> list[str]:
        lists = PostgresLists(url)
        found = await asyncio.gather(lists.rows("sender"), lists.rows("recipient"))
        await lists.close()
        return [row.entry for each in found for row in each.rows]

    assert asyncio.run(both()) == ["a.example", "b@"]
