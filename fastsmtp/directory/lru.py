"""A bounded memory in which a flood of names that are asked for once cannot push out those that are asked for daily.

Two queues in front of one dictionary (S3-FIFO without its ghosts; docs/decisions/0008-lru.md has the measurements). A
hit only sets a flag on the entry. Nothing is removed but by eviction: who has a new answer changes the entry.
"""

from collections import deque
from sys import getsizeof
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["Used", "UsedLately"]

PROBATION: Final = 5
"""One place in so many is for newcomers."""

LOOKS: Final = 64
"""So many entries may get a second chance at one eviction, so that none of them takes long."""


class Used(Protocol):
    """Whoever reads an entry sets its flag; eviction clears it."""

    is_used: bool


_Entry = TypeVar("_Entry", bound=Used)


class UsedLately(Generic[_Entry]):
    """At most `bound` entries by name. `get` is that of the dictionary: a method around it would double its cost."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._entries: dict[str, _Entry] = {}
        self._newcomers: deque[str] = deque()
        self._regulars: deque[str] = deque()
        self.get = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def table_bytes(self) -> int:
        """What dictionary and queues take, without names and entries."""
        # A deque says how large its last block is, too; eight bytes an entry is what it comes to.
        return getsizeof(self._entries) + 8 * len(self._entries)

    def add(self, name: str, entry: _Entry) -> tuple[str, _Entry] | None:
        """Remember an entry under a name that is not there yet; returns what had to go for it. `bound` is not 0."""
        evicted = self.evict() if len(self._entries) >= self.bound else None
        self._entries[name] = entry
        self._newcomers.append(name)
        return evicted

    def evict(self) -> tuple[str, _Entry]:
        """Let go of the one that is wanted least, and return it. There has to be one."""
        for _ in range(LOOKS):
            name = self._next()
            entry = self._entries[name]
            if not entry.is_used:
                break
            entry.is_used = False
            self._regulars.append(name)
        else:
            name = self._next()
        return name, self._entries.pop(name)

    def _next(self) -> str:
        if len(self._newcomers) > len(self._entries) // PROBATION or not self._regulars:
            return self._newcomers.popleft()
        return self._regulars.popleft()
