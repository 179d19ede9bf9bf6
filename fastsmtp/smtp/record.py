"""What plugins remember (notes) and what they found out (results)."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, TypeVar

__all__ = [
    "ANSWERS_KEPT",
    "OUTCOMES",
    "Answered",
    "Asked",
    "Authentication",
    "Notes",
    "Outcome",
    "Property",
    "Result",
]

Outcome = Literal["pass", "fail", "skip", "error"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("pass", "fail", "skip", "error")

Property = tuple[str, str, str]
"""Type, name and value of what was looked at, as in `smtp.mailfrom=joe@example.org` (RFC 8601 section 2.3)."""

ANSWERS_KEPT: Final = 400
"""Of one transaction or connection: so many answers are remembered, and half as many where a plugin had no opinion."""

Asked: TypeAlias = tuple[str, str, bool]
"""A plugin, a stage, and whether nobody acts on the answer (shadow mode)."""

Answered: TypeAlias = tuple[Asked, str | None, int, int]
"""Who was asked, the answer in words (None: no opinion), nanoseconds that it took, results that there were by then.

Plain tuples, since there is one for each hook and command: JSON takes them as they are, and nothing is looked up.
"""

Note = TypeVar("Note")

# RFC 8601 section 2.2; they are the same few words all day.
_is_keyword = lru_cache(256)(re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?").fullmatch)


def _check_keyword(word: str) -> None:
    if not _is_keyword(word):
        raise ValueError(f"{word!r} is not a keyword of Authentication-Results")


class Notes:
    """Typed memory: at most one note of a class. The class is the plugin's own, so nobody can mistake the key."""

    __slots__ = ("_notes",)

    def __init__(self) -> None:
        self._notes: dict[type[Any], Any] | None = None  # most transactions have none: no dict for them

    def get(self, kind: type[Note]) -> Note | None:
        """The note of this class, or None."""
        return self._notes.get(kind) if self._notes is not None else None

    def put(self, note: object) -> None:
        """Keep a note; an earlier one of the same class is replaced."""
        if self._notes is None:
            self._notes = {}
        self._notes[type(note)] = note


@dataclass(frozen=True)
class Authentication:
    """What a method of authentication said of a message, in the words of RFC 8601: `spf`, `softfail`, about what, why.

    `method` and `result` are from the registry of that RFC (section 2.7); a value of the `properties` and the `reason`
    may be any text, also a stranger's: whoever writes the header field quotes it. Raises ValueError for words that
    could not stand in the field.
    """

    method: str
    result: str
    properties: tuple[Property, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        _check_keyword(self.method)
        _check_keyword(self.result)
        for kind, name, _ in self.properties:
            _check_keyword(kind)
            _check_keyword(name)


@dataclass(frozen=True)
class Result:
    """One finding of one plugin, with the evidence; the log, metrics and later plugins read it.

    `authentication` is there when it is about who sent the message, and then goes into Authentication-Results.
    `written` is what the log has made of it: one about a connection is there for each of its messages.
    """

    plugin: str
    outcome: Outcome
    evidence: str
    authentication: Authentication | None = field(default=None, repr=False)
    written: str = field(default="", init=False, repr=False, compare=False)
