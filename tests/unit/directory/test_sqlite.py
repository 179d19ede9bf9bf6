"""SQLite's own troubles; the answers are in test_lookup."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.layout import Layout
from fastsmtp.directory.migrate import migrate_sqlite
from fastsmtp.directory.queries import OwnQueries
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Elsewhere, Found, Login, Mailbox, NoDomain, NoUser
from fastsmtp.smtp.address import Address

JOE = Address("joe", "example.test")
ANN = Address("ann", "example.test")
FOUND_JOE = Found((Mailbox("example.test", "joe"),))


def make(path: Path, *users: str) -> Path:
    with SqliteAdmin(path, create=True) as admin:
        admin.add_domain("example.test")
        for user in users:
            admin.add_user(user)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "directory.db", "joe@example.test")


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """A database that is held exclusively, in rollback-journal mode: readers have to wait."""
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        assert holder.execute("PRAGMA journal_mode = delete").fetchone() == ("delete",)
        holder.execute("BEGIN EXCLUSIVE")
        yield holder


def test_a_locked_database_is_waited_for_off_the_loop(path: Path) -> None:
    async def ask() -> None:
        directory = SqliteDirectory(path, busy_timeout_s=60)
        with locked(path) as holder:
            answers = [directory.locate(JOE), directory.locate(ANN), directory.locate(Address("joe", "other.test"))]
            futures = [answer for answer in answers if isinstance(answer, asyncio.Future)]
            assert len(futures) == 3
            assert not any(future.done() for future in futures)
            holder.execute("COMMIT")
            assert await asyncio.gather(*futures) == [FOUND_JOE, NoUser(), NoDomain()]
        assert directory.locate(JOE) == FOUND_JOE
        await directory.close()

    asyncio.run(ask())


def test_a_database_that_stays_locked_is_trouble(path: Path) -> None:
    async def ask() -> None:
        directory = SqliteDirectory(path, busy_timeout_s=0.05)
        with locked(path):
            answer = directory.locate(JOE)
            assert isinstance(answer, asyncio.Future)
            with pytest.raises(DirectoryError, match="locked") as caught:
                await answer
            assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
            with pytest.raises(DirectoryError, match="locked"):
                await directory.open()
        assert directory.locate(JOE) == FOUND_JOE
        await directory.close()

    asyncio.run(ask())


def test_a_writer_in_wal_mode_is_not_waited_for(path: Path) -> None:
    directory = SqliteDirectory(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("INSERT INTO \"user\" (domain_id, username) VALUES (1, 'ann')")
        assert directory.locate(JOE) == FOUND_JOE
        assert directory.locate(ANN) == NoUser()
        writer.execute("COMMIT")
        assert directory.locate(ANN) == Found((Mailbox("example.test", "ann"),))
    asyncio.run(directory.close())


def test_the_directory_never_writes(path: Path) -> None:
    directory = SqliteDirectory(path)
    assert directory.locate(JOE) == FOUND_JOE
    path.chmod(0o400)
    assert directory.locate(JOE) == FOUND_JOE
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        directory._connect().connection.execute('DELETE FROM "user"')  # noqa: SLF001 - how it is connected is the point
    asyncio.run(directory.close())


def test_what_a_crash_left_in_the_log_is_read(path: Path, tmp_path: Path) -> None:
    """A power cut leaves the file and its write-ahead log, and no shared memory to go with them."""
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO \"user\" (domain_id, username) VALUES (1, 'ann')")
        writer.commit()
        crashed = tmp_path / "crashed.db"
        shutil.copy(path, crashed)
        shutil.copy(f"{path}-wal", f"{crashed}-wal")
    directory = SqliteDirectory(crashed)
    assert directory.locate(ANN) == Found((Mailbox("example.test", "ann"),))
    asyncio.run(directory.close())


def test_a_replaced_file_is_noticed(path: Path, tmp_path: Path) -> None:
    directory = SqliteDirectory(path, recheck_s=0)
    assert directory.locate(ANN) == NoUser()
    make(tmp_path / "new.db", "ann@example.test").rename(path)
    assert directory.locate(ANN) == Found((Mailbox("example.test", "ann"),))
    assert directory.locate(JOE) == NoUser()
    asyncio.run(directory.close())


def test_a_deleted_file_is_trouble_until_it_is_back(path: Path, tmp_path: Path) -> None:
    directory = SqliteDirectory(path, recheck_s=0)
    assert directory.locate(JOE) == FOUND_JOE
    path.rename(tmp_path / "elsewhere.db")
    with pytest.raises(DirectoryError, match="No such file"):
        directory.locate(JOE)
    assert not path.exists()
    (tmp_path / "elsewhere.db").rename(path)
    assert directory.locate(JOE) == FOUND_JOE
    asyncio.run(directory.close())


def test_a_file_that_breaks_is_trouble_until_it_is_mended(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = delete")  # the file is all there is
    directory = SqliteDirectory(path)
    assert directory.locate(JOE) == FOUND_JOE
    good = path.read_bytes()
    path.write_bytes(b"\xa5" * len(good))
    with pytest.raises(DirectoryError) as caught:
        directory.locate(ANN)
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    path.write_bytes(good)
    assert directory.locate(JOE) == FOUND_JOE
    asyncio.run(directory.close())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"not a database" * 100, "not a database"), (b"", "no such table: domain"), (None, "No such file")],
)
def test_open_refuses_what_is_no_directory(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "directory.db"
    if content is not None:
        path.write_bytes(content)
    directory = SqliteDirectory(path)
    with pytest.raises(DirectoryError, match=complaint) as caught:
        asyncio.run(directory.open())
    assert str(path) in str(caught.value)
    asyncio.run(directory.close())


def test_columns_that_are_missing_are_noticed_at_open(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript('CREATE TABLE domain (domain_id int); CREATE TABLE "user" (user_id int)')
    directory = SqliteDirectory(path)
    with pytest.raises(DirectoryError, match="no such column"):
        asyncio.run(directory.open())
    asyncio.run(directory.close())


@pytest.mark.parametrize("name", ["with space.db", "50%.db", "q?mode=memory.db", "f#ragment.db", "\u00fcml\u00e4ut.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    directory = SqliteDirectory(make(tmp_path / name, "joe@example.test"))
    assert directory.locate(JOE) == FOUND_JOE
    asyncio.run(directory.close())


def test_names_twice_and_types_astray_in_a_database_of_others(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("""
            CREATE TABLE domain (domain_id, is_active, domain_name);
            CREATE TABLE "user" (user_id, domain_id, can_receive, can_login, username);
            INSERT INTO domain VALUES (1, 0, 'example.test'), (2, 1, 'EXAMPLE.test'), (3, 1, NULL),
                (4, 1, CAST(x'ff2e74657374' AS TEXT)), (5, 1, 7), (6, '0', 'off.test');
            INSERT INTO "user" VALUES (1, 1, 1, 1, 'ann'), (2, 2, 0, 1, 'joe'), (3, 2, 1, 1, 'JOE'), (4, 2, 1, 1, NULL),
                (5, 2, 1, 1, 123), (6, 2, 1, 1, CAST(x'6aff' AS TEXT)), (7, NULL, 1, 1, 'joe'),
                (8, 2, '0', 1, 'mute'), (9, 6, 1, 1, 'joe');
        """)
    directory = SqliteDirectory(path)
    assert directory.locate(JOE) == FOUND_JOE
    assert directory.locate(ANN) == NoUser()
    assert directory.locate(Address("123", "example.test")) == Found((Mailbox("example.test", "123"),))
    assert directory.locate(Address("j\u00ff", "example.test")) == NoUser()
    assert directory.locate(Address("j\ufffd", "example.test")) == NoUser()
    assert directory.locate(Address("joe", "xn--wgv71a.test")) == NoDomain()
    assert directory.locate(Address("mute", "example.test")) == NoUser()
    assert directory.locate(Address("joe", "off.test")) == NoDomain()
    asyncio.run(directory.close())


# --- what has changed ------------------------------------------------------------------------------------------------


def write(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


ADD_ANN = "INSERT INTO \"user\" (domain_id, username) VALUES (1, 'ann')"


def test_a_change_is_told_once(path: Path) -> None:
    directory = SqliteDirectory(path)
    assert directory.is_changed()
    assert not directory.is_changed()
    assert directory.locate(ANN) == NoUser()
    assert not directory.is_changed()
    write(path, ADD_ANN)
    assert directory.is_changed()
    assert not directory.is_changed()
    assert directory.locate(ANN) == Found((Mailbox("example.test", "ann"),))
    asyncio.run(directory.close())


@pytest.mark.parametrize("recheck_s", [0, 60])
def test_a_change_after_the_first_answer_is_a_change(path: Path, recheck_s: float) -> None:
    """Whoever keeps answers asks for the first time after the first of them; a look-up that notices hides nothing."""
    directory = SqliteDirectory(path, recheck_s=recheck_s)
    assert directory.locate(JOE) == FOUND_JOE
    assert directory.is_changed()
    assert directory.locate(JOE) == FOUND_JOE
    write(path, ADD_ANN)
    assert directory.locate(JOE) == FOUND_JOE
    assert directory.is_changed()
    assert not directory.is_changed()
    asyncio.run(directory.close())


def test_another_file_is_a_change(path: Path, tmp_path: Path) -> None:
    directory = SqliteDirectory(path, recheck_s=0)
    assert directory.is_changed()
    make(tmp_path / "new.db", "ann@example.test").rename(path)
    assert directory.is_changed()
    assert not directory.is_changed()
    asyncio.run(directory.close())


def test_nothing_has_changed_while_nobody_can_tell(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = delete")
    directory = SqliteDirectory(path, recheck_s=0)
    assert directory.is_changed()
    path.rename(tmp_path / "elsewhere.db")
    assert not directory.is_changed()
    with pytest.raises(DirectoryError, match="No such file"):
        directory.locate(JOE)
    (tmp_path / "elsewhere.db").rename(path)
    assert directory.is_changed()
    assert not directory.is_changed()
    with locked(path) as holder:
        holder.execute(ADD_ANN)
        assert not directory.is_changed()
        holder.execute("COMMIT")
        assert directory.is_changed()
    good = path.read_bytes()
    path.write_bytes(b"\xa5" * len(good))
    assert not directory.is_changed()
    path.write_bytes(good)
    assert directory.is_changed()
    asyncio.run(directory.close())


# --- optional tables -------------------------------------------------------------------------------------------------


def test_tables_that_come_and_go_while_we_run(path: Path) -> None:
    write(path, "DROP TABLE alias", "DROP TABLE mailbox", "DROP TABLE domain_alias", "DROP TABLE schema_version")
    directory = SqliteDirectory(path, recheck_s=60)
    team = Address("team", "example.test")
    assert directory.locate(team) == NoUser()
    migrate_sqlite(path)
    write(
        path,
        "INSERT INTO alias (domain_id, alias_name, target) VALUES (1, 'team', 'joe@example.test')",
        "INSERT INTO domain_alias (domain_id, alias_name) VALUES (1, 'second.test')",
        "INSERT INTO mailbox (user_id, quota_bytes) VALUES (1, 5)",
    )
    assert directory.is_changed()
    joe = Found((Mailbox("example.test", "joe", 5),))
    assert directory.locate(team) == joe
    assert directory.locate(Address("team", "second.test")) == joe
    write(path, "DROP TABLE alias", "DROP TABLE mailbox", "DROP TABLE domain_alias")
    assert directory.is_changed()
    assert directory.locate(team) == NoUser()
    assert directory.locate(Address("team", "second.test")) == NoDomain()
    assert directory.locate(JOE) == FOUND_JOE
    asyncio.run(directory.close())


def test_new_tables_are_noticed_without_a_cache_too(path: Path) -> None:
    write(path, "DROP TABLE alias", "DROP TABLE schema_version")
    directory = SqliteDirectory(path, recheck_s=0)
    assert directory.locate(JOE) == FOUND_JOE
    migrate_sqlite(path)
    write(path, "INSERT INTO alias (domain_id, alias_name, target) VALUES (1, '*', 'joe@far.test')")
    assert directory.locate(ANN) == Elsewhere(("joe@far.test",))
    asyncio.run(directory.close())


def test_a_table_that_is_somebody_elses(path: Path) -> None:
    """PostfixAdmin has tables of these names, too."""
    directory = SqliteDirectory(path, recheck_s=0)
    assert directory.locate(JOE) == FOUND_JOE
    write(path, "DROP TABLE alias", "CREATE TABLE alias (address text, goto text, domain text, active int)")
    for _ in range(2):
        assert not directory.is_changed()
        with pytest.raises(DirectoryError, match=r"no such column: alias\.domain_id") as caught:
            directory.locate(JOE)
        assert str(path) in str(caught.value)
        assert '`alias = ""` in [directory.tables]' in str(caught.value)
    other = SqliteDirectory(path, layout=Layout({"alias": ""}))
    assert other.locate(JOE) == FOUND_JOE
    write(path, "DROP TABLE alias")
    assert directory.is_changed()
    assert directory.locate(JOE) == FOUND_JOE
    asyncio.run(directory.close())
    asyncio.run(other.close())


def test_a_locked_database_is_waited_for_in_the_middle_of_an_alias(path: Path) -> None:
    """All questions of an answer are asked again."""
    write(path, "INSERT INTO alias (domain_id, alias_name, target) VALUES (1, 'team', 'joe@example.test')")

    async def ask() -> None:
        directory = SqliteDirectory(path, busy_timeout_s=60)
        with locked(path) as holder:
            answer = directory.locate(Address("team", "example.test"))
            assert isinstance(answer, asyncio.Future)
            holder.execute("COMMIT")
            assert await answer == FOUND_JOE
        await directory.close()

    asyncio.run(ask())


def test_targets_in_another_encoding_are_left_out(path: Path) -> None:
    write(
        path,
        "INSERT INTO alias (domain_id, alias_name, target) VALUES (1, 'team', CAST(x'6aff40e9' AS TEXT))",
        "INSERT INTO alias (domain_id, alias_name, target) VALUES (1, 'team', 'joe@example.test')",
    )
    directory = SqliteDirectory(path)
    assert directory.locate(Address("team", "example.test")) == FOUND_JOE
    asyncio.run(directory.close())


# --- tables and queries of others ------------------------------------------------------------------------------------

POSTFIX = """
CREATE TABLE domain (domain text, active int);
CREATE TABLE mailbox (username text, domain text, quota int, active int, password text DEFAULT '$argon2id$one');
INSERT INTO domain VALUES ('example.test', 1), ('closed.test', 0);
INSERT INTO mailbox (username, domain, quota, active) VALUES
    ('joe@example.test', 'example.test', 1024, 1), ('mute@example.test', 'example.test', 0, 0),
    ('joe@closed.test', 'closed.test', 0, 1), ('100%@example.test', 'example.test', 7, 1);
