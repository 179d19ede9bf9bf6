"""How the tables are called, and the SQL that asks them: one text for SQLite and PostgreSQL, but for a few words.

A site's names come from `[directory.tables]`; `[directory.queries]` replaces the tables by the operator's own SQL.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple, TypeAlias

from fastsmtp.directory.resolve import CATCH_ALL, AliasRow, Rows, UserRow
from fastsmtp.errors import ConfigurationError, DirectoryError

__all__ = ["BASE_TABLES", "OPTIONAL_TABLES", "Dialect", "Layout", "QuestionRow", "read_rows"]

Dialect: TypeAlias = Literal["sqlite", "postgres"]

QuestionRow: TypeAlias = tuple[str | None, str | None, int | None, str | None, int | None, int | None, str | None]
"""A row of a question: a UserRow and None, or asked, domain, is_active, name, None, None, the target of an alias."""

BASE_TABLES: Final = ("domain", "user")
OPTIONAL_TABLES: Final = ("alias", "domain_alias", "mailbox")

_COLUMNS: Final = {
    "domain": ("domain_id", "is_active", "domain_name"),
    "user": ("user_id", "domain_id", "can_receive", "username"),
    "alias": ("domain_id", "is_active", "alias_name", "target"),
    "domain_alias": ("domain_id", "is_active", "alias_name"),
    "mailbox": ("user_id", "quota_bytes"),
}
# Asked for when somebody logs in, and only then: a site that does not offer it need not have them.
_LOGIN_COLUMNS: Final = {"user": ("can_login",), "mailbox": ("password_hash",)}
_NAMES: Final = {
    *_COLUMNS,
    *(f"{table}.{column}" for of in (_COLUMNS, _LOGIN_COLUMNS) for table, columns in of.items() for column in columns),
}


class _Words(NamedTuple):
    """Where the dialects differ: parameters, the collation in which lower() folds ASCII only, what is beyond ASCII."""

    parameter: str
    collation: str
    beyond_ascii: str


_WORDS: Final[dict[Dialect, _Words]] = {
    "sqlite": _Words("?", "", "GLOB '*[^ -~]*'"),
    "postgres": _Words("$", ' COLLATE "C"', "~ '[^ -~]'"),
}

# The casts are for tables that somebody declared without types, or with types of their own.
_OURS: Final = "CAST(ours.asked AS text), CAST(ours.domain_name AS text), ours.is_active"

_JOINS: Final = ("LEFT JOIN", "JOIN")  # for the conditions of a user: a domain without such a user is there once


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of tables and columns where they differ from ours: `{"user": "accounts", "user.username": "login"}`.

    A table may be in a schema (`mail.accounts`). An optional table with an empty name is not looked for. Raises
    ConfigurationError for names that are none.
    """

    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if problems := [problem for key, name in self.names.items() for problem in _problems(key, name)]:
            raise ConfigurationError(problems)

    def name(self, table: str) -> list[str]:
        """The table's name here, after that of its schema if there is one; an empty one is not looked for."""
        return self.names.get(table, table).split(".")

    def table(self, table: str) -> str:
        """The table's name here, as an SQL identifier; an empty one is not looked for."""
        return ".".join(map(_quote, self.name(table))) if self.names.get(table, table) else ""

    def column(self, table: str, column: str) -> str:
        """What the column is called here, as an SQL identifier with its table's name in front.

        Without that name SQLite would take a column that is not there for a text in quotes.
        """
        return f"{_quote(table)}.{_quote(self.names.get(f'{table}.{column}', column))}"

    def probe(self, table: str) -> str:
        """SQL that gives no row, and fails when the table has not the columns that it should have."""
        columns = ", ".join(self.column(table, column) for column in _COLUMNS[table])
        return f"SELECT {columns} FROM {self._source(table)} LIMIT 0"  # noqa: S608 - the names are quoted

    def stranger(self, table: str, error: Exception) -> DirectoryError:
        """What to say of a table whose probe failed with this error."""
        columns = ", ".join(self.names.get(f"{table}.{column}", column) for column in _COLUMNS[table])
        hint = f'; with `{table} = ""` in [directory.tables] it is left alone' if table in OPTIONAL_TABLES else ""
        return DirectoryError(f"the table {self.table(table)} cannot be asked for {columns}: {error}{hint}")

    def no_logins(self, error: Exception) -> DirectoryError:
        """What to say when the question about a login fails with this error."""
        columns = (self.column(table, column) for table, columns in _LOGIN_COLUMNS.items() for column in columns)
        return DirectoryError(f"nobody can log in, since {' and '.join(columns)} cannot be asked for: {error}")

    def question_sql(self, dialect: Dialect, tables: Collection[str], *, is_ascii: bool) -> str:
        """The one statement that answers a Question, from the base tables and those optional `tables` that exist.

        Its parameters are the domain, and two names (None where there is no second one); its rows are for read_rows.
        Without `is_ascii` it also gives whatever has a name beyond ASCII: SQL knows neither its U-labels nor its
        normalization forms.
        """
        arms = [
            *self._users(
                _matches(dialect, self.column("user", "username"), "?2, ?3", is_ascii=is_ascii),
                with_mailbox="mailbox" in tables,
            )
        ]
        if "alias" in tables:
            wanted = f"?2, ?3, '{CATCH_ALL}'"
            arms += self._aliases(_matches(dialect, self.column("alias", "alias_name"), wanted, is_ascii=is_ascii))
        return f"{self._ours(dialect, tables, is_ascii=is_ascii)}\n{_union(arms)}"

    def login_sql(self, dialect: Dialect, tables: Collection[str], *, is_ascii: bool) -> str:
        """The one statement for a Question about a login: parameters are the domain and a name, rows are LoginRows."""
        matches = _matches(dialect, self.column("user", "username"), "?2", is_ascii=is_ascii)
        user_id, domain_id, _, name = (self.column("user", column) for column in _COLUMNS["user"])
        password_hash, mailbox = "NULL", ""
        if "mailbox" in tables:
            password_hash = f"CAST({self.column('mailbox', 'password_hash')} AS text)"
            mailbox = self._mailbox_of(user_id)
        arms = [
            f"SELECT {_OURS}, CAST({name} AS text), {_flag(self.column('user', 'can_login'))}, {password_hash}\n"
            f"FROM ours {join} {self._source('user')} ON {domain_id} = ours.domain_id AND {match}{mailbox}"
            for join, match in zip(_JOINS, matches, strict=False)
        ]
        return f"{self._ours(dialect, tables, is_ascii=is_ascii)}\n{_union(arms)}"

    def _ours(self, dialect: Dialect, tables: Collection[str], *, is_ascii: bool) -> str:
        """The domains of ours that are asked about."""
        selects = [*self._domains(_matches(dialect, self.column("domain", "domain_name"), "?1", is_ascii=is_ascii))]
        if "domain_alias" in tables:
            names = _matches(dialect, self.column("domain_alias", "alias_name"), "?1", is_ascii=is_ascii)
            selects += self._domain_aliases(names)
        return f"WITH ours AS (\n{_union(selects)}\n)"

    def _domains(self, matches: list[str]) -> Iterator[str]:
        domain_id, is_active, name = (self.column("domain", column) for column in _COLUMNS["domain"])
        for match in matches:
            yield (
                f"SELECT {name} AS asked, {domain_id} AS domain_id, {name} AS domain_name,"
                f" {_flag(is_active)} AS is_active\nFROM {self._source('domain')} WHERE {match}"
            )

    def _domain_aliases(self, matches: list[str]) -> Iterator[str]:
        domain_id, is_active, name = (self.column("domain", column) for column in _COLUMNS["domain"])
        target_id, is_on, asked = (self.column("domain_alias", column) for column in _COLUMNS["domain_alias"])
        for match in matches:
            yield (
                f"SELECT {asked}, {domain_id}, {name}, CASE WHEN {_flag(is_on)} <> 0 THEN {_flag(is_active)} END\n"
                f"FROM {self._source('domain_alias')} JOIN {self._source('domain')} ON {domain_id} = {target_id}\n"
                f"WHERE {match}"
            )

    def _users(self, matches: list[str], *, with_mailbox: bool) -> Iterator[str]:
        user_id, domain_id, can_receive, name = (self.column("user", column) for column in _COLUMNS["user"])
        quota, mailbox = "NULL", ""
        if with_mailbox:
            quota = f"CAST({self.column('mailbox', 'quota_bytes')} AS bigint)"
            mailbox = self._mailbox_of(user_id)
        for join, match in zip(_JOINS, matches, strict=False):
            yield (
                f"SELECT {_OURS}, CAST({name} AS text), {_flag(can_receive)}, {quota}, NULL\n"
                f"FROM ours {join} {self._source('user')} ON {domain_id} = ours.domain_id AND {match}{mailbox}"
            )

    def _aliases(self, matches: list[str]) -> Iterator[str]:
        domain_id, is_active, name, target = (self.column("alias", column) for column in _COLUMNS["alias"])
        for match in matches:
            yield (
                f"SELECT {_OURS}, CAST({name} AS text), NULL, NULL, CAST({target} AS text)\n"
                f"FROM ours JOIN {self._source('alias')} ON {domain_id} = ours.domain_id AND {match}\n"
                f"WHERE {_flag(is_active)} <> 0 AND ours.is_active <> 0 AND {target} IS NOT NULL"
            )

    def _mailbox_of(self, user_id: str) -> str:
        return f"\nLEFT JOIN {self._source('mailbox')} ON {self.column('mailbox', 'user_id')} = {user_id}"

    def _source(self, table: str) -> str:
        return f"{self.table(table)} AS {_quote(table)}"


