"""PostgreSQL's own troubles, with a real server; the answers are in test_lookup."""

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import postgres
import pytest
from ports import free_port
from postgres import PostgresServer
from wire import Wire

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.layout import Layout
from fastsmtp.directory.migrate_postgres import migrate_postgres
from fastsmtp.directory.postgres import PostgresDirectory
from fastsmtp.directory.queries import OwnQueries
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Found, Login, Mailbox, NoDomain, NoUser
from fastsmtp.smtp.address import Address
from fastsmtp.stats import Stats

JOE = Address("joe", "example.test")
ANN = Address("ann", "example.test")
NOBODY = Address("nobody", "example.test")
FOUND_JOE = Found((Mailbox("example.test", "joe"),))
FOUND_ANN = Found((Mailbox("example.test", "ann"),))

# As it is for the qpsmtpd plugin: no keys, no indexes, names as people typed them.
QPSMTPD = """
CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username varchar(255));
INSERT INTO domain VALUES (7, 1, 'Example.Test'), (8, 0, 'closed.test'), (9, NULL, 'null.test');
INSERT INTO "user" VALUES
    (1, 7, 1, 1, 'Joe'), (2, 7, 0, 1, 'mute'), (3, 7, NULL, 1, 'null'), (4, 8, 1, 1, 'joe'), (5, 9, 1, 1, 'joe');
"""


