"""Names of others, and the SQL that asks for them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.directory.layout import BASE_TABLES, OPTIONAL_TABLES, Layout, read_rows
from fastsmtp.directory.logins import LoginRow
from fastsmtp.directory.resolve import AliasRow, Rows, UserRow
from fastsmtp.errors import ConfigurationError

THEIRS = {
    "domain": "virtual domains",
    "domain.domain_id": "id",
    "domain.is_active": 'on "or" off',
    "domain.domain_name": "name",
    "user": 'ac"counts',
    "user.user_id": "id",
    "user.domain_id": "domain",
    "user.can_receive": "select",
    "user.username": "x'; DROP TABLE mail; --",
    "alias": "forwardings",
    "alias.domain_id": "domain",
    "alias.is_active": "active",
    "alias.alias_name": "source",
    "alias.target": "destination",
    "domain_alias": "synonyms",
    "domain_alias.alias_name": "synonym",
    "mailbox": "limits",
    "mailbox.user_id": "account",
    "mailbox.quota_bytes": "octets",
}
SCHEMA = """
CREATE TABLE "virtual domains" (id int, "on ""or"" off" int, name text);
CREATE TABLE "ac""counts" (id int, domain int, "select" int, "x'; DROP TABLE mail; --" text);
CREATE TABLE forwardings (domain int, active int, source text, destination text);
CREATE TABLE synonyms (domain_id int, is_active int, synonym text);
CREATE TABLE limits (account int, octets int);
INSERT INTO "virtual domains" VALUES (1, 1, 'Example.test'), (2, 0, 'B\u00dcCHER.test'), (3, 1, NULL);
INSERT INTO "ac""counts" VALUES (1, 1, 1, 'Joe'), (2, 1, 0, 'ZO\u00cb'), (3, 1, 1, 'ann'), (4, 1, 1, NULL);
INSERT INTO forwardings VALUES (1, 1, 'Team', 'joe@example.test'), (1, 1, '*', 'ann@example.test'),
    (1, 0, 'team', 'off@example.test'), (1, 1, 'team', NULL), (2, 1, 'team', 'joe@example.test'),
    (1, 1, 'ZO\u00cb', 'joe@example.test');
