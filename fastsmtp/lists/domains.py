"""Domain names with something about each: a name stands for what is below it, and the longest one that fits decides."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from fastsmtp.smtp.address import canonical_domain

__all__ = ["DomainMap", "parse_domain"]

T = TypeVar("T")


def parse_domain(text: str) -> str:
    """A domain in its canonical form; a leading dot (`.example.org`) stays, and means: only what is below it.

    Raises ValueError with a sentence for the operator.
    """
    below = text.startswith(".")
    return "." * below + canonical_domain(text[1:] if below else text)


class DomainMap(Generic[T]):
    """Keys are as `parse_domain` gives them. With `exact` a name stands for itself only."""

    __slots__ = ("_names",)

    def __init__(self, entries: Iterable[tuple[str, T]] = (), *, exact: bool = False) -> None:
        self._names: dict[str, T] = {}
        for name, value in entries:
            self._names[name] = value
            if not exact and not name.startswith("."):
                self._names.setdefault(f".{name}", value)

    def __bool__(self) -> bool:
        return bool(self._names)

    def find(self, name: str) -> T | None:
        """What stands at the longest name that fits this canonical one."""
        names = self._names
        if not names:
            return None
        found = names.get(name)
        while found is None and name:
            name = name.partition(".")[2]
            found = names.get(f".{name}")
        return found
