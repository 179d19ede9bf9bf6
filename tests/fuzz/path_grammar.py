"""Paths by recursive descent, straight from RFC 5321 section 4.1.2 (and RFC 6531 section 3.3 for octets above 127).

Two liberties that the server takes: underscores in domains, local parts of any length.
"""

import string
from typing import Final, NamedTuple

__all__ = ["Path", "read_path"]

ASCII_LETTERS_AND_DIGITS: Final = frozenset((string.ascii_letters + string.digits).encode())
LETTERS_AND_DIGITS: Final = ASCII_LETTERS_AND_DIGITS | {*range(128, 256)}
IN_ATOMS: Final = LETTERS_AND_DIGITS | frozenset(b"!#$%&'*+-/=?^_`{|}~")
IN_LABELS: Final = LETTERS_AND_DIGITS | frozenset(b"_")
IN_LITERALS: Final = ASCII_LETTERS_AND_DIGITS | frozenset(b".:")


class Path(NamedTuple):
    """A path: where it ends, and its parts as they were written."""

    end: int
    local: bytes
    domain: bytes


class _NoPathError(Exception):
    pass


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def next(self) -> int:
        return self._data[self.at] if self.at < len(self._data) else -1

    def want(self, octets: frozenset[int]) -> None:
        if self.next() not in octets:
            raise _NoPathError
        self.at += 1

    def has(self, octet: bytes) -> bool:
        if self.next() != octet[0]:
            return False
        self.at += 1
        return True

    def local(self) -> None:
        if not self.has(b'"'):
            self.atom()
            while self.has(b"."):
                self.atom()
            return
        while not self.has(b'"'):
            if self.has(b"\\"):
                self.want(frozenset(range(32, 127)))
            else:
                self.want(frozenset(range(32, 256)) - {127})

    def atom(self) -> None:
        self.want(IN_ATOMS)
        while self.next() in IN_ATOMS:
            self.at += 1

    def domain(self) -> None:
        self.label()
        while self.has(b"."):
            self.label()

    def label(self) -> None:
        self.want(IN_LABELS)
        hyphens = False
        while self.next() in IN_LABELS or self.next() == ord("-"):
            hyphens = self.next() == ord("-")
            self.at += 1
        if hyphens:
            raise _NoPathError

    def literal(self) -> None:
        self.want(IN_LITERALS)
        while not self.has(b"]"):
            self.want(IN_LITERALS)

    def path(self) -> Path:
        self.want(frozenset(b"<"))
        if self.next() == ord("@"):
            self.route()
        start = self.at
        self.local()
        middle = self.at
        self.want(frozenset(b"@"))
        if self.has(b"["):
            self.literal()
        else:
            self.domain()
        end = self.at
        self.want(frozenset(b">"))
        return Path(self.at, self._data[start:middle], self._data[middle + 1 : end])

    def route(self) -> None:
        while True:
            self.want(frozenset(b"@"))
            self.domain()
            if self.has(b":"):
                return
            self.want(frozenset(b","))


def read_path(data: bytes) -> Path | None:
    """The path that stands in front of `data`, or None where there is none."""
    try:
        return _Reader(data).path()
    except _NoPathError:
        return None