INSERT INTO synonyms VALUES (1, 1, 'Second.test'), (1, 0, 'off.test'), (2, 1, 'third.test');
INSERT INTO limits VALUES (1, 5);
"""
OURS = UserRow("Example.test", "Example.test", 1)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        yield connection


def rows(
    database: sqlite3.Connection,
    *question: str | None,
    tables: tuple[str, ...] = OPTIONAL_TABLES,
    is_ascii: bool = True,
) -> Rows:
    return read_rows(database.execute(Layout(THEIRS).question_sql("sqlite", tables, is_ascii=is_ascii), question))


def test_a_question_to_tables_of_others(database: sqlite3.Connection) -> None:
    joe = UserRow("Example.test", "Example.test", 1, "Joe", 1, 5)
    catch_all = AliasRow("Example.test", "Example.test", "*", "ann@example.test")
    team = AliasRow("Example.test", "Example.test", "Team", "joe@example.test")
    assert rows(database, "example.test", "joe", None) == Rows([joe], [catch_all])
    users, aliases = rows(database, "example.test", "team", "joe")
    assert (users, set(aliases)) == ([joe], {team, catch_all})
    assert rows(database, "example.test", None, None) == Rows([OURS], [catch_all])
    assert rows(database, "far.test", "joe", None) == Rows([], [])


def test_domain_aliases_of_others(database: sqlite3.Connection) -> None:
    users, aliases = rows(database, "second.test", "ann", None)
    assert users == [UserRow("Second.test", "Example.test", 1, "ann", 1)]
    assert aliases == [AliasRow("Second.test", "Example.test", "*", "ann@example.test")]
    assert rows(database, "off.test", "ann", None) == Rows([UserRow("off.test", "Example.test", None, "ann", 1)], [])
    assert rows(database, "third.test", "ann", None) == Rows([UserRow("third.test", "B\u00dcCHER.test", 0)], [])


def test_optional_tables_are_left_alone(database: sqlite3.Connection) -> None:
    for table in ("forwardings", "synonyms", "limits"):
        database.execute(f"DROP TABLE {table}")
    joe = UserRow("Example.test", "Example.test", 1, "Joe", 1)
    assert rows(database, "example.test", "joe", "team", tables=()) == Rows([joe], [])
    assert rows(database, "second.test", "joe", None, tables=()) == Rows([], [])


def test_names_beyond_ascii_are_sent_along(database: sqlite3.Connection) -> None:
    users, aliases = rows(database, "example.test", "joe", None, is_ascii=False)
    assert set(users) == {
        UserRow("Example.test", "Example.test", 1, "Joe", 1, 5),
        UserRow("Example.test", "Example.test", 1, "ZO\u00cb", 0),
        UserRow("B\u00dcCHER.test", "B\u00dcCHER.test", 0),
    }
    assert {(alias.name, alias.target) for alias in aliases} == {
        ("*", "ann@example.test"),
        ("ZO\u00cb", "joe@example.test"),
    }


def test_a_probe_fails_where_a_column_is_missing(database: sqlite3.Connection) -> None:
    layout = Layout(THEIRS)
    for table in (*BASE_TABLES, *OPTIONAL_TABLES):
        assert database.execute(layout.probe(table)).fetchall() == []
    layout = Layout({**THEIRS, "mailbox.quota_bytes": "kilobytes"})
    with pytest.raises(sqlite3.OperationalError, match=r"no such column: mailbox\.kilobytes") as caught:
        database.execute(layout.probe("mailbox"))
    assert str(layout.stranger("mailbox", caught.value)) == (
        'the table "limits" cannot be asked for account, kilobytes: no such column: mailbox.kilobytes;'
        ' with `mailbox = ""` in [directory.tables] it is left alone'
    )
    assert "left alone" not in str(layout.stranger("user", caught.value))


def test_the_names_of_tables() -> None:
    layout = Layout({"user": "mail.Accounts", "alias": "", "domain": 'a"b'})
    assert layout.table("user") == '"mail"."Accounts"'
    assert layout.name("user") == ["mail", "Accounts"]
    assert layout.table("domain") == '"a""b"'
    assert layout.table("alias") == ""
    assert layout.table("mailbox") == '"mailbox"'


def logins(database: sqlite3.Connection, domain: str, name: str | None, *, is_ascii: bool = True) -> set[LoginRow]:
    layout = Layout({**THEIRS, "user.can_login": "select", "mailbox.password_hash": "octets"})
    sql = layout.login_sql("sqlite", OPTIONAL_TABLES, is_ascii=is_ascii)
    return set(map(LoginRow._make, database.execute(sql, (domain, name))))


def test_logins_of_others(database: sqlite3.Connection) -> None:
    joe = LoginRow("Example.test", "Example.test", 1, "Joe", 1, "5")
    ann = LoginRow("Second.test", "Example.test", 1, "ann", 1, None)
    assert logins(database, "example.test", "joe") == {joe}
    assert logins(database, "second.test", "ann") == {ann}
    assert logins(database, "example.test", "team") == {LoginRow("Example.test", "Example.test", 1, None, None, None)}
    assert logins(database, "far.test", "joe") == set()
    beyond = logins(database, "example.test", None, is_ascii=False)
    assert LoginRow("Example.test", "Example.test", 1, "ZO\u00cb", 0, None) in beyond
    without = Layout(THEIRS).login_sql("sqlite", (), is_ascii=True)
    assert "limits" not in without
    assert "password_hash" not in without


def test_what_is_said_when_nobody_can_log_in() -> None:
    layout = Layout({"user.can_login": "may"})
    assert str(layout.no_logins(ValueError("why"))) == (
        'nobody can log in, since "user"."may" and "mailbox"."password_hash" cannot be asked for: why'
    )


@pytest.mark.parametrize("is_ascii", [True, False])
def test_the_dialects_differ_in_a_few_words(is_ascii: bool) -> None:
    sqlite, postgres = (
        Layout().question_sql(dialect, OPTIONAL_TABLES, is_ascii=is_ascii) for dialect in ("sqlite", "postgres")
    )
    translated = sqlite.replace("?", "$").replace("GLOB '*[^ -~]*'", "~ '[^ -~]'")
    assert translated == postgres.replace(' COLLATE "C"', "")
    assert postgres.count(' COLLATE "C"') == postgres.count("lower(") == 4
    sqlite, postgres = (
        Layout().login_sql(dialect, OPTIONAL_TABLES, is_ascii=is_ascii) for dialect in ("sqlite", "postgres")
    )
    translated = sqlite.replace("?", "$").replace("GLOB '*[^ -~]*'", "~ '[^ -~]'")
    assert translated == postgres.replace(' COLLATE "C"', "")


@given(st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_any_name_is_only_a_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    quoted = '"' + name.replace('"', '""') + '"'
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"CREATE TABLE domain (domain_id int, is_active int, {quoted} text)")
        database.execute('CREATE TABLE "user" (user_id int, domain_id int, can_receive int, username text)')
        database.execute("INSERT INTO domain VALUES (1, 1, 'example.test')")
        sql = Layout({"domain.domain_name": name}).question_sql("sqlite", (), is_ascii=False)
        found = read_rows(database.execute(sql, ("example.test", None, None)))
    assert found.users == [UserRow("example.test", "example.test", 1)]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"usr": "x"}, r"directory.tables: 'usr' is nothing that has a name; did you mean \"user\"\?"),
        ({"user.user_name": "x"}, r"did you mean \"user.username\"\?"),
        ({"zzz": "x"}, r"write a table \(domain, user, alias, domain_alias, mailbox\) or TABLE.COLUMN"),
        ({"user": ""}, "directory.tables: '' cannot be the name of user"),
        ({"alias.target": ""}, "'' cannot be the name of alias.target"),
        ({"user": "mail."}, "'mail.' cannot be the name of user"),
        ({"user": "a\0b"}, "cannot be the name of user"),
    ],
)
def test_names_that_are_none(names: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Layout(names)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Layout({"usr": "x", "user": "", "domain.domain_name": "a.b", "alias": ""})
    assert len(caught.value.problems) == 2