@pytest.fixture
def dsn() -> str:
    """A database as it is for the qpsmtpd plugin."""
    dsn = postgres.shared_server().new_database()
    postgres.run(dsn, QPSMTPD)
    return dsn


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that the test may stop and freeze."""
    server = postgres.started_server()
    yield server
    server.remove()


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Look until it holds."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - what we wait for happens in other processes
            await asyncio.sleep(0.01)


async def answers(directory: PostgresDirectory, address: Address = JOE) -> bool:
    """Whether it knows."""
    try:
        await directory.locate(address)
    except DirectoryError:
        return False
    return True


def test_a_database_made_for_qpsmtpd_works_unchanged(dsn: str) -> None:
    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn))
        await directory.open()
        assert await directory.locate(JOE) == FOUND_JOE
        assert await directory.locate(Address("JOE+tag", "example.test")) == FOUND_JOE
        for name in ("mute", "null", "nobody"):
            assert await directory.locate(Address(name, "example.test")) == NoUser()
        for domain in ("closed.test", "null.test", "other.test"):
            assert await directory.locate(Address("joe", domain)) == NoDomain()
        await directory.close()

    play(scene)
    assert {name for (name,) in postgres.query(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")} == {
        "domain",
        "user",
    }


def test_other_names_and_own_queries(dsn: str) -> None:
    postgres.run(
        dsn, 'ALTER TABLE "user" RENAME TO accounts', "ALTER TABLE accounts RENAME username TO login",
        "CREATE SCHEMA mail", "ALTER TABLE accounts SET SCHEMA mail",
    )  # fmt: skip
    layouts: list[Layout | OwnQueries] = [
        Layout({"user": "mail.accounts", "user.username": "login"}),
        OwnQueries(
            "SELECT is_active FROM domain WHERE lower(domain_name) = :domain",
            "SELECT can_receive, 5 FROM mail.accounts WHERE lower(login) = :local AND :domain = 'example.test'",
        ),
    ]

    async def scene() -> None:
        found = []
        for layout in layouts:
            directory = PostgresDirectory(PostgresUrl(dsn), layout=layout)
            await directory.open()
            found.append(await directory.locate(Address("joe+tag", "example.test")))
            assert await directory.locate(NOBODY) == NoUser()
            assert await directory.locate(Address("joe", "closed.test")) == NoDomain()
            await directory.close()
        assert found == [FOUND_JOE, Found((Mailbox("example.test", "joe", 5),))]

    play(scene)


def test_logins(dsn: str) -> None:
    domain = "SELECT is_active FROM domain WHERE lower(domain_name) = :domain"
    recipient = "SELECT 1"
    login = "SELECT can_login, 'hash of ' || :local FROM \"user\" WHERE lower(username) = :local AND :domain <> ''"
    postgres.run(
        dsn,
        "CREATE TABLE mailbox (user_id int, quota_bytes bigint, password_hash text)",
        "INSERT INTO mailbox VALUES (1, NULL, 'hash of joe')",
    )

    async def scene() -> None:
        for layout in (Layout(), OwnQueries(domain, recipient, login)):
            directory = PostgresDirectory(PostgresUrl(dsn), layout=layout)
            await directory.open()
            assert await directory.find_login(Address("Joe", "example.test")) == Login(JOE, "hash of joe")
            for nobody in (NOBODY, Address("joe", "closed.test"), Address("joe", "far.test"), Address("joe", "")):
                assert await directory.find_login(nobody) is None
            await directory.close()

    play(scene)


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        (
            Layout({"user.can_login": "may_login"}),
            r'nobody can log in, since "user"\."may_login" and .* does not exist',
        ),
        (OwnQueries("SELECT 1", "SELECT 1"), r"\[directory\.queries\] has no login"),
        (OwnQueries("SELECT 1", "SELECT 1", "SELEKT 1"), "syntax error"),
        (OwnQueries("SELECT 1", "SELECT 1", "SELECT 1"), "write two, can_login and password_hash"),
    ],
)
def test_who_cannot_be_asked_for_logins(dsn: str, layout: Layout | OwnQueries, problem: str) -> None:
    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn), layout=layout)
        await directory.open()
        with pytest.raises(DirectoryError, match=problem):
            await directory.find_login(JOE)
        assert isinstance(await directory.locate(JOE), Found)
        await directory.close()

    play(scene)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_without_unicode(encoding: str) -> None:
    dsn = postgres.shared_server().new_database(f"TEMPLATE template0 ENCODING '{encoding}'")
    postgres.run(dsn, QPSMTPD, "INSERT INTO \"user\" VALUES (9, 7, 1, 1, 'Zoë'), (10, 7, 1, 1, 'ann')")

    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn))
        await directory.open()
        assert await directory.locate(Address("zoë", "example.test")) == Found((Mailbox("example.test", "zoë"),))
        assert await directory.locate(Address("Ω", "example.test")) == NoUser()
        assert await directory.locate(Address("ann+Ω", "example.test")) == FOUND_ANN
        await directory.close()

    play(scene)


def test_tables_that_come_while_it_runs_are_used(dsn: str) -> None:
    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn))
        await directory.open()
        heard: list[str | None] = []
        directory.listen(heard.append)

        async def has_heard() -> bool:
            return heard != []

        await until(has_heard)
        heard.clear()
        assert await directory.locate(Address("both", "example.test")) == NoUser()
        await asyncio.to_thread(migrate_postgres, PostgresUrl(dsn))
        await until(has_heard)
        await asyncio.to_thread(
            postgres.run,
            dsn,
            "INSERT INTO \"user\" VALUES (10, 7, 1, 1, 'ann')",
            "INSERT INTO alias (domain_id, alias_name, target) VALUES"
            " (7, 'Both', 'joe@example.test'), (7, 'both', 'ann@example.test')",
            "INSERT INTO mailbox (user_id, quota_bytes) VALUES (1, 1000)",
        )
        assert await directory.locate(Address("both", "example.test")) == Found(
            (Mailbox("example.test", "ann"), Mailbox("example.test", "joe", 1000))
        )
        await directory.close()

    play(scene)


# --- What cannot be used at all ---------------------------------------------------------------------------------------


def trouble(url: PostgresUrl, **options: Any) -> str:
    """What open() says."""

    async def scene() -> str:
        directory = PostgresDirectory(url, **options)
        with pytest.raises(DirectoryError) as caught:
            await directory.open()
        await directory.close()
        return str(caught.value)

    return asyncio.run(scene())


def test_what_is_not_there() -> None:
    empty = postgres.shared_server().new_database()
    nowhere = postgres.shared_server().url("nowhere")
    assert 'database "nowhere" does not exist' in trouble(PostgresUrl(nowhere))
    said = trouble(PostgresUrl(empty))
    assert 'relation "domain" does not exist' in said
    assert "fastsmtp db migrate" in said
    assert str(PostgresUrl(empty)) in said


def test_tables_that_are_others(dsn: str) -> None:
    postgres.run(dsn, "CREATE TABLE alias (address text, goto text)")
    said = trouble(PostgresUrl(dsn))
    assert "alias" in said
    assert "[directory.tables]" in said
    assert "column" in trouble(PostgresUrl(dsn), layout=Layout({"alias": "", "user.username": "login"}))

    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn), layout=Layout({"alias": ""}))
        await directory.open()
        assert await directory.locate(JOE) == FOUND_JOE
        await directory.close()

    play(scene)


def test_a_user_who_may_read_nothing(dsn: str) -> None:
    postgres.run(dsn, "DROP ROLE IF EXISTS blind", "CREATE ROLE blind LOGIN")
    assert "permission denied for table" in trouble(PostgresUrl(dsn.replace("postgres@", "blind@")))


def test_queries_that_are_wrong(dsn: str) -> None:
    good = "SELECT is_active FROM domain WHERE lower(domain_name) = :domain"
    assert "syntax error" in trouble(PostgresUrl(dsn), layout=OwnQueries(good, "SELEKT 1"))
    assert "columns" in trouble(PostgresUrl(dsn), layout=OwnQueries(good, "SELECT 1, 2, 3"))


def test_a_server_that_is_none() -> None:
    url = PostgresUrl(f"postgresql://joe@127.0.0.1:{free_port()}/mail")
    said = trouble(url)
    assert said.startswith(f"cannot connect to the directory {url}: ")
    assert "Connect call failed" in said


def test_a_server_that_does_not_let_us_in_in_time(dsn: str) -> None:
    with Wire(postgres.shared_server().port) as wire:
        wire.silence()
        url = PostgresUrl(f"postgresql://postgres@127.0.0.1:{wire.port}/postgres")
        assert "no answer within 0.2 s" in trouble(url, connect_timeout_s=0.2)


def test_metrics(dsn: str) -> None:
    stats = Stats()

    def value(name: str, *labels: str) -> int:
        family = next(family for family in stats.families() if family.name == name)
        return stats.cells[family.children[labels]]

    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn), stats=stats, statement_timeout_s=2)
        await directory.open()
        assert await directory.locate(JOE) == FOUND_JOE
        assert value("fastsmtp_directory_connections") == 1
        async with postgres.connected(dsn) as other, locked(other):
            with pytest.raises(DirectoryError):
                await directory.locate(JOE)
        await directory.close()

    play(scene)
    assert value("fastsmtp_directory_queries_total", "ok") == 1
    assert value("fastsmtp_directory_queries_total", "timeout") == 1
    assert value("fastsmtp_directory_connections") == 0


# --- Outages ----------------------------------------------------------------------------------------------------------


def test_a_question_that_takes_too_long_is_cancelled_at_the_server(dsn: str) -> None:
    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn), statement_timeout_s=2)
        await directory.open()
        async with postgres.connected(dsn) as other, locked(other):
            with pytest.raises(DirectoryError, match=r"no answer within 2 s"):
                await directory.locate(JOE)

            async def is_cancelled() -> bool:
                waiting = await other.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND query LIKE '%ours%' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
                    " AND now() - query_start > interval '1 s'"
                )
                return bool(waiting == 0)

            await until(is_cancelled)
        await until(lambda: answers(directory))
        assert await directory.locate(JOE) == FOUND_JOE
        await directory.close()

    play(scene)


def test_a_restart_is_survived_without_a_single_error(server: PostgresServer) -> None:
    dsn = server.new_database()
    postgres.run(dsn, QPSMTPD)

    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn))
        await directory.open()
        assert await directory.locate(JOE) == FOUND_JOE
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        assert await asyncio.gather(*(directory.locate(JOE) for _ in range(20))) == [FOUND_JOE] * 20
        await directory.close()

    play(scene)


def test_while_the_server_is_down_questions_fail_at_once_and_it_is_found_again(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastsmtp.directory")
    dsn = server.new_database()
    postgres.run(dsn, QPSMTPD)

    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn))
        await directory.open()
        await asyncio.to_thread(server.stop)
        for _ in range(50):
            with pytest.raises(DirectoryError, match="cannot connect"):
                await directory.locate(JOE)
        await asyncio.to_thread(server.start)
        await until(lambda: answers(directory))
        assert await directory.locate(NOBODY) == NoUser()
        await directory.close()

    play(scene)
    assert [record.message for record in caplog.records] == ["directory is away", "directory is back"]


def test_a_frozen_server_costs_a_statement_timeout_and_no_more(server: PostgresServer) -> None:
    dsn = server.new_database()
    postgres.run(dsn, QPSMTPD)

    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn), statement_timeout_s=2, connect_timeout_s=2)
        await directory.open()
        server.freeze()
        outcomes = await asyncio.gather(*(directory.locate(JOE) for _ in range(50)), return_exceptions=True)
        assert all(isinstance(outcome, DirectoryError) for outcome in outcomes)
        with pytest.raises(DirectoryError):
            await directory.locate(JOE)
        server.thaw()
        await until(lambda: answers(directory))
        assert await directory.locate(JOE) == FOUND_JOE
        await directory.close()

    play(scene)


@pytest.mark.parametrize("how", ["cut", "silence"])
def test_a_broken_network(dsn: str, how: str) -> None:
    async def scene() -> None:
        with Wire(postgres.shared_server().port) as wire:
            url = PostgresUrl(dsn.replace(str(postgres.shared_server().port), str(wire.port)))
            directory = PostgresDirectory(url, statement_timeout_s=2, connect_timeout_s=2)
            await directory.open()
            assert await directory.locate(JOE) == FOUND_JOE
            await asyncio.to_thread(getattr(wire, how))
            for _ in range(5):
                with pytest.raises(DirectoryError):
                    await directory.locate(JOE)
            await asyncio.to_thread(wire.mend)
            await until(lambda: answers(directory))
            assert await directory.locate(JOE) == FOUND_JOE
            await directory.close()

    play(scene)


def test_a_connection_that_is_cut_in_the_middle_of_a_question_is_replaced(dsn: str) -> None:
    async def scene() -> None:
        with Wire(postgres.shared_server().port) as wire:
            url = PostgresUrl(dsn.replace(str(postgres.shared_server().port), str(wire.port)))
            directory = PostgresDirectory(url, statement_timeout_s=20)
            await directory.open()
            async with postgres.connected(dsn) as other:
                async with locked(other):
                    asked = asyncio.create_task(directory.locate(JOE))
                    await until(lambda: waits_for_a_lock(other))
                    await asyncio.to_thread(wire.reset)
                assert await asked == FOUND_JOE
            await directory.close()

    play(scene)


def test_a_server_process_that_is_killed_costs_no_answer(dsn: str) -> None:
    async def scene() -> None:
        directory = PostgresDirectory(PostgresUrl(dsn))
        await directory.open()
        async with postgres.connected(dsn) as other:
            for _ in range(5):
                await other.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                assert await directory.locate(JOE) == FOUND_JOE
        await directory.close()

    play(scene)


@asynccontextmanager
async def locked(connection: Any) -> AsyncIterator[None]:
    """Whoever asks for users waits."""
    async with connection.transaction():
        await connection.execute('LOCK TABLE "user" IN ACCESS EXCLUSIVE MODE')
        yield


async def waits_for_a_lock(connection: Any) -> bool:
    """Whether somebody does in this database."""
    return bool(
        await connection.fetchval(
            "SELECT count(*) > 0 FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
        )
    )


# --- PgBouncer --------------------------------------------------------------------------------------------------------


@pytest.fixture
def bouncer(tmp_path: Path) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode before the shared server; all share two connections."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("no PgBouncer here: apt-get install pgbouncer")
    server = postgres.shared_server()
    port = free_port()
    configuration = server.folder / f"pgbouncer-{port}.ini"  # in a folder that `nobody` can read, too
    configuration.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port} user=postgres\n"
        "[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 2\nauth_type = any\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
    )
    user = ["--user=nobody"] if os.geteuid() == 0 else []
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, *user, configuration], stdout=log, stderr=log)
    try:
        wait_until_open(port, process, tmp_path / "log")
        yield port
    finally:
        process.kill()
        process.wait()


def wait_until_open(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, log.read_text()
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_behind_pgbouncer_in_transaction_mode(bouncer: int, dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    postgres.run(dsn, "INSERT INTO \"user\" SELECT g, 7, 1, 1, 'u' || g FROM generate_series(100, 199) AS g")
    url = PostgresUrl(dsn.replace(str(postgres.shared_server().port), str(bouncer)))
    heard: list[str | None] = []

    async def ask(directory: PostgresDirectory, number: int) -> None:
        found = await directory.locate(Address(f"u{number}", "example.test"))
        assert found == (Found((Mailbox("example.test", f"u{number}"),)) if 100 <= number < 200 else NoUser())

    async def scene() -> None:
        directories = [PostgresDirectory(url) for _ in range(3)]
        for directory in directories:
            await directory.open()
        directories[0].listen(heard.append)
        await until(lambda: is_told("a pooler stands before the server", caplog))
        for _ in range(5):
            await asyncio.gather(*(ask(directory, number) for directory in directories for number in range(90, 210)))
            # The servers' processes are new, whoever has the connection to the pooler.
            async with postgres.connected(dsn) as other:
                await other.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        for directory in directories:
            await directory.close()

    play(scene)
    assert heard == []


async def is_told(error: str, caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the log has said so."""
    return any(error in str(vars(record).get("error")) for record in caplog.records)
