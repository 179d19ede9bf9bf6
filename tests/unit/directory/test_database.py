"""What both databases do alike."""

import pytest
from unit.directory.conftest import Place

from fastsmtp.directory.database import MissingTableError
from fastsmtp.errors import DirectoryError


def test_a_missing_table_has_a_remedy() -> None:
    error = MissingTableError("mail.db", "no such table: alias")
    assert isinstance(error, DirectoryError)
    assert str(error) == (
        "cannot use the directory mail.db: no such table: alias; to make what is missing: fastsmtp db migrate"
    )


def test_rows_in_and_out(place: Place) -> None:
    database = place.connect()
    with database.changing():
        database.insert("domain", ("domain_id", "is_active", "domain_name"), [(5, 1, "a.test"), (6, 0, "b.test")])
        database.execute_many("UPDATE domain SET is_active = ? WHERE domain_name = ?", [(0, "a.test"), (1, "b.test")])
        assert database.execute("DELETE FROM domain WHERE domain_id = ? RETURNING domain_name", 5) == [("a.test",)]
    assert database.execute("SELECT domain_id, is_active, domain_name FROM domain") == [(6, 1, "b.test")]
    assert database.tables() >= {"domain", "user", "alias", "domain_alias", "mailbox", "domain_setting"}
    database.close()


def test_a_change_that_fails_is_none(place: Place) -> None:
    database = place.connect()

    def add(names: dict[int, str], fault: Exception | None = None) -> None:
        with database.changing():
            for number, name in names.items():
                database.execute("INSERT INTO domain (domain_id, domain_name) VALUES (?, ?)", number, name)
            if fault is not None:
                raise fault

    with pytest.raises(ZeroDivisionError):
        add({1: "a.test"}, ZeroDivisionError())
    with pytest.raises(DirectoryError, match="cannot use the directory"):
        add({1: "a.test", 2: "A.test"})
    with pytest.raises(MissingTableError, match="nowhere"), database.reading():
        database.execute("SELECT * FROM nowhere")
    assert database.execute("SELECT * FROM domain") == []
    database.close()


def test_one_moment(place: Place) -> None:
    database = place.connect()
    with database.reading():
        assert database.execute("SELECT count(*) FROM domain") == [(0,)]
        place.run("INSERT INTO domain (domain_name) VALUES ('a.test')")
        assert database.execute("SELECT count(*) FROM domain") == [(0,)]
    assert database.execute("SELECT count(*) FROM domain") == [(1,)]
    database.close()


def test_new_numbers(place: Place) -> None:
    database = place.connect()
    with database.changing():
        assert database.new_ids("domain", "domain_id", 0) == range(0)
        first = database.new_ids("domain", "domain_id", 3)
        assert len(first) == 3
        database.insert("domain", ("domain_id", "domain_name"), [(number, f"{number}.test") for number in first])
    place.run("INSERT INTO domain (domain_name) VALUES ('by.default')")
    with database.changing():
        [following] = database.new_ids("domain", "domain_id")
    assert (following,) not in place.query("SELECT domain_id FROM domain")
    database.close()
