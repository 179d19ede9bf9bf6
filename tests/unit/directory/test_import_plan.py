"""Who is new, and who is there already."""

from pathlib import Path

import pytest

from fastsmtp.directory.admin import DuplicateError, SqliteAdmin, UnknownDomainError
from fastsmtp.directory.csv_lines import AliasLine, UserLine
from fastsmtp.directory.database_sqlite import SqliteDatabase
from fastsmtp.directory.import_plan import AliasPlan, UserPlan
from fastsmtp.smtp.address import Address


@pytest.fixture
def database(tmp_path: Path, sqlite_admin: SqliteAdmin) -> SqliteDatabase:
    sqlite_admin.add_domain("example.test")
    sqlite_admin.add_user("joe@example.test")
    for alias in ("info@example.test", "off@example.test"):
        sqlite_admin.add_alias(alias, ["joe@example.test"])
    sqlite_admin.set_alias_active("off@example.test", False)
    return SqliteDatabase(tmp_path / "directory.db")


def user(line: int, name: str, domain: str = "example.test") -> UserLine:
    return UserLine(line, Address(name, domain))


def alias(line: int, name: str, target: str) -> AliasLine:
    return AliasLine(line, Address(name, "example.test"), Address(target, "example.test"))


def test_users(database: SqliteDatabase) -> None:
    plan = UserPlan(database, update=True)
    plan.take(user(2, "Ann"))
    plan.take(user(3, "JOE"))
    assert plan.new == [(1, user(2, "Ann"))]
    assert plan.changed == [(1, user(3, "JOE"))]
    with pytest.raises(DuplicateError, match="in line 2 already"):
        plan.take(user(4, "ann"))
    with pytest.raises(DuplicateError, match="is here already"):
        UserPlan(database, update=False).take(user(2, "joe"))
    database.close()


def test_an_unknown_domain_is_looked_for_once(database: SqliteDatabase) -> None:
    plan = UserPlan(database, update=True)
    for line in (2, 3):
        with pytest.raises(UnknownDomainError, match=r"other\.test is not in the directory"):
            plan.take(user(line, "joe", "other.test"))
        database.execute("INSERT INTO domain (domain_name) VALUES (?)", f"{line}.other.test")
    plan.take(user(4, "joe", "2.other.test"))
    assert len(plan.new) == 1
    database.close()


def test_aliases(database: SqliteDatabase) -> None:
    plan = AliasPlan(database, update=True)
    plan.take(alias(2, "INFO", "Joe"))
    plan.take(alias(3, "info", "ann"))
    plan.take(alias(4, "off", "ann"))
    plan.take(alias(5, "new", "ann"))
    assert plan.known == 1
    assert [(is_active, line.line) for _, is_active, line in plan.new] == [(True, 3), (False, 4), (True, 5)]
    with pytest.raises(DuplicateError, match=r"info@example\.test to ANN@example\.test is in line 3 already"):
        plan.take(alias(6, "info", "ANN"))
    with pytest.raises(DuplicateError, match=r"leads to joe@example\.test already"):
        AliasPlan(database, update=False).take(alias(2, "info", "joe"))
    database.close()
