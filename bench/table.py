"""A result for people, on the terminal or in a page."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.load.histogram import Histogram
from bench.load.messages import Weighted
from bench.results import Measured, Result, Side, Spread
from bench.split import PARTS
from bench.targets import Verdict, verdicts

__all__ = ["octets_text", "print_result", "title", "version_text"]

_FLOOR: Final = "floor"
_OURS: Final = "fastsmtp"
_PLUGINS: Final = "fastsmtp plugins"
_MARKS: Final = {True: "[green]met[/]", False: "[red]missed[/]", None: "-"}


def print_result(console: Console, result: Result) -> None:
    """Everything: what was measured on, a table a scenario, curves, targets, warnings."""
    machine = result.machine
    console.print(
        f"commit {result.commit}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"{machine['file_system'].split()[0]}, Python {machine['python']}; CPU counted by {', '.join(result.accounts)}"
    )
    for scenario in result.scenarios:
        if not scenario.curve:
            console.print(_scenario_table(scenario, result))
    for curve in dict.fromkeys(scenario.curve for scenario in result.scenarios if scenario.curve):
        console.print(_curve_table(result.curve(curve)))
    if result.splits:
        console.print(_split_table(result))
    if result.plugins:
        console.print(_plugins_table(result))
    console.print(_targets_table(verdicts(result)))
    console.print("What a 250 stands for:")
    for name, promise in result.promises.items():
        console.print(f"  {name}: {promise}", highlight=False)
    for name, why in result.skipped.items():
        console.print(f"[yellow]not measured:[/] {name}: {why}")
    for failure in result.failures:
        console.print("[red]failed:[/]", end=" ")
        console.print(failure, markup=False)
    for warning in result.warnings:
        console.print(f"[yellow]beware:[/] {warning}")


def title(scenario: Measured) -> str:
    """The load in words."""
    load = scenario.load
    parts = [_mix_text([Weighted(*part) for part in load["mix"]]), f"{load['connections']} connections"]
    parts.append("pipelining" if load["pipelining"] else "no pipelining")
    if load["per_connection"]:
        parts.append(f"{load['per_connection']} on a connection")
    if load["recipients_each"] > 1:
        parts.append(f"{load['recipients_each']} recipients each")
    if load["rate"]:
        parts.append(f"{load['rate']:g} a second whatever the server does")
    if load["no_mail"]:
        parts.append("greeting and QUIT only")
    rounds = max(len(side.rounds) for side in scenario.sides.values())
    length = f"{load['seconds']:g} s" if load["seconds"] else f"{load['messages']} messages"
    return f"{scenario.name}: {', '.join(parts)}; {'a round' if rounds == 1 else f'{rounds} rounds'} of {length}"


def octets_text(octets: float) -> str:
    """4096 as 4 KiB."""
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if octets >= size:
            return f"{octets / size:g} {unit}"
    return f"{octets:g} octets"


def _mix_text(mix: list[Weighted]) -> str:
    if len(mix) == 1:
        return octets_text(mix[0].octets)
    mean = sum(part.octets * part.weight for part in mix) / sum(part.weight for part in mix)
    return f"{octets_text(mix[0].octets)} to {octets_text(mix[-1].octets)}, mean {mean / 1024:.0f} KiB"


def _spread(spread: Spread) -> str:
    return f"{spread.median:,.0f} [dim]({spread.least:,.0f}..{spread.most:,.0f})[/]"


def _scenario_table(scenario: Measured, result: Result) -> Table:
    table = Table(title=title(scenario), title_justify="left", title_style="bold")
    table.add_column("")
    for heading in (
        "acknowledged/s",
        "stored/s",
        "CPU us/message",
        "x floor",
        "p50",
        "p99",
        "p99.9 ms",
        "MiB idle",
        "peak",
    ):
        table.add_column(heading, justify="right")
    floor = scenario.sides.get(_FLOOR)
    for name, side in scenario.sides.items():
        table.add_row(
            f"{name} {version_text(result, name)}",
            _spread(side.rate),
            f"{side.stored_rate.median:,.0f}" if "nothing" not in result.promises[name] else "-",
            _spread(side.cpu_us),
            f"{side.cpu_us.median / floor.cpu_us.median:.2f}" if floor else "-",
            *(
                f"{side.latencies.percentile_ms(percent):.1f}" if len(side.latencies) else "-"
                for percent in (50, 99, 99.9)
            ),
            f"{min(each.idle_bytes for each in side.rounds) / 2**20:.0f}",
            f"{side.peak_bytes / 2**20:.0f}",
        )
    return table


def _percentiles(latencies: Histogram) -> list[str]:
    if not len(latencies):  # smtp-source tells none
        return ["-"] * 3
    return [f"{latencies.percentile_ms(percent):.1f}" for percent in (50, 99, 99.9)]


def version_text(result: Result, name: str) -> str:
    """As a reader wants it: ours is the commit above."""
    version = result.versions[name]
    return "" if version == "-" or name.startswith("fastsmtp") else version.split()[0]


def _curve_table(points: list[Measured]) -> Table:
    table = Table(title=f"over {points[0].curve}", title_justify="left", title_style="bold")
    table.add_column(points[0].curve, justify="right")
    names = list(dict.fromkeys(name for point in points for name in point.sides))
    for name in names:
        table.add_column(f"{name}\nmessages/s", justify="right")
        table.add_column("CPU us", justify="right")
    for point in points:
        table.add_row(_x_text(point), *_cells(point.sides.get(name) for name in names))
    return table


def _x_text(point: Measured) -> str:
    return octets_text(point.x) if point.curve == "size" else f"{point.x:,}"


def _cells(sides: Iterable[Side | None]) -> list[str]:
    cells = []
    for side in sides:
        cells += ["-", "-"] if side is None else [f"{side.stored_rate.median:,.0f}", f"{side.cpu_us.median:,.0f}"]
    return cells


def _split_table(result: Result) -> Table:
    table = Table(title="where the CPU goes, us a message", title_justify="left", title_style="bold")
    table.add_column("")
    for part in PARTS:
        table.add_column(part, justify="right")
    for name, split in result.splits.items():
        table.add_row(name, *(f"{split.get(part, 0):.1f}" for part in PARTS))
    return table


def _plugins_table(result: Result) -> Table:
    """With what the chain took in all beside what all of it costs: the difference of the two servers."""
    table = Table(title="plugins, us a message as /metrics says", title_justify="left", title_style="bold")
    table.add_column("")
    for heading in ("us", "hooks called"):
        table.add_column(heading, justify="right")
    for name, figures in sorted(result.plugins.items(), key=lambda item: -item[1]["us"]):
        table.add_row(name, f"{figures['us']:.2f}", f"{figures['hooks']:.2f}")
    table.add_section()
    table.add_row("together", f"{sum(figures['us'] for figures in result.plugins.values()):.2f}", "")
    if (standard := result.scenario("standard")) is not None and {_OURS, _PLUGINS} <= standard.sides.keys():
        with_them, without = standard.sides[_PLUGINS].cpu_us.median, standard.sides[_OURS].cpu_us.median
        table.add_row("CPU with them, more than without", f"{with_them - without:.2f}", "")
    return table


def _targets_table(found: list[Verdict]) -> Table:
    table = Table(title="targets, as ratios of this run", title_justify="left", title_style="bold")
    table.add_column("")
    for heading in ("here", "wanted"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for verdict in found:
        target = verdict.target
        value = "not measured" if verdict.value is None else f"{verdict.value:.2f}"
        table.add_row(target.text, value, f"{target.sense} {target.bound:g}", _MARKS[verdict.is_met])
    return table
