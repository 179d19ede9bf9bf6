"""Users and aliases as CSV, one a line below a header: what `import` reads and `export` writes."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TextIO, TypeAlias, TypeVar

from fastsmtp.config.units import parse_size
from fastsmtp.directory.admin_aliases import read_alias
from fastsmtp.directory.admin_rows import AliasList, UserRow
from fastsmtp.directory.names import AdminError, read_address, read_new_address
from fastsmtp.smtp.address import Address

__all__ = [
    "AliasLine",
    "Problem",
    "Quota",
    "UserLine",
    "read_aliases",
    "read_quota",
    "read_users",
    "write_aliases",
    "write_users",
]

_Line = TypeVar("_Line")

Quota: TypeAlias = int | Literal["none"]
"""Octets of mail that a user may have."""

_QUOTA_MAX: Final = 2**63 - 1  # bigint
_HASH_CHARACTERS: Final = 255  # what the column takes
_USER_COLUMNS: Final = ("address", "can_receive", "can_login", "quota")
_READ_USER_COLUMNS: Final = (*_USER_COLUMNS, "password_hash")  # which nobody writes into a file unasked
_ALIAS_COLUMNS: Final = ("address", "target")
_TRUTH: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class UserLine:
    """A user as a line has them. None is what the line does not say."""

    line: int
    address: Address
    can_receive: bool | None = None
    can_login: bool | None = None
    quota: Quota | None = None
    password_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AliasLine:
    """One target of an alias; both are canonical."""

    line: int
    address: Address
    target: Address


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that cannot be used, and why."""

    line: int
    sentence: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.sentence}"


def read_quota(text: str) -> Quota:
    """`1GiB`, octets, or `none`. Raises AdminError."""
    if text == "none":
        return "none"
    try:
        size = parse_size(int(text) if text.isascii() and text.isdecimal() else text)
    except ValueError:
        raise AdminError(f'{text!r} is not a quota; write a size like "500MB" or "1GiB", octets, or none') from None
    if not 0 < size <= _QUOTA_MAX:
        raise AdminError(f"a quota of {text} makes no sense; who is to get no mail is disabled, no limit is none")
    return size


def read_users(text: Iterable[str]) -> Iterator[UserLine | Problem]:
    """Users out of the lines of a CSV file: `address`, and in any order what else a UserLine has.

    A column that is not there and a cell that is empty say nothing. Raises AdminError when the header is wrong.
    """
    return _read(text, _READ_USER_COLUMNS, _READ_USER_COLUMNS[:1], _user)


def read_aliases(text: Iterable[str]) -> Iterator[AliasLine | Problem]:
    """Aliases out of CSV lines with `address` and `target`. Raises AdminError when the header is wrong."""
    return _read(text, _ALIAS_COLUMNS, _ALIAS_COLUMNS, _alias)


def write_users(file: TextIO, users: Iterable[UserRow]) -> None:
    """What `read_users` reads."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_USER_COLUMNS)
    words = {True: "yes", False: "no"}
    for user in users:
        quota = "none" if user.quota_bytes is None else user.quota_bytes
        writer.writerow((user.address, words[user.can_receive], words[user.can_login], quota))


def write_aliases(file: TextIO, aliases: Iterable[AliasList]) -> None:
    """What `read_aliases` reads."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_ALIAS_COLUMNS)
    writer.writerows((alias.address, target) for alias in aliases for target in alias.targets)


def _read(
    text: Iterable[str],
    columns: Sequence[str],
    required: Sequence[str],
    read: Callable[[int, Mapping[str, str]], _Line],
) -> Iterator[_Line | Problem]:
    reader = csv.reader(text, strict=True)
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader, None)
            if cells is None:
                break
            if not cells:
                continue
            if header is None:
                header = _header(cells, columns, required)
                continue
            if len(cells) != len(header):
                raise AdminError(f"{len(cells)} cells, but the header has {len(header)}")  # noqa: TRY301 - a problem like others
            yield read(reader.line_num, dict(zip(header, map(str.strip, cells), strict=True)))
        except (AdminError, csv.Error) as error:
            if header is None:
                raise AdminError(str(error)) from error
            yield Problem(reader.line_num, str(error))
    if header is None:
        raise AdminError(f"the file is empty; its first line is a header: {','.join(columns)}")


def _header(cells: Sequence[str], columns: Sequence[str], required: Sequence[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    complaints = [f"there is no column {name!r}" for name in header if name not in columns]
    complaints += [f"the column {name!r} is missing" for name in required if name not in header]
    complaints += [f"the column {name!r} is there twice" for name in set(header) if header.count(name) > 1]
    if complaints:
        raise AdminError(f"{complaints[0]}; the first line is a header, with these columns: {', '.join(columns)}")
    return header


def _user(line: int, cells: Mapping[str, str]) -> UserLine:
    quota = cells.get("quota")
    return UserLine(
        line,
        read_new_address(cells["address"]),
        _truth("can_receive", cells),
        _truth("can_login", cells),
        read_quota(quota) if quota else None,
        _password_hash(cells.get("password_hash")),
    )


def _password_hash(text: str | None) -> str | None:
    """A hash that can be compared with passwords here; an empty cell says nothing."""
    if not text:
        return None
    from fastsmtp.directory.schemes import PREFIXES

    if not text.startswith(PREFIXES):
        raise AdminError("the scheme of the password_hash is not known here; leave it empty, and set a new password")
    if len(text) > _HASH_CHARACTERS:
        raise AdminError(f"the password_hash is longer than {_HASH_CHARACTERS} characters")
    return text


def _truth(column: str, cells: Mapping[str, str]) -> bool | None:
    text = cells.get(column)
    if not text:
        return None
    if text.lower() not in _TRUTH:
        raise AdminError(f"{text!r} in {column} is neither yes nor no")
    return _TRUTH[text.lower()]


def _alias(line: int, cells: Mapping[str, str]) -> AliasLine:
    return AliasLine(line, read_alias(cells["address"]), read_address(cells["target"]))
