"""What is odd about an alias."""

from pathlib import Path

import pytest

from fastsmtp.directory.admin import Admin, SqliteAdmin
from fastsmtp.directory.lookup import Rules
from fastsmtp.smtp.address import Address


@pytest.fixture
def ours(sqlite_admin: SqliteAdmin) -> SqliteAdmin:
    sqlite_admin.add_domain("example.test")
    sqlite_admin.add_domain_alias("also.test", "example.test")
    sqlite_admin.add_user("joe@example.test")
    return sqlite_admin


def added(admin: Admin, address: str, *targets: str) -> list[str]:
    return admin.warnings(admin.add_alias(address, targets))


@pytest.mark.parametrize("target", ["joe@example.test", "JOE+tag@example.test", "joe@also.test"])
def test_nothing_is_odd(ours: SqliteAdmin, target: str) -> None:
    assert added(ours, "info@example.test", target) == []
    assert added(ours, "sales@example.test", "info@also.test") == []
    assert added(ours, "*@example.test", "info@example.test") == []


def test_targets_without_a_mailbox(ours: SqliteAdmin) -> None:
    assert added(ours, "info@example.test", "joe@example.test", "ann@example.test", "x@a.test", "y@b.test") == [
        "nobody is called ann@example.test yet",
        (
            "not a domain of ours: x@a.test, y@b.test;"
            " as long as there is no relay, mail for info@example.test is refused (550 5.4.4)"
        ),
    ]
    ours.add_alias("*@example.test", ["joe@example.test"])
    assert added(ours, "sales@example.test", "ann@example.test") == []


def test_an_alias_that_is_off_leads_nowhere(ours: SqliteAdmin) -> None:
    ours.add_alias("info@example.test", ["joe@example.test"])
    ours.set_alias_active("info@example.test", False)
    assert added(ours, "sales@example.test", "info@example.test") == ["nobody is called info@example.test yet"]


def test_a_mailbox_comes_first(ours: SqliteAdmin) -> None:
    assert added(ours, "joe@example.test", "joe@example.test") == [
        "joe@example.test has a mailbox, which comes first: the alias is not used"
    ]


def test_loops(ours: SqliteAdmin) -> None:
    assert added(ours, "a@example.test", "a@also.test") == [
        "the alias leads back to itself: a@example.test -> a@also.test"
    ]
    ours.add_alias("b@example.test", ["joe@example.test", "c@example.test"])
    assert added(ours, "c@example.test", "b+tag@example.test", "joe@example.test") == [
        "the alias leads back to itself: c@example.test -> b+tag@example.test -> c@example.test"
    ]
    # Nobody comes back to this one, though there is a loop behind it.
    assert added(ours, "d@example.test", "c@example.test") == []
    assert added(ours, "*@example.test", "nobody@example.test") == [
        "the alias leads back to itself: *@example.test -> nobody@example.test"
    ]


def test_a_target_that_is_no_address(ours: SqliteAdmin) -> None:
    row = ours.add_alias("info@example.test", ["joe@example.test"])
    broken = type(row)(row.domain, row.name, row.is_active, ("rubbish",))
    assert ours.warnings(broken) == ["nobody is called rubbish yet"]


def test_the_deputy_of_the_postmaster(ours: SqliteAdmin, tmp_path: Path) -> None:
    target = "postmaster@example.test"
    alias = ours.add_alias("info@example.test", [target])
    assert ours.warnings(alias) == [f"nobody is called {target} yet"]
    with SqliteAdmin(tmp_path / "directory.db", rules=Rules(Address("joe", "example.test"))) as with_deputy:
        assert with_deputy.warnings(alias) == []
