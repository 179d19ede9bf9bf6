"""Refusals end with the id of what is refused; who is told one sees that it is there, and goes on without."""

import re
from typing import Final

__all__ = ["plain", "without_id", "without_ids"]

_LAST_LINE: Final = re.compile(
    rb"([45][0-9][0-9] .*) \(([CT][0-9]+|[0-9A-HJKMNP-TV-Z]{18})\)(\r\n)?\Z", re.DOTALL
).match
_NEEDS_ID: Final = re.compile(rb"[45][0-9][0-9] ").match


def without_id(line: bytes) -> bytes:
    """A line of a reply, with its CRLF or without. Fails where it is the last one of a refusal and has no id."""
    found = _LAST_LINE(line)
    assert found or not _NEEDS_ID(line), f"a refusal without an id: {line!r}"
    return found[1] + (found[3] or b"") if found else line


def without_ids(said: bytes) -> bytes:
    """The same for all that was said."""
    return b"".join(map(without_id, said.splitlines(keepends=True)))


def plain(line: str) -> str:
    """The same for text."""
    return without_id(line.encode()).decode()
