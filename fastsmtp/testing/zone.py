"""The records of a test, as text or as a mapping: the same zones serve the resolver in memory and a real DNS server."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

__all__ = ["ZoneRecords", "ZoneSpec", "find", "read_zone", "strings"]

ZoneRecords: TypeAlias = dict[str, dict[str, list[str]]]
"""Name (lower case, no dot at the end) -> type -> the data of each record as in a zone file."""

ZoneSpec: TypeAlias = str | Mapping[str, Mapping[str, str | Sequence[str]]]
"""Lines of `NAME TYPE DATA`, or a mapping of name to type to the data of one or several records.

`;` begins a comment; text with blanks is in double quotes, and several strings of one TXT record stand side by side.
Names are whole and in ASCII. `*.example.test` stands for every name below that has no records of its own.
"""


def read_zone(spec: ZoneSpec) -> ZoneRecords:
    """The records by name and type. Raises ValueError for a line that is none."""
    records: ZoneRecords = {}
    if isinstance(spec, str):
        for number, line in enumerate(spec.splitlines(), start=1):
            match line.split(maxsplit=2):
                case [name, kind, data] if not name.startswith(";"):
                    _add(records, name, kind, [_without_comment(data)])
                case [first, *_] if not first.startswith(";"):
                    raise ValueError(f"line {number} of the zone is not NAME TYPE DATA: {line!r}")
    else:
        for name, kinds in spec.items():
            for kind, one_or_more in kinds.items():
                _add(records, name, kind, [one_or_more] if isinstance(one_or_more, str) else one_or_more)
    return records


def strings(data: str) -> list[str]:
    """The strings of a TXT record."""
    return shlex.split(data, posix=True)


def find(records: ZoneRecords, name: str) -> dict[str, list[str]] | None:
    """The records of a name; none where it has only names below it (RFC 8020), None where it does not exist."""
    if name in records:
        return records[name]
    if any(known.endswith(f".{name}") for known in records):
        return {}
    return next((records[wildcard] for wildcard in _wildcards(name) if wildcard in records), None)


def _wildcards(name: str) -> Iterator[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield f"*.{name}"


def _add(records: ZoneRecords, name: str, kind: str, data: Sequence[str]) -> None:
    records.setdefault(name.lower().rstrip("."), {}).setdefault(kind.upper(), []).extend(data)


def _without_comment(data: str) -> str:
    quoted = False
    for place, character in enumerate(data):
        if character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            return data[:place].rstrip()
    return data.rstrip()
