"""What the command line does to a SQLite directory."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from fastsmtp.directory.admin import (
    BadAddressError,
    DomainInUseError,
    DomainRow,
    DuplicateError,
    MailboxNameError,
    SqliteAdmin,
    UnknownDomainError,
    UnknownUserError,
    UserRow,
)
from fastsmtp.errors import DirectoryError

QPSMTPD = """
CREATE TABLE domain (domain_id int, is_active smallint, domain_name varchar(255));
CREATE TABLE "user" (user_id int, domain_id int, can_receive smallint, can_login smallint, username varchar(255));
INSERT INTO domain VALUES (7, 1, 'Example.Test'), (8, NULL, 'B\u00dcCHER.test');
INSERT INTO "user" VALUES (3, 7, 1, 0, 'Joe'), (4, 7, NULL, NULL, 'Ann'), (5, 8, 1, 1, 'ZO\u00cb');
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory.db"


@pytest.fixture
def admin(path: Path) -> Iterator[SqliteAdmin]:
    with SqliteAdmin(path, create=True) as admin:
        yield admin


@pytest.fixture(params=["as it is", "with our indexes"])
def foreign(path: Path, request: pytest.FixtureRequest) -> Iterator[SqliteAdmin]:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(QPSMTPD)
    with SqliteAdmin(path, create=request.param == "with our indexes") as admin:
        yield admin


def test_domains(admin: SqliteAdmin) -> None:
    assert admin.list_domains() == []
    assert admin.add_domain("Z.test") == DomainRow("z.test", is_active=True, users=0)
    assert admin.add_domain("B\u00fccher.TEST", is_active=False) == DomainRow("xn--bcher-kva.test", False, 0)
    admin.add_user("joe@z.test")
    assert admin.list_domains() == [DomainRow("xn--bcher-kva.test", False, 0), DomainRow("z.test", True, 1)]
    admin.set_domain_active("b\u00fccher.test", True)
    admin.set_domain_active("Z.TEST", False)
    assert admin.list_domains() == [DomainRow("xn--bcher-kva.test", True, 0), DomainRow("z.test", False, 1)]
    assert admin.remove_domain("xn--bcher-kva.test") == 0
    assert [row.name for row in admin.list_domains()] == ["z.test"]


def test_a_domain_with_users_is_removed_only_by_force(admin: SqliteAdmin) -> None:
    admin.add_domain("example.test")
    admin.add_user("joe@example.test")
    admin.add_user("ann@example.test")
    with pytest.raises(DomainInUseError, match=r"example\.test still has users: 2"):
        admin.remove_domain("example.test")
    assert len(admin.list_users()) == 2
    assert admin.remove_domain("example.test", force=True) == 2
    assert admin.list_domains() == []
    assert admin.list_users() == []


def test_users(admin: SqliteAdmin) -> None:
    admin.add_domain("example.test")
    admin.add_domain("other.test")
    joe = UserRow("example.test", "joe", can_receive=True, can_login=True)
    ann = UserRow("example.test", "ann", can_receive=False, can_login=False)
    zoe = UserRow("other.test", "zo\u00eb", can_receive=True, can_login=True)
    assert admin.add_user("Joe@Example.test") == joe
    assert admin.add_user("ann@example.test", can_receive=False, can_login=False) == ann
    assert admin.add_user("ZOe\u0308@other.test") == zoe
    assert admin.list_users() == [ann, joe, zoe]
    assert admin.list_users("OTHER.test") == [zoe]
    assert admin.set_user("JOE@example.test", can_receive=False) == UserRow("example.test", "joe", False, True)
    assert admin.set_user("joe@example.test", can_receive=True, can_login=False) == UserRow(
        "example.test", "joe", True, False
    )
    assert admin.set_user("joe@example.test") == UserRow("example.test", "joe", True, False)
    admin.remove_user("joe@EXAMPLE.test")
    assert admin.list_users("example.test") == [ann]


def test_a_row_shows_the_address_as_it_is_written() -> None:
    assert UserRow("example.test", "joe", True, True).address == "joe@example.test"
    assert UserRow("example.test", "two words", True, True).address == '"two words"@example.test'


def test_duplicates(admin: SqliteAdmin) -> None:
    admin.add_domain("b\u00fccher.test")
    admin.add_user("joe@b\u00fccher.test")
    with pytest.raises(DuplicateError, match=r"xn--bcher-kva\.test is here already"):
        admin.add_domain("XN--BCHER-KVA.test")
    with pytest.raises(DuplicateError, match=r"joe@xn--bcher-kva\.test is here already"):
        admin.add_user("JOE@xn--bcher-kva.test")


def test_unknown_domains_and_users(admin: SqliteAdmin) -> None:
    admin.add_domain("example.test")
    with pytest.raises(UnknownDomainError, match=r"other\.test"):
        admin.add_user("joe@other.test")
    with pytest.raises(UnknownDomainError):
        admin.set_domain_active("other.test", True)
    with pytest.raises(UnknownDomainError):
        admin.remove_domain("other.test")
    with pytest.raises(UnknownDomainError):
        admin.list_users("other.test")
    with pytest.raises(UnknownDomainError):
        admin.remove_user("joe@other.test")
    with pytest.raises(UnknownUserError, match=r"joe@example\.test"):
        admin.remove_user("joe@example.test")
    with pytest.raises(UnknownUserError):
        admin.set_user("joe@example.test", can_receive=False)


