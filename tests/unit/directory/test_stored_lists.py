"""Lists in both databases: what is there, what has changed, and what is said when they cannot be read."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from unit.directory.conftest import QPSMTPD, Place

from fastsmtp.directory.database import MissingTableError
from fastsmtp.directory.stored_lists import SqliteLists
from fastsmtp.directory.stored_lists_postgres import PostgresLists
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import StoredRows

INSERT = "INSERT INTO block_entry (list, entry, reason) VALUES "

Ask: TypeAlias = Callable[[str, StoredRows | None], StoredRows]


@contextmanager
def asking(place: Place) -> Iterator[Ask]:
    """What the lists say, while others write."""
    lists = SqliteLists(place.url) if isinstance(place.url, Path) else PostgresLists(place.url)
    with asyncio.Runner() as runner:
        try:
            yield lambda name, seen: runner.run(lists.rows(name, seen))
        finally:
            runner.run(lists.close())


def test_each_list_has_its_rows_in_their_order(place: Place) -> None:
    place.run(f"{INSERT}('sender', 'b@example.org', 'no'), ('sender', 'a.example', ''), ('recipient', 'c@', '')")
    with asking(place) as rows:
        assert rows("sender", None).rows == (("a.example", ""), ("b@example.org", "no"))
        assert rows("recipient", None).rows == (("c@", ""),)


@pytest.mark.parametrize(
    "statement",
    [
        f"{INSERT}('sender', 'new.example', '')",
        "DELETE FROM block_entry WHERE entry = 'a.example'",
        "UPDATE block_entry SET reason = 'because' WHERE entry = 'a.example'",
        "UPDATE block_entry SET entry = 'c.example' WHERE entry = 'a.example'",
        "DELETE FROM block_entry",
    ],
)
def test_every_change_is_seen(place: Place, statement: str) -> None:
    place.run(f"{INSERT}('sender', 'a.example', ''), ('sender', 'b.example', '')")
    with asking(place) as rows:
        before = rows("sender", None)
        assert rows("sender", before) is before
        place.run(statement)
        after = rows("sender", before)
        assert after.rows != before.rows
        assert rows("sender", after) is after


def test_a_table_that_is_not_there_is_named_with_what_makes_it(empty: Place) -> None:
    empty.run(QPSMTPD)
    with asking(empty) as rows:
        with pytest.raises(MissingTableError, match=r"block_entry.*; to make what is missing: fastsmtp db migrate"):
            rows("sender", None)
        empty.migrate()
        assert rows("sender", None).rows == ()


def test_a_table_of_others_needs_no_types_and_no_reasons(empty: Place) -> None:
    empty.run("CREATE VIEW block_entry AS SELECT 'sender' AS list, 'a.example' AS entry, NULL AS reason")
    with asking(empty) as rows:
        before = rows("sender", None)
        assert before.rows == (("a.example", ""),)
        assert rows("sender", before).rows == before.rows


def test_a_database_that_is_away_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    place = Place(path)
    with asking(place) as rows:
        with pytest.raises(DirectoryError, match=f"cannot read the directory {path}: .*No such file"):
            rows("sender", None)
        place.migrate()
        before = rows("sender", None)
        # Another file in its place, in which as much has been written.
        other = Place(tmp_path / "other.db")
        other.migrate()
        other.run(f"{INSERT}('sender', 'a.example', '')")
        (tmp_path / "other.db").replace(path)
        assert rows("sender", before).rows == (("a.example", ""),)


def test_a_text_in_another_encoding_does_not_hide_the_others(tmp_path: Path) -> None:
    place = Place(tmp_path / "directory.db")
    place.migrate()
    with closing(sqlite3.connect(tmp_path / "directory.db", isolation_level=None)) as database:
        database.execute(f"{INSERT}('sender', CAST(X'62FC' AS text), ''), ('sender', 'a.example', '')")
    with asking(place) as rows:
        assert rows("sender", None).rows == (("a.example", ""), ("b\ufffd", ""))