"""
QUERIES = OwnQueries(
    domain="SELECT active FROM domain WHERE domain = :domain -- :this is no parameter",
    recipient="SELECT active, quota FROM mailbox WHERE username = :local || '@' || :domain AND domain = :domain",
)


@pytest.fixture
def postfix(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "postfix.db")) as database:
        database.executescript(POSTFIX)
    return tmp_path / "postfix.db"


def test_queries_of_the_operator(postfix: Path) -> None:
    directory = SqliteDirectory(postfix, layout=QUERIES, postmaster=JOE)
    asyncio.run(directory.open())
    joe = Found((Mailbox("example.test", "joe", 1024),))
    assert directory.locate(JOE) == joe
    assert directory.locate(Address("Joe+Tag", "example.test")) == joe
    assert directory.locate(Address("100%", "example.test")) == Found((Mailbox("example.test", "100%", 7),))
    assert directory.locate(ANN) == NoUser()
    assert directory.locate(Address("mute", "example.test")) == NoUser()
    assert directory.locate(Address("' OR 1=1 --", "example.test")) == NoUser()
    assert directory.locate(Address("joe", "closed.test")) == NoDomain()
    assert directory.locate(Address("joe", "far.test")) == NoDomain()
    assert directory.locate(Address("postmaster", "example.test")) == joe
    assert directory.is_changed()
    write(postfix, "UPDATE mailbox SET quota = 5")
    assert directory.is_changed()
    assert directory.locate(JOE) == Found((Mailbox("example.test", "joe", 5),))
    asyncio.run(directory.close())


def test_a_query_for_logins(postfix: Path) -> None:
    login = "SELECT active, password FROM mailbox WHERE username = :local || '@' || :domain"
    directory = SqliteDirectory(postfix, layout=replace(QUERIES, login=login))
    asyncio.run(directory.open())
    assert directory.find_login(Address("Joe", "example.test")) == Login(JOE, "$argon2id$one")
    for nobody in (ANN, Address("mute", "example.test"), Address("joe", "closed.test"), Address("joe", "far.test")):
        assert directory.find_login(nobody) is None
    asyncio.run(directory.close())


@pytest.mark.parametrize(
    ("login", "problem"),
    [
        ("", r"\[directory\.queries\] has no login"),
        ("SELEKT 1", r"directory\.queries\.login: near \"SELEKT\": syntax error"),
        ("SELECT :user", r"directory\.queries\.login: .*:user"),
        ("SELECT 1", r"directory\.queries\.login gives 1 columns; write two, can_login and password_hash"),
        ("SELECT 't', 'hash'", r"directory\.queries\.login: can_login is 't'"),
        ("SELECT 1, 5", r"directory\.queries\.login: password_hash is not text"),
    ],
)
def test_a_query_for_logins_that_is_wrong(postfix: Path, login: str, problem: str) -> None:
    directory = SqliteDirectory(postfix, layout=replace(QUERIES, login=login))
    asyncio.run(directory.open())  # mail is taken all the same
    with pytest.raises(DirectoryError, match=problem):
        directory.find_login(JOE)
    assert isinstance(directory.locate(JOE), Found)
    asyncio.run(directory.close())


def test_tables_without_the_columns_of_a_login(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    write(
        path,
        "CREATE TABLE domain (domain_id, is_active, domain_name)",
        "INSERT INTO domain VALUES (1, 1, 'example.test')",
    )
    write(
        path,
        "CREATE TABLE user (user_id, domain_id, can_receive, username)",
        "INSERT INTO user VALUES (1, 1, 1, 'joe')",
    )
    directory = SqliteDirectory(path)
    assert directory.locate(JOE) == FOUND_JOE
    with pytest.raises(
        DirectoryError, match=r'nobody can log in, since "user"\."can_login" and .* cannot be asked for'
    ):
        directory.find_login(JOE)
    renamed = SqliteDirectory(path, layout=Layout({"user.can_login": "can_receive"}))
    assert renamed.find_login(JOE) is None
    asyncio.run(directory.close())


def test_a_login_waits_for_a_lock_too(path: Path) -> None:
    with SqliteAdmin(path) as admin:
        admin.set_password("joe@example.test", "$argon2id$one")

    async def ask() -> None:
        directory = SqliteDirectory(path, busy_timeout_s=60)
        with locked(path) as holder:
            answer = directory.find_login(JOE)
            assert isinstance(answer, asyncio.Future)
            holder.execute("COMMIT")
            assert await answer == Login(JOE, "$argon2id$one")
        await directory.close()

    asyncio.run(ask())


def test_a_new_password_counts_at_once(path: Path) -> None:
    directory = SqliteDirectory(path)
    assert directory.find_login(JOE) is None
    with SqliteAdmin(path) as admin:
        for password_hash in ("$argon2id$one", "$argon2id$another", None):
            admin.set_password("joe@example.test", password_hash)
            login = directory.find_login(JOE)
            assert isinstance(login, Login | None)
            assert (login and login.password_hash) == password_hash
    asyncio.run(directory.close())


def test_queries_without_a_quota(postfix: Path) -> None:
    recipient = "SELECT active FROM mailbox WHERE username = :local || '@' || :domain"
    directory = SqliteDirectory(postfix, layout=OwnQueries(QUERIES.domain, recipient))
    assert directory.locate(JOE) == FOUND_JOE
    asyncio.run(directory.close())


@pytest.mark.parametrize(
    ("domain", "recipient", "problem"),
    [
        ("SELECT 1 FROM nowhere", QUERIES.recipient, r"directory\.queries\.domain: no such table: nowhere"),
        (QUERIES.domain, "SELEKT 1", r"directory\.queries\.recipient: near \"SELEKT\": syntax error"),
        (QUERIES.domain, "SELECT :user", r"directory\.queries\.recipient: .*:user"),
        (QUERIES.domain, "SELECT 1; SELECT 2", r"directory\.queries\.recipient: You can only execute one statement"),
        (QUERIES.domain, "SELECT * FROM mailbox", r"directory\.queries\.recipient gives 5 columns"),
        (QUERIES.domain, "DELETE FROM mailbox", "attempt to write a readonly database"),
        ("", QUERIES.recipient, r"directory\.queries\.domain gives no column"),
        ("SELECT 'f'", QUERIES.recipient, r"directory\.queries\.domain: active is 'f'"),
    ],
)
def test_queries_that_are_wrong_are_noticed_at_open(postfix: Path, domain: str, recipient: str, problem: str) -> None:
    directory = SqliteDirectory(postfix, layout=OwnQueries(domain, recipient))
    with pytest.raises(DirectoryError, match=problem):
        asyncio.run(directory.open())
    asyncio.run(directory.close())


def test_queries_wait_for_a_lock_too(postfix: Path) -> None:
    async def ask() -> None:
        directory = SqliteDirectory(postfix, layout=QUERIES, busy_timeout_s=60)
        with locked(postfix) as holder:
            answer = directory.locate(JOE)
            assert isinstance(answer, asyncio.Future)
            holder.execute("COMMIT")
            assert await answer == Found((Mailbox("example.test", "joe", 1024),))
        await directory.close()

    asyncio.run(ask())


def test_tables_by_other_names(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("""
            CREATE TABLE domains (id int, active int, name text);
            CREATE TABLE people (id int, domain int, active int, "local part" text);
            CREATE TABLE "user" (something);
            INSERT INTO domains VALUES (1, 1, 'Example.test');
            INSERT INTO people VALUES (1, 1, 1, 'Joe');
        """)
    layout = Layout(
        {
            "domain": "main.domains",
            "domain.domain_id": "id",
            "domain.is_active": "active",
            "domain.domain_name": "name",
            "user": "people",
            "user.user_id": "id",
            "user.domain_id": "domain",
            "user.can_receive": "active",
            "user.username": "local part",
        }
    )
    directory = SqliteDirectory(path, layout=layout)
    assert directory.locate(JOE) == FOUND_JOE
    assert directory.locate(ANN) == NoUser()
    asyncio.run(directory.close())
