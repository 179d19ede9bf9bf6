"""The cells of one worker in memory that its supervisor reads: nothing is sent, and nothing is lost when it dies.

Two files without names. One is the cells, as many as there will ever be; what is not used takes no memory. The other
says what they are called: a JSON line for each family and for each child, in the order in which they came.

    ["fastsmtp_replies_total", "Replies.", "counter", ["verb", "class"], [], "sum"]
    ["fastsmtp_replies_total", ["MAIL", "2xx"], 17]
"""

import logging
import mmap
import os
from collections.abc import Iterator
from typing import Any, Final

import orjson

from fastsmtp.stats import CELL_BYTES, CELLS, Family, Totals

__all__ = ["WIDEST", "BlockReader", "SharedBlock"]

_BEAT: Final = 0
_OVERFLOW: Final = 8

WIDEST: Final = 120
"""So many cells a child may have at most."""

_FIRST: Final = _OVERFLOW + WIDEST

_log = logging.getLogger("fastsmtp.server")


class SharedBlock:
    """The worker's side. The descriptors are its own from now on."""

    def __init__(self, cells: int, names: int) -> None:
        self._memory = mmap.mmap(cells, CELLS * CELL_BYTES)
        self.cells = memoryview(self._memory).cast("q")
        self._names = names
        self._published: set[str] = set()
        self._used = _FIRST
        self._is_full = False
        os.close(cells)

    def allot(self, family: Family, values: tuple[str, ...]) -> int:
        """The index of new cells. When there are none left, nobody will see what is counted, and the log says so."""
        if family.width > WIDEST:
            raise ValueError(f"{family.name} has {family.width} cells for each child, and there may be {WIDEST}")
        index = self._used
        if index + family.width > CELLS:
            if not self._is_full:
                self._is_full = True
                _log.error("there is no room for more metrics: %s is not counted", family.name)
            return _OVERFLOW
        self._used += family.width
        if family.name not in self._published:
            self._published.add(family.name)
            self._publish([family.name, family.help, family.kind, family.labels, family.bounds, family.merge])
        self._publish([family.name, values, index])
        return index

    def beat(self, now_ns: int) -> None:
        """The event loop turns; `now_ns` is the time of the monotonic clock."""
        self.cells[_BEAT] = now_ns

    def _publish(self, line: list[Any]) -> None:
        os.write(self._names, orjson.dumps(line) + b"\n")


class BlockReader:
    """The supervisor's side, which makes the memory. `descriptors` are for the worker."""

    def __init__(self, name: str) -> None:
        """Raises OSError."""
        self._cells_fd = os.memfd_create(f"{name} cells", os.MFD_CLOEXEC)
        os.ftruncate(self._cells_fd, CELLS * CELL_BYTES)
        self._names_fd = os.memfd_create(f"{name} names", os.MFD_CLOEXEC)
        self._memory = mmap.mmap(self._cells_fd, CELLS * CELL_BYTES, prot=mmap.PROT_READ)
        self._cells = memoryview(self._memory).cast("q")
        self._families: dict[str, Family] = {}
        self._read = 0

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the cells and of the names."""
        return self._cells_fd, self._names_fd

    @property
    def beat_ns(self) -> int:
        """When the event loop of the worker last turned, on the monotonic clock; 0 when it never has."""
        return self._cells[_BEAT]

    def totals(self) -> Totals:
        """What is counted at this moment."""
        for family in self._look():
            places = family.children.items()
            yield family, {values: self._cells[at : at + family.width].tolist() for values, at in places}

    def close(self) -> None:
        """Let go of the memory."""
        self._cells.release()
        self._memory.close()
        os.close(self._cells_fd)
        os.close(self._names_fd)

    def _look(self) -> Iterator[Family]:
        """All families, after reading what was published since the last time."""
        size = os.fstat(self._names_fd).st_size
        if size > self._read:
            # A worker may have been killed in the middle of a line.
            whole = os.pread(self._names_fd, size - self._read, self._read).rpartition(b"\n")[0]
            for line in whole.splitlines():
                self._take(*orjson.loads(line))
            self._read += len(whole) + 1 if whole else 0
        return iter(self._families.values())

    def _take(self, name: str, *rest: Any) -> None:
        if len(rest) == 2:
            values, index = rest
            self._families[name].children[tuple(values)] = index
        else:
            help_, kind, labels, bounds, merge = rest
            self._families[name] = Family(name, help_, kind, tuple(labels), tuple(bounds), merge)