def test_names_that_are_none(admin: SqliteAdmin) -> None:
    admin.add_domain("example.test")
    with pytest.raises(BadAddressError, match="SPACE"):
        admin.add_domain("exam ple.test")
    with pytest.raises(BadAddressError, match="user@domain"):
        admin.add_user("joe")
    with pytest.raises(MailboxNameError):
        admin.add_user("a/b@example.test")
    assert admin.list_users() == []


def test_a_database_of_others_is_read(foreign: SqliteAdmin) -> None:
    assert foreign.list_domains() == [DomainRow("example.test", True, 2), DomainRow("xn--bcher-kva.test", False, 1)]
    assert foreign.list_users() == [
        UserRow("example.test", "ann", False, False),
        UserRow("example.test", "joe", True, False),
        UserRow("xn--bcher-kva.test", "zo\u00cb", True, True),
    ]


def test_a_database_of_others_is_changed(foreign: SqliteAdmin, path: Path) -> None:
    with pytest.raises(DuplicateError):
        foreign.add_domain("b\u00fccher.test")
    with pytest.raises(DuplicateError):
        foreign.add_user("zo\u00cb@b\u00fccher.test")
    foreign.set_domain_active("b\u00fccher.test", True)
    foreign.set_user("ann@example.test", can_receive=True)
    foreign.remove_user("ZO\u00cb@B\u00dcCHER.test")
    foreign.add_domain("new.test")
    foreign.add_user("eve@new.test")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM domain ORDER BY 1").fetchall() == [
            (7, 1, "Example.Test"),
            (8, 1, "B\u00dcCHER.test"),
            (9, 1, "new.test"),
        ]
        assert database.execute('SELECT * FROM "user" ORDER BY 1').fetchall() == [
            (3, 7, 1, 0, "Joe"),
            (4, 7, 1, None, "Ann"),
            (5, 9, 1, 1, "eve"),
        ]


def test_only_create_changes_the_journal_mode_and_the_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(QPSMTPD)
        SqliteAdmin(path).close()
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (2,)
    SqliteAdmin(path, create=True).close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (6,)


def test_names_that_clash_are_told_when_the_indexes_are_made(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(QPSMTPD)
        database.execute("INSERT INTO domain VALUES (9, 1, 'EXAMPLE.TEST')")
        database.commit()
    with pytest.raises(DirectoryError, match="domain_folded_name"):
        SqliteAdmin(path, create=True)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (2,)


def test_creating_twice_keeps_everything(admin: SqliteAdmin, path: Path) -> None:
    admin.add_domain("example.test")
    with SqliteAdmin(path, create=True) as again:
        assert [row.name for row in again.list_domains()] == ["example.test"]


def test_the_schema_itself_refuses_what_makes_no_sense(admin: SqliteAdmin, path: Path) -> None:
    admin.add_domain("example.test")
    admin.add_user("joe@example.test")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA foreign_keys = on")
        for statement in (
            "INSERT INTO domain (domain_name) VALUES ('EXAMPLE.test')",
            "INSERT INTO \"user\" (domain_id, username) VALUES (1, 'JOE')",
            "INSERT INTO \"user\" (domain_id, username) VALUES (2, 'ann')",
            "DELETE FROM domain",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                database.execute(statement)
        database.execute("INSERT INTO domain (domain_name) VALUES ('other.test')")
        database.execute("INSERT INTO \"user\" (domain_id, username) VALUES (2, 'joe')")
        database.commit()
    assert admin.list_users("other.test") == [UserRow("other.test", "joe", True, True)]


def test_a_missing_file_is_not_made_by_accident(path: Path) -> None:
    with pytest.raises(DirectoryError, match="unable to open"):
        SqliteAdmin(path)
    assert not path.exists()


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(DirectoryError, match="not a database"):
        SqliteAdmin(path, create=True)
    with SqliteAdmin(path) as admin, pytest.raises(DirectoryError, match="not a database"):
        admin.list_domains()


def test_another_writer_is_waited_for_but_not_for_ever(admin: SqliteAdmin, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with SqliteAdmin(path, busy_timeout_s=0.05) as impatient, pytest.raises(DirectoryError, match="locked"):
            impatient.add_domain("example.test")
        writer.execute("ROLLBACK")
    admin.add_domain("example.test")


def test_many_at_once(path: Path) -> None:
    def work(number: int) -> int:
        refused = 0
        with SqliteAdmin(path, create=True, busy_timeout_s=60) as admin:
            for user in range(5):
                try:
                    admin.add_domain("example.test")
                except DuplicateError:
                    refused += 1
                admin.add_user(f"user{number}.{user}@example.test")
        return refused

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 19
    with SqliteAdmin(path) as admin:
        assert len(admin.list_users()) == 20
