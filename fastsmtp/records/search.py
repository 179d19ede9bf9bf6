"""Reads records: one by its id, or those that fit, the latest first. Works while servers write.

Raises RecordsError when the file cannot be read.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import orjson

from fastsmtp.errors import RecordsError
from fastsmtp.log.encoding import iso_time

__all__ = ["Query", "Record", "RecordReader", "read_id", "time_of"]

Record: TypeAlias = dict[str, Any]

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD: Final = str.maketrans("OIL", "011")  # Crockford's base 32 has no such digits
_is_id: Final = re.compile(rf"[{_DIGITS}]{{18}}").fullmatch
_is_plain: Final = re.compile(r"[A-Za-z0-9@._+-]+").fullmatch
_CLOCK_SLACK_S: Final = 3600.0
"""A clock that was set back, or that of another host."""

_LOCK_S: Final = 5.0


def read_id(text: str) -> str:
    """An id as people copy it: in brackets, in small letters, with an O for a 0. Raises RecordsError."""
    plain = text.strip(" ()[]\t\r\n").upper().translate(_MISREAD)
    if not _is_id(plain):
        raise RecordsError(f"{text!r} is not an id: they have 18 letters and digits, like 01K11KQ4AAHY00P3G6")
    return plain


def time_of(id_: str) -> float:
    """When it was given out, in seconds since the epoch."""
    value = 0
    for digit in id_[:12]:
        value = value * 32 + _DIGITS.index(digit)
    return value / 1e6


@dataclass(frozen=True, slots=True)
class Query:
    """What a record has to be like; what is None does not matter.

    `sender` and `recipient` are addresses, `@domain` or `domain`, or patterns with `*`; an empty one is the null
    sender. `since_s` and `until_s` are seconds since the epoch. `plugin` had an opinion or a finding.
    """

    sender: str | None = None
    recipient: str | None = None
    network: IPv4Network | IPv6Network | None = None
    outcome: str | None = None
    plugin: str | None = None
    since_s: float | None = None
    until_s: float | None = None

    def fits(self, record: Record) -> bool:
        """Whether the record is like that."""
        return (
            (self.outcome is None or record.get("outcome") == self.outcome)
            and (self.since_s is None or record["time"] >= iso_time(self.since_s))
            and (self.until_s is None or record["time"] <= iso_time(self.until_s))
            and (self.sender is None or ("sender" in record and _fits(self.sender.lower(), record["sender"])))
            and (self.recipient is None or any(_fits(self.recipient.lower(), one) for one in _recipients(record)))
            and (self.network is None or _is_in(self.network, record.get("remote", "")))
            and (self.plugin is None or self.plugin in _who_spoke(record))
        )


class RecordReader:
    """The file, for reading. A context manager."""

    def __init__(self, path: Path) -> None:
        """Raises RecordsError."""
        self._path = path
        if not path.exists():
            raise RecordsError(f"there are no records in {path}: no server has written any yet")
        self._database = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def find(self, id_: str) -> list[Record]:
        """The records of this id, and of a connection those of its transactions; in the order of time."""
        found = [
            record
            for record in self._read(
                "SELECT records FROM batch WHERE written >= ? AND instr(records, ?) > 0 ORDER BY number",
                (time_of(id_) - _CLOCK_SLACK_S, id_),
            )
            if id_ in (record.get("id"), record.get("connection"))
        ]
        return sorted(found, key=lambda record: (record["id"] != id_, record["time"]))

    def search(self, query: Query) -> Iterator[Record]:
        """The records that fit, the latest first."""
        conditions: list[str] = ["written >= ?"]
        values: list[float | str] = [query.since_s or 0.0]
        for word in (query.sender, query.recipient, query.plugin):
            if word and _is_plain(word):  # which JSON leaves as it is: most batches need not be taken apart
                conditions.append("instr(lower(records), ?) > 0")
                values.append(word.lower())
        if query.outcome is not None:
            conditions.append("instr(records, ?) > 0")
            values.append(f'"outcome":"{query.outcome}"')
        if query.network is not None and query.network.prefixlen == query.network.max_prefixlen:
            conditions.append("instr(records, ?) > 0")
            values.append(str(query.network.network_address))
        statement = f"SELECT records FROM batch WHERE {' AND '.join(conditions)} ORDER BY number DESC"  # noqa: S608 - ours
        return (record for record in self._read(statement, tuple(values), backwards=True) if query.fits(record))

    def oldest_s(self) -> float | None:
        """When the oldest batch was written, in seconds since the epoch; None where there is none."""
        for (written,) in self._rows("SELECT min(written) FROM batch", ()):
            return None if written is None else float(written)
        return None

    def _read(self, statement: str, values: tuple[object, ...], *, backwards: bool = False) -> Iterator[Record]:
        for (text,) in self._rows(statement, values):
            batch = orjson.loads(text)
            yield from reversed(batch) if backwards else batch

    def _rows(self, statement: str, values: tuple[object, ...]) -> Iterator[tuple[Any, ...]]:
        try:
            with closing(self._database.execute(statement, values)) as rows:
                yield from rows
        except sqlite3.Error as error:
            raise RecordsError(f"cannot read {self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        """As a guest who tidies up, where this user may write; else without leave to; else as what lies at rest."""
        modes = ["mode=ro"]
        if os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK):
            modes.insert(0, "mode=rw")
        if not Path(f"{self._path}-wal").exists():
            modes.append("mode=ro&immutable=1")  # no server has it open, and SQLite cannot make its other files
        trouble: sqlite3.Error | None = None
        for mode in modes:
            try:
                database = sqlite3.connect(f"{self._path.absolute().as_uri()}?{mode}", uri=True, timeout=_LOCK_S)
                database.execute("PRAGMA query_only = 1")
                database.execute("SELECT number FROM batch LIMIT 1").fetchone()
            except sqlite3.Error as error:
                trouble = error
            else:
                return database
        raise RecordsError(f"cannot read {self._path}: {trouble}")


def _fits(pattern: str, address: str) -> bool:
    """Whether an address is that of a query."""
    if "*" in pattern:
        return fnmatchcase(address.lower(), pattern)
    if pattern and not pattern.rpartition("@")[0]:
        return address.lower().endswith(f"@{pattern.removeprefix('@')}")
    return address.lower() == pattern


def _recipients(record: Record) -> Iterator[str]:
    """All that were named, whatever they heard."""
    yield from (one for one in record.get("recipients", ()) if isinstance(one, str))
    yield from (one["recipient"] for one in record.get("refused", ()) if isinstance(one, dict))


def _who_spoke(record: Record) -> Iterator[str]:
    """The plugins that had an opinion or a finding."""
    yield from (result["plugin"] for result in record.get("results", ()) if isinstance(result, dict))
    for answers in (record.get("connection_answers", ()), record.get("answers", ())):
        yield from (one[0][0] for one in answers if isinstance(one, list) and one[1] is not None)


def _is_in(network: IPv4Network | IPv6Network, address: str) -> bool:
    try:
        return ip_address(address) in network
    except ValueError:  # a client on a Unix socket has none
        return False