def read_rows(rows: Iterable[QuestionRow]) -> Rows:
    """The rows of `Layout.question_sql`, sorted out. What lacks a name is nobody's."""
    users: list[UserRow] = []
    aliases: list[AliasRow] = []
    for asked, domain, is_active, name, can_receive, quota_bytes, target in rows:
        if asked is None or domain is None:
            continue
        if target is None:
            users.append(UserRow(asked, domain, is_active, name, can_receive, quota_bytes))
        elif name is not None:
            aliases.append(AliasRow(asked, domain, name, target))
    return Rows(users, aliases)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _flag(column: str) -> str:
    """A flag as a number: any integer type, PostgreSQL's boolean, and digits that SQLite stored as text."""
    return f"CAST({column} AS integer)"


def _matches(dialect: Dialect, column: str, wanted: str, *, is_ascii: bool) -> list[str]:
    """Conditions for a column: that it is one of the wanted parameters, and, beyond ASCII, that it may be.

    Each is a question of its own, since neither database would use both indexes for an OR.
    """
    words = _WORDS[dialect]
    folded = f"lower({column}{words.collation}) IN ({wanted.replace('?', words.parameter)})"
    return [folded] if is_ascii else [folded, f"{column} {words.beyond_ascii}"]


def _union(selects: list[str]) -> str:
    return "\nUNION ALL\n".join(selects)


def _problems(key: str, name: str) -> Iterator[str]:
    if key not in _NAMES:
        close = get_close_matches(key, _NAMES, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"write a table ({', '.join(_COLUMNS)}) or TABLE.COLUMN"
        yield f"directory.tables: {key!r} is nothing that has a name; {hint}"
    elif name == "" and key in OPTIONAL_TABLES:
        return
    elif "\0" in name or not all(name.split(".") if key in _COLUMNS else [name]):
        yield f"directory.tables: {name!r} cannot be the name of {key}"
