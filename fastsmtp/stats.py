"""Counters and histograms as plain integers in one flat block: the hot path adds, the collector reads.

A cell is an index into `Stats.cells`; whoever counts asks for its cells once, when it is built, and then only says
`cells[i] += 1`. The block can be any writable sequence of 64-bit integers, so several processes can share one.
Values are integers: durations are counted in nanoseconds and leave as seconds at the scrape.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

__all__ = ["LATENCY_BOUNDS_NS", "Family", "Histogram", "Stats"]

Kind = Literal["counter", "gauge", "histogram"]

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
    children: dict[tuple[str, ...], int] = field(default_factory=dict)


class Histogram:
    """One child of a histogram: `observe` costs one bisection and two additions."""

    __slots__ = ("_bounds", "_cells", "_first", "_sum")

    def __init__(self, cells: MutableSequence[int], first: int, bounds: tuple[int, ...]) -> None:
        self._cells = cells
        self._first = first
        self._bounds = bounds
        self._sum = first + len(bounds) + 1

    def observe(self, value: int) -> None:
        """Count `value` (in the unit of the bounds: nanoseconds for latencies)."""
        cells = self._cells
        cells[self._first + bisect_left(self._bounds, value)] += 1
        cells[self._sum] += value


class Stats:
    """The registry: declares families, hands out cells. Declaring the same name twice gives the same family."""

    def __init__(self) -> None:
        self.cells: array[int] = array("q")
        self._families: dict[str, Family] = {}

    def families(self) -> Iterator[Family]:
        """Every family in the order in which it was declared."""
        return iter(self._families.values())

    def counter(self, name: str, help_: str, **labels: Sequence[str]) -> Family:
        """A counter family; every combination of the given label values exists from the start, at zero.

        A trailing underscore (`class_=`) keeps a label from being a Python keyword and is dropped.
        """
        return self._declare(Family(name, help_, "counter", _names(labels)), list(labels.values()))

    def gauge(self, name: str, help_: str, **labels: Sequence[str]) -> Family:
        """A gauge family: goes up and down."""
        return self._declare(Family(name, help_, "gauge", _names(labels)), list(labels.values()))

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
            index = family.children[values] = len(self.cells)
            # A histogram child is its buckets, the +Inf bucket, and the sum.
            self.cells.extend([0] * (len(family.bounds) + 2 if family.kind == "histogram" else 1))
        return index

    def timer(self, family: Family, *values: str) -> Histogram:
        """The histogram child for these label values."""
        return Histogram(self.cells, self.cell(family, *values), family.bounds)

    def _declare(self, family: Family, values: list[Sequence[str]]) -> Family:
        known = self._families.setdefault(family.name, family)
        if (known.kind, known.labels, known.bounds) != (family.kind, family.labels, family.bounds):
            raise ValueError(f"{family.name} is declared twice, differently")
        for combination in product(*values):
            self.cell(known, *combination)
        return known


def _names(labels: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(label.rstrip("_") for label in labels)
