"""Counters and histograms as plain integers in one flat block: the hot path adds, the collector reads.

A cell is an index into `Stats.cells`; whoever counts asks for its cells once, when it is built, and then only says
`cells[i] += 1`. A block of cells is memory that stays where it is, which the supervisor may read too
(`server.processes.block`): who is compiled adds to it without an object of Python.
Values are integers: durations are counted in nanoseconds and leave as seconds at the scrape.
"""

import mmap
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal, Protocol, TypeAlias

__all__ = [
    "CELLS",
    "LATENCY_BOUNDS_NS",
    "Block",
    "Cells",
    "Children",
    "Family",
    "Histogram",
    "Kind",
    "Merge",
    "Source",
    "Stats",
    "Totals",
]

CELLS: Final = 131_072
"""As many as a block has; what is not used takes no memory, since a block never moves."""

CELL_BYTES: Final = 8

Cells: TypeAlias = "memoryview[int]"
Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

Merge: TypeAlias = Literal["sum", "least", "most"]
"""What a gauge of several workers is together."""

LATENCY_BOUNDS_NS: Final = tuple(
    int(microseconds * 1_000)
    for microseconds in (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 10_000_000)
)
"""Upper bounds of the latency buckets, from 10 µs to 10 s."""


@dataclass(slots=True)
class Family:
    """One metric with its label names; `children` maps label values to the index of their first cell."""

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...]
    bounds: tuple[int, ...] = ()
    merge: Merge = "sum"
    children: dict[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Cells of a child: that of a histogram is its buckets, the +Inf bucket, and the sum."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1

    def is_like(self, other: "Family") -> bool:
        """Whether the children of both can be counted together."""
        return (self.kind, self.labels, self.bounds) == (other.kind, other.labels, other.bounds)


Children: TypeAlias = Mapping[tuple[str, ...], Sequence[int]]
"""What is in the cells of each child, by its label values."""

Totals: TypeAlias = Iterator[tuple[Family, Children]]


class Source(Protocol):
    """Whatever counts."""

    def totals(self) -> Totals:
        """What is counted at this moment."""
        ...


class Histogram:
    """One child of a histogram: `observe` costs a few comparisons and two additions, in C where it is compiled."""

    __slots__ = ("_bounds", "_cells", "_first", "_sum")

    def __init__(self, cells: Cells, first: int, bounds: tuple[int, ...]) -> None:
        self._cells = cells
        self._first = first
        self._bounds = array("q", bounds)
        self._sum = first + len(bounds) + 1

    def observe(self, value: int) -> None:
        """Count `value` (in the unit of the bounds: nanoseconds for latencies)."""
        self._cells[self._bucket(value)] += 1
        self._cells[self._sum] += value

    def observe_and_count(self, value: int, cell: int) -> None:
        """The same, and one more in another cell of the block."""
        self._cells[cell] += 1
        self.observe(value)

    def _bucket(self, value: int) -> int:
        """The first whose bound is not below the value."""
        bounds = self._bounds
        index, count = 0, len(bounds)
        while index < count and bounds[index] < value:
            index += 1
        return self._first + index


class Block(Protocol):
    """Where cells are."""

    @property
    def cells(self) -> Cells:
        """All of them, always the same object."""
        ...

    def allot(self, family: Family, values: tuple[str, ...]) -> int:
        """The index of new cells, at zero, for a child that the family has not got yet."""
        ...


class _OwnBlock:
    """Memory that nobody else reads."""

    def __init__(self) -> None:
        self.cells = memoryview(mmap.mmap(-1, CELLS * CELL_BYTES)).cast("q")
        self._used = 0

    def allot(self, family: Family, _values: tuple[str, ...]) -> int:
        index = self._used
        if index + family.width > CELLS:
            raise OverflowError(f"there is no room for more metrics: {family.name}")
        self._used += family.width
        return index


class Stats:
    """The registry: declares families, hands out cells. Declaring the same name twice gives the same family."""

    def __init__(self, block: Block | None = None) -> None:
        self._block = _OwnBlock() if block is None else block
        self.cells = self._block.cells
        self._families: dict[str, Family] = {}

    def families(self) -> Iterator[Family]:
        """Every family in the order in which it was declared."""
        return iter(self._families.values())

    def totals(self) -> Totals:
        """What is counted at this moment."""
        for family in self.families():
            yield family, {values: self.cells[at : at + family.width] for values, at in family.children.items()}

    def counter(self, name: str, help_: str, **labels: Sequence[str]) -> Family:
        """A counter family; every combination of the given label values exists from the start, at zero.

        A trailing underscore (`class_=`) keeps a label from being a Python keyword and is dropped.
        """
        return self._declare(Family(name, help_, "counter", _names(labels)), list(labels.values()))

    def gauge(self, name: str, help_: str, *, merge: Merge = "sum", **labels: Sequence[str]) -> Family:
        """A gauge family: goes up and down. `merge` says what the gauges of several workers are together."""
        return self._declare(Family(name, help_, "gauge", _names(labels), merge=merge), list(labels.values()))

    def histogram(
        self, name: str, help_: str, *, bounds: tuple[int, ...] = LATENCY_BOUNDS_NS, **labels: Sequence[str]
    ) -> Family:
        """A histogram family with the given upper bounds (integers; latencies in nanoseconds)."""
        return self._declare(Family(name, help_, "histogram", _names(labels), bounds), list(labels.values()))

    def cell(self, family: Family, *values: str) -> int:
        """The index of the (first) cell for these label values, made when it is new."""
        if len(values) != len(family.labels):
            raise ValueError(f"{family.name} has the labels {family.labels}, not {len(values)} values")
        index = family.children.get(values)
        if index is None:
            index = family.children[values] = self._block.allot(family, values)
        return index

    def timer(self, family: Family, *values: str) -> Histogram:
        """The histogram child for these label values."""
        return Histogram(self.cells, self.cell(family, *values), family.bounds)

    def _declare(self, family: Family, values: list[Sequence[str]]) -> Family:
        known = self._families.setdefault(family.name, family)
        if not known.is_like(family):
            raise ValueError(f"{family.name} is declared twice, differently")
        for combination in product(*values):
            self.cell(known, *combination)
        return known


def _names(labels: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(label.rstrip("_") for label in labels)
