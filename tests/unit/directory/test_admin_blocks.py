"""The lists of senders and recipients that are refused, in both databases."""

import pytest
from unit.directory.conftest import QPSMTPD, Place

from fastsmtp.directory.admin import Admin, BadEntryError, BlockRow, DuplicateError, SqliteAdmin, UnknownEntryError
from fastsmtp.directory.database import MissingTableError


def test_entries_are_added_listed_and_removed(admin: Admin) -> None:
    ann = BlockRow("sender", "Ann@Example.org", "not you")
    assert admin.add_block("sender", " Ann@Example.org ", "not you") == ann
    spam = admin.add_block("sender", "spam.example")
    sales = admin.add_block("recipient", "sales@")
    assert admin.list_blocks("recipient") == [sales]
    assert sorted(admin.list_blocks()) == sorted([ann, spam, sales])
    admin.remove_block("sender", "ann@example.ORG")
    assert admin.list_blocks("sender") == [spam]
    with pytest.raises(UnknownEntryError, match=r"^ann@example\.org is not on the list sender$"):
        admin.remove_block("sender", "ann@example.org")
    with pytest.raises(UnknownEntryError, match="is not on the list recipient"):
        admin.remove_block("recipient", "spam.example")


@pytest.mark.parametrize(
    ("entry", "same"),
    [
        ("Ann@Example.org", "ann@EXAMPLE.org"),
        ("b\u00fccher.example", "@xn--bcher-kva.example"),
        ("!ann@", "!ANN@"),
        ("*@*.example", "*@*.example"),
    ],
)
def test_what_means_the_same_is_there_once(sqlite_admin: SqliteAdmin, entry: str, same: str) -> None:
    sqlite_admin.add_block("sender", entry)
    with pytest.raises(DuplicateError, match="is on the list sender already"):
        sqlite_admin.add_block("sender", same)
    sqlite_admin.add_block("recipient", same)
    sqlite_admin.remove_block("sender", same)
    assert sqlite_admin.list_blocks() == [BlockRow("recipient", same, "")]


def test_an_exception_is_another_entry(sqlite_admin: SqliteAdmin) -> None:
    sqlite_admin.add_block("sender", "example.org")
    sqlite_admin.add_block("sender", "!example.org")
    sqlite_admin.add_block("sender", ".example.org")
    assert len(sqlite_admin.list_blocks("sender")) == 3


@pytest.mark.parametrize(
    ("entry", "reason", "problem"),
    [
        ("", "", "'' is not a domain name"),
        ("*.example", "", "is no pattern for addresses"),
        ("/(a+)+/", "", "repeats a group"),
        ("spam.example we know you", "", "there is something behind spam.example; a reason is given on its own"),
        ("/a\nb/", "", "all of them printable"),
        (f"{'x' * 1000}@a.example", "", "an entry has at most 1000 characters"),
        ("spam.example", "one\ntwo", "a reason is one line of at most 255 printable characters"),
        ("spam.example", "x" * 256, "a reason is one line of at most 255 printable characters"),
    ],
)
def test_what_is_no_entry(sqlite_admin: SqliteAdmin, entry: str, reason: str, problem: str) -> None:
    with pytest.raises(BadEntryError) as caught:
        sqlite_admin.add_block("sender", entry, reason)
    assert problem in str(caught.value)
    assert sqlite_admin.list_blocks() == []


def test_what_others_wrote_and_nobody_understands_is_no_obstacle(place: Place) -> None:
    place.run("INSERT INTO block_entry (list, entry) VALUES ('sender', '*.example')")
    with place.admin() as admin:
        admin.add_block("sender", "spam.example")
        assert {row.entry for row in admin.list_blocks("sender")} == {"*.example", "spam.example"}


def test_a_database_without_the_table(empty: Place) -> None:
    empty.run(QPSMTPD)
    with empty.admin() as admin:
        with pytest.raises(MissingTableError, match="fastsmtp db migrate"):
            admin.add_block("sender", "spam.example")
        with pytest.raises(MissingTableError, match="fastsmtp db migrate"):
            admin.list_blocks()
