"""Two results beside each other, if they were measured on the same kind of machine."""

from typing import Final

from rich.table import Table

from bench.results import Measured, Result, Side

__all__ = ["UnlikeError", "compare", "differences"]

_MAY_DIFFER: Final = {"python"}
"""It belongs to what is compared."""


class UnlikeError(Exception):
    """The two say nothing about each other."""


def differences(before: Result, after: Result) -> list[str]:
    """In what the machines differ, in words."""
    names = (before.machine.keys() | after.machine.keys()) - _MAY_DIFFER
    return [
        f"{name}: {before.machine.get(name)} and {after.machine.get(name)}"
        for name in sorted(names)
        if before.machine.get(name) != after.machine.get(name)
    ]


def compare(before: Result, after: Result) -> list[Table]:
    """A table a scenario that both have, with the same load. Raises UnlikeError."""
    if unlike := differences(before, after):
        raise UnlikeError("the machines are not alike: " + "; ".join(unlike))
    if before.accounts != after.accounts:
        raise UnlikeError(f"CPU was counted in different ways: {before.accounts} and {after.accounts}")
    tables = []
    for scenario in after.scenarios:
        earlier = before.scenario(scenario.name)
        if earlier is not None and _without_length(earlier) == _without_length(scenario):
            tables.append(_table(earlier, scenario))
    if not tables:
        raise UnlikeError("no scenario is in both, with the same load")
    return tables


def _without_length(scenario: Measured) -> dict[str, object]:
    """The load, however long it took. JSON has no tuples."""
    load = {name: value for name, value in scenario.load.items() if name != "seconds"}
    return {**load, "mix": [list(part) for part in scenario.load["mix"]]}


def _table(before: Measured, after: Measured) -> Table:
    table = Table(title=after.name, title_justify="left", title_style="bold")
    for heading in ("", "CPU us before", "after", "change", "messages/s before", "after", "change"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, side in after.sides.items():
        if name in before.sides:
            table.add_row(name, *_row(before.sides[name], side))
    return table


def _row(before: Side, after: Side) -> list[str]:
    cells = []
    for old, new in ((before.cpu_us, after.cpu_us), (before.rate, after.rate)):
        # Where the rounds of the two overlap, a difference of the medians may be chance.
        is_clear = old.most < new.least or new.most < old.least
        change = f"{new.median / old.median - 1:+.1%}"
        cells += [
            f"{old.median:,.0f}",
            f"{new.median:,.0f}",
            change if is_clear else f"[dim]{change} (within the spread)[/]",
        ]
    return cells
