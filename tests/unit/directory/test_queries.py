"""The operator's own SQL: its parameters, and what its rows mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.directory.logins import LoginRow
from fastsmtp.directory.queries import OwnQueries, Positional, own_login_rows, own_rows, positional
from fastsmtp.directory.resolve import Question, Rows, UserRow
from fastsmtp.errors import ConfigurationError, DirectoryError


@pytest.mark.parametrize(
    ("query", "sql", "parameters"),
    [
        ("SELECT 1", "SELECT 1", ()),
        ("SELECT active FROM domain WHERE name = :domain", "SELECT active FROM domain WHERE name = $1", ("domain",)),
        (
            "SELECT 1 FROM mailbox WHERE username = :local || '@' || :domain AND domain = :domain",
            "SELECT 1 FROM mailbox WHERE username = $1 || '@' || $2 AND domain = $2",
            ("local", "domain"),
        ),
        ("SELECT :domain::text", "SELECT $1::text", ("domain",)),
        ("SELECT a::text, b:: int FROM t WHERE a=:domain", "SELECT a::text, b:: int FROM t WHERE a=$1", ("domain",)),
        ("SELECT ':domain', ''':domain'", "SELECT ':domain', ''':domain'", ()),
        (r"SELECT '\', :domain, ':local'", r"SELECT '\', $1, ':local'", ("domain",)),
        (r"SELECT E'\':domain', :local", r"SELECT E'\':domain', $1", ("local",)),
        (r"SELECT e'''\\', :local", r"SELECT e'''\\', $1", ("local",)),
        (r"SELECT date'\', :local", r"SELECT date'\', $1", ("local",)),
        ('SELECT ":domain" FROM "a"":local"', 'SELECT ":domain" FROM "a"":local"', ()),
        ("SELECT 1 -- :domain's\n + :domain", "SELECT 1 -- :domain's\n + $1", ("domain",)),
        ("SELECT 1 /* :a /* ' */ :b */ + :domain", "SELECT 1 /* :a /* ' */ :b */ + $1", ("domain",)),
        ("SELECT 1 - -1 / 2 * :domain", "SELECT 1 - -1 / 2 * $1", ("domain",)),
        (
            "SELECT $$:domain'$$, $a$ $$ $b$ :local $a$, :local",
            "SELECT $$:domain'$$, $a$ $$ $b$ :local $a$, $1",
            ("local",),
        ),
        ("SELECT a$1, b$x$ FROM t WHERE c$d$e=:local", "SELECT a$1, b$x$ FROM t WHERE c$d$e=$1", ("local",)),
        ("SELECT a[1 : 2], f(x := :domain)", "SELECT a[1 : 2], f(x := $1)", ("domain",)),
        ("SELECT h->'a' ?| b, '\u00e4' || :local", "SELECT h->'a' ?| b, '\u00e4' || $1", ("local",)),
    ],
)
def test_parameters_become_numbers(query: str, sql: str, parameters: tuple[str, ...]) -> None:
    assert positional(query) == Positional(sql, parameters)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT :user", "no parameter :user, only :domain and :local"),
        ("SELECT :domains", "no parameter :domains,"),
        ("SELECT $1", r"write :domain or :local instead of \$1"),
        ("SELECT 'a", "'a … has no closing quote"),
        ("SELECT E'a\\'", "'a.* … has no closing quote"),
        ('SELECT "a', '"a … has no closing quote'),
        ("SELECT $a$ :domain $$", r"\$a\$ :domain \$\$ … has no closing quote"),
        ("SELECT 1 /* a /* b */", r"the comment /\* a /\* b \*/ … has no end"),
    ],
)
def test_what_cannot_be_translated(query: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        positional(query)


# Whole tokens of SQL, and what becomes of them.
INNER = st.text(":domainlocal$1/*- ;", max_size=12)
COMMENT = st.recursive(
    st.text(":domain'\"$ ", max_size=8), lambda inner: st.builds("{}/*{}*/{}".format, inner, inner, inner), max_leaves=4
)
UNTOUCHED = st.one_of(
    st.sampled_from(["SELECT", "1.5", "a$1", "::text", "<=", "->>", ";", "(", ",", ":=", "- 1", "/ 2", "$$:local$$"]),
    st.builds("'{}'".format, INNER | INNER.map("{}''".format)),
    st.builds("E'{}'".format, INNER | st.builds("{}\\'{}".format, INNER, INNER)),
    st.builds('"{}"'.format, INNER | INNER.map('""{}'.format)),
    st.builds("$q$ {} $q$".format, INNER),
    st.builds("--{}\n".format, INNER | st.just("it's :domain")),
    st.builds("/*{}*/".format, COMMENT),
)
PARAMETER = st.sampled_from([":domain", ":local"])


@given(st.lists(st.tuples(st.just(False), UNTOUCHED) | st.tuples(st.just(True), PARAMETER)))
def test_only_parameters_are_touched(tokens: list[tuple[bool, str]]) -> None:
    names = list(dict.fromkeys(token[1:] for is_parameter, token in tokens if is_parameter))
    wanted = [f"${names.index(token[1:]) + 1}" if is_parameter else token for is_parameter, token in tokens]
    assert positional(" ".join(token for _, token in tokens)) == Positional(" ".join(wanted), tuple(names))


@given(st.text("'\"$:eEab\\*/-\n 1_") | st.text())
def test_any_text_comes_out_again_or_is_refused(query: str) -> None:
    try:
        translated = positional(query)
    except ConfigurationError:
        return
    assert translated.parameters == ()
    assert translated.sql == query


QUESTION = Question("example.test", ("joe+tag", "joe"))
DOMAIN = UserRow("example.test", "example.test", 1)


@pytest.mark.parametrize(
    ("domain", "users", "rows"),
    [
        (None, {}, Rows()),
        ((1,), {}, Rows([DOMAIN])),
        ((True, "whatever"), {}, Rows([DOMAIN])),
        ((None,), {}, Rows([DOMAIN._replace(is_active=None)])),
        ((1,), {"joe": (1,)}, Rows([DOMAIN, UserRow("example.test", "example.test", 1, "joe", 1)])),
        ((1,), {"joe": (0, 5)}, Rows([DOMAIN, UserRow("example.test", "example.test", 1, "joe", 0, 5)])),
        ((1,), {"joe": (True, None)}, Rows([DOMAIN, UserRow("example.test", "example.test", 1, "joe", 1)])),
    ],
)
def test_rows(domain: tuple[object, ...] | None, users: dict[str, tuple[object, ...]], rows: Rows) -> None:
    assert own_rows(QUESTION, domain, users) == rows


@pytest.mark.parametrize(
    ("domain", "user", "problem"),
    [
        (("f",), (1,), "directory.queries.domain: active is 'f'; it shall be a whole number, or a boolean"),
        ((1,), ("0",), "directory.queries.recipient: can_receive is '0'"),
        ((1,), (1, "5MB"), "directory.queries.recipient: quota_bytes is '5MB'"),
        ((1,), (1, 0.5), r"quota_bytes is 0\.5"),
    ],
)
def test_a_text_is_neither_true_nor_false(domain: tuple[object, ...], user: tuple[object, ...], problem: str) -> None:
    with pytest.raises(DirectoryError, match=problem):
        own_rows(QUESTION, domain, {"joe": user})


def test_columns_are_counted() -> None:
    OwnQueries.check_columns(1, 1)
    OwnQueries.check_columns(5, 2)
    with pytest.raises(DirectoryError, match=r"directory.queries.domain gives no column"):
        OwnQueries.check_columns(0, 1)
    for columns in (0, 3):
        with pytest.raises(DirectoryError, match=f"directory.queries.recipient gives {columns} columns"):
            OwnQueries.check_columns(1, columns)


def test_rows_of_a_login() -> None:
    question = Question("example.test", ("joe",))
    assert own_login_rows(question, None, (1, "hash")) == []
    assert own_login_rows(question, (1,), None) == []
    assert own_login_rows(question, (True,), (0, None)) == [LoginRow("example.test", "example.test", 1, "joe", 0, None)]
    for login, problem in [
        ((1,), "directory.queries.login gives 1 columns; write two, can_login and password_hash"),
        ((1, "hash", 5), "gives 3 columns"),
        (("yes", "hash"), "directory.queries.login: can_login is 'yes'"),
        ((1, b"hash"), "directory.queries.login: password_hash is not text"),
    ]:
        with pytest.raises(DirectoryError, match=problem):
            own_login_rows(question, (1,), login)


def test_a_query_for_logins_may_be_missing() -> None:
    assert OwnQueries("SELECT 1", "SELECT 1", "SELECT 1, 'hash'").login_query == "SELECT 1, 'hash'"
    with pytest.raises(DirectoryError, match="nobody can log in"):
        _ = OwnQueries("SELECT 1", "SELECT 1").login_query
