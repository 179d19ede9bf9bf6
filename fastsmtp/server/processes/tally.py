"""What all workers together have counted, those that are dead among them: a counter never goes back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from fastsmtp.stats import Children, Family, Merge, Source, Totals

__all__ = ["Tally"]

_MERGE: Final[Mapping[Merge, Callable[[Iterable[int]], int]]] = {"sum": sum, "least": min, "most": max}

_Parts = dict[tuple[str, ...], list[Sequence[int]]]


class Tally:
    """Counters and histograms are added up over everybody who ever joined, gauges are those of who is there."""

    def __init__(self, *members: Source) -> None:
        self._members: list[Source] = list(members)
        self._gone = _Gone()

    def join(self, member: Source) -> None:
        """From now on this one counts."""
        self._members.append(member)

    def leave(self, member: Source) -> None:
        """It counts no more; what it has counted stays."""
        self._members.remove(member)
        self._gone = _Gone(_together([self._gone, member]))

    def totals(self) -> Totals:
        """What is counted at this moment."""
        return _together([self._gone, *self._members])


class _Gone:
    """What is left of those who are gone: not their gauges."""

    def __init__(self, totals: Iterable[tuple[Family, Children]] = ()) -> None:
        self._totals = [(family, children) for family, children in totals if family.kind != "gauge"]

    def totals(self) -> Totals:
        return iter(self._totals)


def _together(members: Iterable[Source]) -> Totals:
    """Where a later one means something else by a name than those before it, it is right."""
    gathered: dict[str, tuple[Family, _Parts]] = {}
    for member in members:
        for family, children in member.totals():
            known = gathered.get(family.name)
            if known is None or not known[0].is_like(family):
                known = gathered[family.name] = (family, {})
            for values, counts in children.items():
                known[1].setdefault(values, []).append(counts)
    for family, parts in gathered.values():
        merge = _MERGE[family.merge]
        yield family, {values: [merge(cell) for cell in zip(*counts, strict=True)] for values, counts in parts.items()}
