"""Macro strings (RFC 7208 section 7): parsed once for a record, expanded for each check."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

__all__ = ["DOMAIN_LETTERS", "EXPLANATION_LETTERS", "Macro", "MacroString", "SpfSyntaxError", "parse_macros"]

DOMAIN_LETTERS: Final = frozenset("slodiphv")
EXPLANATION_LETTERS: Final = DOMAIN_LETTERS | frozenset("crt")  # section 7.2

_UNRESERVED: Final = "-._~"  # RFC 3986 section 2.3
_SINGLE: Final = {"%": "%", "_": " ", "-": "%20"}

_part_at = re.compile(
    r"([\x20-\x24\x26-\x7e]+)|%\{([A-Za-z])([0-9]{0,3})([Rr]?)([.\-+,/_=]*)\}|%([%_-])"
).match  # `delimiter` and `macro-expand` of section 7.1; a count of more labels than a name has means all of them


class SpfSyntaxError(ValueError):
    """A record that is none; the text is for whoever published it."""


@dataclass(frozen=True, slots=True)
class Macro:
    """`%{ir}`, for instance. `labels` is how many of the right-hand ones stay, 0 for all."""

    letter: str
    labels: int
    is_reversed: bool
    delimiters: str
    is_escaped: bool

    def expand(self, value: str) -> str:
        """The value of its letter, transformed (section 7.3)."""
        if self.labels or self.is_reversed or self.delimiters:
            parts = re.split(f"[{re.escape(self.delimiters or '.')}]", value)
            if self.is_reversed:
                parts.reverse()
            value = ".".join(parts[-self.labels :] if self.labels else parts)
        return quote(value, safe=_UNRESERVED) if self.is_escaped else value


@dataclass(frozen=True, slots=True)
class MacroString:
    """Text and macros in turn. `letters` is what has to be known to expand it."""

    parts: tuple[str | Macro, ...]
    letters: frozenset[str]

    def expand(self, value_of: Callable[[str], str]) -> str:
        """The text, with the values of letters in lower case."""
        if not self.letters:
            return "".join(part for part in self.parts if isinstance(part, str))
        return "".join(part if isinstance(part, str) else part.expand(value_of(part.letter)) for part in self.parts)


def parse_macros(text: str, letters: frozenset[str] = DOMAIN_LETTERS) -> MacroString:
    """A macro string with macros of these letters. Raises SpfSyntaxError."""
    parts: list[str | Macro] = []
    position = 0
    while position < len(text):
        found = _part_at(text, position)
        if found is None:
            raise SpfSyntaxError(f"no macro string: {text!r}")
        literal, letter, labels, is_reversed, delimiters, single = found.groups()
        if letter is None:
            parts.append(literal or _SINGLE[single])
        elif letter.lower() not in letters or (labels and not int(labels)):
            raise SpfSyntaxError(f"no macro: {found[0]!r}")
        else:
            parts.append(
                Macro(letter.lower(), int(labels or 0), bool(is_reversed), delimiters, is_escaped=letter.isupper())
            )
        position = found.end()
    return MacroString(tuple(parts), frozenset(part.letter for part in parts if isinstance(part, Macro)))
