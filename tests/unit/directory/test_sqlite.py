"""SQLite's own troubles; the answers are in test_lookup."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Found, Mailbox, NoDomain, NoUser
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
        directory = SqliteDirectory(path, fresh_s=0, busy_timeout_s=60)
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
        directory = SqliteDirectory(path, fresh_s=0, busy_timeout_s=0.05)
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
    directory = SqliteDirectory(path, fresh_s=0)
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
    directory = SqliteDirectory(path, fresh_s=0)
    assert directory.locate(JOE) == FOUND_JOE
    path.chmod(0o400)
    assert directory.locate(JOE) == FOUND_JOE
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        directory._connect().execute('DELETE FROM "user"')  # noqa: SLF001 - how it is connected is the point
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
    directory = SqliteDirectory(path, recheck_s=0, fresh_s=0)
    assert directory.locate(ANN) == NoUser()
    make(tmp_path / "new.db", "ann@example.test").rename(path)
    assert directory.locate(ANN) == Found((Mailbox("example.test", "ann"),))
    assert directory.locate(JOE) == NoUser()
    asyncio.run(directory.close())


def test_a_deleted_file_is_trouble_until_it_is_back(path: Path, tmp_path: Path) -> None:
    directory = SqliteDirectory(path, recheck_s=0, fresh_s=0)
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
    directory = SqliteDirectory(path, fresh_s=0)
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
    [(b"not a database" * 100, "not a database"), (b"", "no such table"), (None, "No such file")],
)
def test_open_refuses_what_is_no_directory(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "directory.db"
    if content is not None:
        path.write_bytes(content)
    directory = SqliteDirectory(path, fresh_s=0)
    with pytest.raises(DirectoryError, match=complaint) as caught:
        asyncio.run(directory.open())
    assert str(path) in str(caught.value)
    asyncio.run(directory.close())


def test_columns_that_are_missing_are_noticed_at_open(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript('CREATE TABLE domain (domain_id int); CREATE TABLE "user" (user_id int)')
    directory = SqliteDirectory(path, fresh_s=0)
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
                (4, 1, CAST(x'ff2e74657374' AS TEXT)), (5, 1, 7);
            INSERT INTO "user" VALUES (1, 1, 1, 1, 'ann'), (2, 2, 0, 1, 'joe'), (3, 2, 1, 1, 'JOE'), (4, 2, 1, 1, NULL),
                (5, 2, 1, 1, 123), (6, 2, 1, 1, CAST(x'6aff' AS TEXT)), (7, NULL, 1, 1, 'joe');
        """)
    directory = SqliteDirectory(path, fresh_s=0)
    assert directory.locate(JOE) == FOUND_JOE
    assert directory.locate(ANN) == NoUser()
    assert directory.locate(Address("123", "example.test")) == Found((Mailbox("example.test", "123"),))
    assert directory.locate(Address("j\u00ff", "example.test")) == NoUser()
    assert directory.locate(Address("j\ufffd", "example.test")) == NoUser()
    assert directory.locate(Address("joe", "xn--wgv71a.test")) == NoDomain()
    asyncio.run(directory.close())
