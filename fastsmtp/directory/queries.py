"""The operator's own two questions instead of our tables, for the schemas of Postfix, Dovecot and others."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from fastsmtp.directory.logins import LoginRow
from fastsmtp.directory.resolve import Question, Rows, UserRow
from fastsmtp.errors import ConfigurationError, DirectoryError

__all__ = ["OwnQueries", "Positional", "own_login_rows", "own_rows", "positional"]

PARAMETERS: Final = ("domain", "local")

# What PostgreSQL's lexer takes as one token: chapter 4.1 of its manual. Comments nest, so they are not in here.
_TOKEN: Final = re.compile(
    r"""
      [eE]'(?:[^'\\]|\\.|'')*'                              # a string with escapes
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$         # a string in dollars
    | --[^\n\r]*
    | (?P<open>/\*)
    | (?P<number>\$\d+)
    | (?P<torn>[eE]'|['"$])
    | [^\W\d][\w$]*                                         # a word; it may have dollars in it
    | ::
    | :(?P<parameter>[^\W\d]\w*)
    | .
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class OwnQueries:
    """`domain`, given `:domain`: no row means not ours; the first column says whether it is active.

    `recipient`, given `:local` and `:domain`: no row means unknown; the columns are can_receive and, if the site has
    them, quota_bytes. `login`, for sites with AUTH, likewise; its columns are can_login and password_hash. Domains come
    in lower case with A-labels, local parts folded. There are no aliases.
    """

    domain: str
    recipient: str
    login: str = ""

    @property
    def login_query(self) -> str:
        """The query for logins. Raises DirectoryError where there is none."""
        if not self.login:
            raise DirectoryError("[directory.queries] has no login, so that nobody can log in")
        return self.login

    @staticmethod
    def check_columns(domain: int, recipient: int) -> None:
        """Raises DirectoryError when the queries give not as many columns as they should."""
        if domain < 1:
            raise DirectoryError("directory.queries.domain gives no column; its first one says whether it is active")
        if recipient not in {1, 2}:
            raise DirectoryError(
                f"directory.queries.recipient gives {recipient} columns; write can_receive, or that and quota_bytes"
            )


class Positional(NamedTuple):
    """A query with `$1`, `$2` for its parameters, whose names are in `parameters`."""

    sql: str
    parameters: tuple[str, ...]


def positional(query: str) -> Positional:
    """The query as PostgreSQL wants it; parameters are numbered as they come.

    Raises ConfigurationError for parameters that there are not, and for strings and comments without an end.
    """
    parameters: list[str] = []
    sql = "".join(_translate(query, parameters))
    return Positional(sql, tuple(parameters))


def _translate(query: str, parameters: list[str]) -> Iterator[str]:
    at = 0
    while found := _TOKEN.match(query, at):
        at = found.end()
        if found["open"]:
            at = _comment_end(query, found.start())
            yield query[found.start() : at]
        elif name := found["parameter"]:
            if name not in PARAMETERS:
                raise ConfigurationError(f"directory.queries: there is no parameter :{name}, only :domain and :local")
            if name not in parameters:
                parameters.append(name)
            yield f"${parameters.index(name) + 1}"
        elif found["number"]:
            raise ConfigurationError(f"directory.queries: write :domain or :local instead of {found['number']}")
        elif found["torn"]:
            raise ConfigurationError(f"directory.queries: {query[found.start() :][:20]} … has no closing quote")
        else:
            yield found[0]


def _comment_end(query: str, at: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(query, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise ConfigurationError(f"directory.queries: the comment {query[at:][:20]} … has no end")


def own_rows(question: Question, domain: Sequence[object] | None, users: Mapping[str, Sequence[object]]) -> Rows:
    """What the own queries gave, as the rows of a question: that of the domain, and those of names that are there.

    Raises DirectoryError for values that are neither flags nor octets.
    """
    if domain is None:
        return Rows()
    is_active = _whole(domain[0], "domain", "active")
    rows = [UserRow(question.domain, question.domain, is_active)]
    for name, (can_receive, *quota) in users.items():
        flag = _whole(can_receive, "recipient", "can_receive")
        quota_bytes = _whole(quota[0], "recipient", "quota_bytes") if quota else None
        rows.append(UserRow(question.domain, question.domain, is_active, name, flag, quota_bytes))
    return Rows(rows)


def own_login_rows(
    question: Question, domain: Sequence[object] | None, login: Sequence[object] | None
) -> list[LoginRow]:
    """The same for a question about a login. Raises DirectoryError for columns and values that are none."""
    if domain is None or login is None:
        return []
    if len(login) != 2:
        raise DirectoryError(
            f"directory.queries.login gives {len(login)} columns; write two, can_login and password_hash"
        )
    can_login, password_hash = _whole(login[0], "login", "can_login"), login[1]
    if password_hash is not None and not isinstance(password_hash, str):
        raise DirectoryError("directory.queries.login: password_hash is not text")
    is_active = _whole(domain[0], "domain", "active")
    return [LoginRow(question.domain, question.domain, is_active, question.names[0], can_login, password_hash)]


def _whole(value: object, query: str, column: str) -> int | None:
    # No truth of texts: the text 'f' or '0' would be a yes.
    if value is None or isinstance(value, int):
        return value
    raise DirectoryError(f"directory.queries.{query}: {column} is {value!r}; it shall be a whole number, or a boolean")
