"""What is counted, asked by name: for a page, not for the hot path."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fastsmtp.stats import Children, Family, Totals

__all__ = ["Figures", "quantile"]

NS_PER_S: Final = 1_000_000_000


class Figures:
    """The totals of one moment. A name that nobody counts by is zero: what is off has no metrics."""

    def __init__(self, totals: Totals) -> None:
        self._families: dict[str, tuple[Family, Children]] = {family.name: (family, kept) for family, kept in totals}

    def value(self, name: str, **labels: str) -> int:
        """The sum over all children of a counter or a gauge that have these labels; nanoseconds where it is a time."""
        return sum(value for _labels, (value,) in self._children(name, labels))

    def by(self, name: str, label: str, **labels: str) -> Counter[str]:
        """The same for each value of one label."""
        sums: Counter[str] = Counter()
        for of, (value,) in self._children(name, labels):
            sums[of[label]] += value
        return sums

    def each(self, name: str) -> Iterator[tuple[Mapping[str, str], int]]:
        """Every child of a counter or a gauge."""
        for labels, (value,) in self._children(name, {}):
            yield labels, value

    def buckets(self, name: str, **labels: str) -> tuple[Sequence[int], Sequence[int]]:
        """Upper bounds of a histogram and how often each bucket was met, the last one without a bound."""
        if name not in self._families:
            return (), (0,)
        bounds = self._families[name][0].bounds
        cells = [counts for _labels, (*counts, _sum) in self._children(name, labels)]
        return bounds, [sum(of) for of in zip(*cells, strict=True)] if cells else [0] * (len(bounds) + 1)

    def _children(self, name: str, wanted: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], Sequence[int]]]:
        if name not in self._families:
            return
        family, children = self._families[name]
        for values, cells in children.items():
            labels = dict(zip(family.labels, values, strict=True))
            if wanted.items() <= labels.items():
                yield labels, cells


def quantile(bounds: Sequence[int], counts: Sequence[int], share: float) -> int | None:
    """The upper bound of the bucket that reaches this share of all; None beyond the last bound, or of nothing."""
    wanted = share * sum(counts)
    reached = 0
    for bound, count in zip(bounds, counts, strict=False):
        reached += count
        if reached >= wanted > 0:
            return bound
    return None
