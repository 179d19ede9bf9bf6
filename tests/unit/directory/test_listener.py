"""Every change of every table is heard, once, with the name of its domain; and a listener that was cut comes back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import postgres
import pytest
from wire import Wire

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.listener import CHANNEL, Listener
from fastsmtp.directory.migrate_postgres import migrate_postgres

A: Final = "a.test"
B: Final = "xn--bcher-kva.test"
ALL: Final = None
END: Final = "end.of.test"
TROUBLE: Final = ["directory does not tell of changes", "directory tells of changes again"]

CHANGES: Final[list[tuple[str, set[str | None]]]] = [
    ("INSERT INTO domain VALUES (1, 1, 'A.Test'), (2, 1, 'BÜCHER.test')", {A, B}),
    ("INSERT INTO \"user\" VALUES (1, 1, 1, 1, 'joe'), (2, 1, 1, 1, 'ann'), (3, 2, 1, 1, 'joe')", {A, B}),
    ('UPDATE "user" SET can_receive = 0 WHERE user_id = 1', {A}),
    ('UPDATE "user" SET can_receive = 0 WHERE user_id = 1', set()),
    ('UPDATE "user" SET can_login = 0', set()),  # who may log in is nothing to a cache of recipients
    ('UPDATE "user" SET domain_id = 2 WHERE user_id = 2', {A, B}),
    ("INSERT INTO alias VALUES (1, 1, 1, 'x', 'joe@a.test')", {A}),
    ("UPDATE alias SET target = 'ann@a.test'", {A}),
    ("DELETE FROM alias", {A}),
    ("INSERT INTO domain_alias VALUES (1, 'O.test', 1, 1)", {A, "o.test"}),
    ("UPDATE domain_alias SET alias_name = 'p.test'", {A, "o.test", "p.test"}),
    ("DELETE FROM domain_alias", {A, "p.test"}),
    ("INSERT INTO mailbox (user_id, quota_bytes) VALUES (3, 5)", {B}),
    ("UPDATE mailbox SET quota_bytes = 6", {B}),
    ("UPDATE mailbox SET password_hash = 'x'", set()),
    ("UPDATE mailbox SET settings = '{\"greylist\": {}}'", {B}),
    ("DELETE FROM mailbox", {B}),
    ("INSERT INTO domain_setting VALUES (1, NULL)", {A}),
    ("UPDATE domain_setting SET settings = '{}'", {A}),
    ("DELETE FROM domain_setting", {A}),
    ("UPDATE domain SET domain_name = 'c.test' WHERE domain_id = 1", {A, "c.test"}),
    ('DELETE FROM "user" WHERE domain_id = 1', {"c.test"}),
    ("DELETE FROM domain WHERE domain_id = 1", {"c.test"}),
    ("INSERT INTO \"user\" SELECT g, 2, 1, 1, 'u' || g FROM generate_series(10, 9999) AS g", {B}),
    ("INSERT INTO domain SELECT g, 1, 'd' || g || '.test' FROM generate_series(10, 999) AS g", {ALL}),
    ("TRUNCATE alias", {ALL}),
    ("NOTIFY fastsmtp_directory, 'what is this?'", {ALL}),
]


class Ear:
    """What was heard."""

    def __init__(self) -> None:
        self.heard: list[str | None] = []

    def hear(self, domain: str | None) -> None:
        """What the listener calls."""
        self.heard.append(domain)

    async def until(self, is_enough: Callable[[list[str | None]], bool]) -> list[str | None]:
        """All that was heard, once it is enough; then it is forgotten."""
        async with asyncio.timeout(60):
            while not is_enough(self.heard):  # noqa: ASYNC110 - it happens in other processes
                await asyncio.sleep(0.002)
        heard, self.heard = self.heard, []
        return heard


@asynccontextmanager
async def listening(dsn: str, keepalive_s: float = 20) -> AsyncIterator[Ear]:
    """A listener that has its connection."""
    ear = Ear()
    listener = Listener(
        PostgresUrl(dsn), ear.hear, connect_timeout_s=20, statement_timeout_s=3, keepalive_s=keepalive_s
    )
    task = asyncio.create_task(listener.run())
    await ear.until(lambda heard: heard == [ALL])
    yield ear
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
def dsn() -> str:
    dsn = postgres.shared_server().new_database()
    migrate_postgres(PostgresUrl(dsn))
    return dsn


def test_every_change_is_heard_once_for_each_domain(dsn: str) -> None:
    async def scene() -> None:
        async with listening(dsn) as ear, postgres.connected(dsn) as other:
            for statement, domains in CHANGES:
                await other.execute(statement)
                await other.execute(f"NOTIFY {CHANNEL}, '{END}'")
                *heard, end = await ear.until(lambda heard: END in heard)
                assert end == END
                assert (statement, len(heard), set(heard)) == (statement, len(domains), domains)

    asyncio.run(scene())


def test_whoever_may_only_write_users_is_heard_too(dsn: str) -> None:
    postgres.run(
        dsn,
        "INSERT INTO domain VALUES (1, 1, 'a.test')",
        "DROP ROLE IF EXISTS clerk",
        "CREATE ROLE clerk LOGIN",
        'GRANT SELECT, INSERT, DELETE ON "user" TO clerk',
    )

    async def scene() -> None:
        async with listening(dsn) as ear, postgres.connected(dsn.replace("postgres@", "clerk@")) as clerk:
            await clerk.execute("INSERT INTO \"user\" VALUES (1, 1, 1, 1, 'joe')")
            await ear.until(lambda heard: heard == [A])
            await clerk.execute('DELETE FROM "user"')  # and their mailbox, which the clerk cannot even read
            await ear.until(lambda heard: heard == [A])

    asyncio.run(scene())
    postgres.run(dsn, "DROP OWNED BY clerk", "DROP ROLE clerk")


def on_wire(dsn: str, wire: Wire) -> str:
    return dsn.replace(str(postgres.shared_server().port), str(wire.port))


@pytest.mark.parametrize("how", ["reset", "silence"])
def test_a_listener_that_was_cut_off_comes_back_and_says_that_anything_may_have_changed(
    dsn: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastsmtp.directory")

    async def scene() -> None:
        with Wire(postgres.shared_server().port) as wire:
            async with listening(on_wire(dsn, wire), keepalive_s=0.05) as ear, postgres.connected(dsn) as other:
                await asyncio.to_thread(getattr(wire, how))
                if how == "silence":
                    async with asyncio.timeout(60):
                        while not caplog.records:  # noqa: ASYNC110 - the keepalive has to notice
                            await asyncio.sleep(0.002)
                    await asyncio.to_thread(wire.mend)
                await ear.until(lambda heard: ALL in heard)
                await other.execute("INSERT INTO domain VALUES (1, 1, 'a.test')")
                await ear.until(lambda heard: A in heard)

    asyncio.run(scene())
    assert [record.message for record in caplog.records] == TROUBLE


def test_a_server_that_is_away_is_looked_for_and_complained_about_once(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastsmtp.directory")

    async def scene() -> None:
        with Wire(postgres.shared_server().port) as wire:
            async with listening(on_wire(dsn, wire)) as ear:
                await asyncio.to_thread(wire.cut)
                await asyncio.sleep(0.5)  # some attempts in vain
                await asyncio.to_thread(wire.mend)
                await ear.until(lambda heard: heard == [ALL])

    asyncio.run(scene())
    assert [record.message for record in caplog.records] == TROUBLE
