"""Where lines go: what all destinations have in common."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

__all__ = ["PRIORITIES", "Sink", "priority"]

PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""By level, as syslog counts (RFC 5424 section 6.2.1)."""


class Sink(Protocol):
    """A destination. Only `encode` is for everybody; the others are for one thread, and may block for as long as it
    takes.
    """

    @property
    def line_end(self) -> bytes | None:
        """What goes behind the JSON of a line; None where a line is more than its JSON."""

    def encode(self, line: Mapping[str, Any]) -> bytes:
        """The line as it is written."""

    def write(self, lines: deque[bytes]) -> None:
        """Write encoded lines, and take each one away that is written as a whole. Raises OSError."""

    def reopen(self) -> None:
        """Begin anew: a file was moved away. Raises OSError; then it goes on with what it has."""

    def close(self) -> None:
        """Let go of everything."""


def priority(line: Mapping[str, Any]) -> int:
    """How grave it is; transactions have no level."""
    return PRIORITIES.get(str(line.get("level")), PRIORITIES["info"])
