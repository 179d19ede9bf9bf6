"""What plugins remember (notes) and what they found out (results)."""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

__all__ = ["OUTCOMES", "Notes", "Outcome", "Result"]

Outcome = Literal["pass", "fail", "skip", "error"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("pass", "fail", "skip", "error")

Note = TypeVar("Note")


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


@dataclass(frozen=True, slots=True)
class Result:
    """One finding of one plugin, with the evidence; the log, metrics and later plugins read it."""

    plugin: str
    outcome: Outcome
    evidence: str
