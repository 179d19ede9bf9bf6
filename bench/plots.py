"""Pictures of a result: PNG to show, SVG to keep. Needs matplotlib (`pip install fastsmtp-mx[bench]`)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.results import Measured, Result, Side, Spread
from bench.table import octets_text, title, version_text

__all__ = ["draw"]

_OURS: Final = "fastsmtp"
_COLOURS: Final = {
    "floor": "#8c8c8c",
    "fastsmtp": "#d9480f",
    "postfix": "#1c5d99",
    "qpsmtpd": "#3a7d44",
    "aiosmtpd": "#8e44ad",
    "haraka": "#b8860b",
    "dovecot lmtp": "#2a9d8f",
    "exim": "#6d597a",
    "opensmtpd": "#bc4b51",
}
_OTHER: Final = "#555555"
_PARTS: Final = {
    "sockets": "#495057",
    "files": "#868e96",
    "other kernel": "#ced4da",
    "event loop": "#1c5d99",
    "parse": "#2a9d8f",
    "session": "#d9480f",
    "plugins": "#8e44ad",
    "store": "#3a7d44",
    "log and metrics": "#b8860b",
    "other Python": "#f4a261",
}
_USERS: Final = {"users": "all mail to one mailbox", "users, 1,000 mailboxes": "mail to a thousand mailboxes"}
"""Curves over the size of the directory, and what they are called."""
_STYLE: Final[dict[str, Any]] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "fastsmtp",
}


def draw(result: Result, folder: Path) -> list[Path]:
    """Write every picture that the result has the figures for; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(_STYLE):
        for name, figure in _pictures(result):
            _sign(figure, result)
            for kind in ("png", "svg"):
                path = folder / f"{name}.{kind}"
                # No date inside: the same figures give the same file.
                figure.savefig(path, dpi=150, metadata={"Date": None} if kind == "svg" else None)
                written.append(path)
    return written


def _pictures(result: Result) -> Iterator[tuple[str, Figure]]:
    if (standard := result.scenario("standard")) is not None:
        yield "peers", _peers(standard, result)
        yield "latency", _latencies(result.scenario("200 a second, open loop") or standard)
    if result.splits:
        yield "split", _splits(result)
    for curve, label, text in (
        ("connections", "connections at once", _whole),
        ("size", "size of a message", octets_text),
        ("recipients", "recipients of a message", _whole),
    ):
        if len(points := result.curve(curve)) > 1:
            yield curve, _curve(points, label, text)
    lines = {text: result.curve(curve) for curve, text in _USERS.items()}
    if any(len(points) > 1 for points in lines.values()):
        yield "users", _users(lines)


def _family(name: str) -> str:
    """Of whom it is a variant."""
    return next((known for known in _COLOURS if name == known or name.startswith(f"{known} ")), name)


def _colour(name: str) -> str:
    return _COLOURS.get(_family(name), _OTHER)


def _sign(figure: Figure, result: Result) -> None:
    machine = result.machine
    disk = machine["file_system"].split()[0]
    text = (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {disk}; commit {result.commit}\n"
        "medians of the rounds; whiskers and bands from the least to the most"
    )
    figure.text(0.01, 0.01, text, fontsize=6.5, color="#777777")


def _peers(scenario: Measured, result: Result) -> Figure:
    """CPU and messages/s, one bar a peer, the cheapest on top."""
    sides = sorted(scenario.sides.items(), key=lambda item: -item[1].cpu_us.median)
    figure = Figure(figsize=(10, 1.6 + 0.4 * len(sides)))
    left, right = figure.subplots(1, 2, sharey=True)
    ours = scenario.sides[_OURS].cpu_us.median if _OURS in scenario.sides else 0.0
    _bars(
        left,
        [(name, side.cpu_us, f"  ×{side.cpu_us.median / ours:.1f}" if ours else "", False) for name, side in sides],  # noqa: RUF001
    )
    left.set_title("CPU, µs a message, × fastsmtp's" if ours else "CPU, µs a message")  # noqa: RUF001
    idle = {name for name, promise in result.promises.items() if promise.startswith("nothing")}
    _bars(
        right,
        [(name, side.stored_rate, "  stores nothing" if name in idle else "", name in idle) for name, side in sides],
    )
    right.set_title("messages/s, acknowledged and stored")
    left.set_yticks(
        range(len(sides)), [f"{name} {version_text(result, name)}".strip() for name, _ in sides], color="#222222"
    )
    for label, (name, _) in zip(left.get_yticklabels(), sides, strict=True):
        label.set_fontweight("bold" if name == _OURS else "normal")
    figure.suptitle(title(scenario), x=0.01, ha="left", fontsize=9, color="#444444")
    figure.tight_layout(rect=(0, 0.04, 1, 0.99))
    return figure


def _bars(axes: Axes, rows: list[tuple[str, Spread, str, bool]]) -> None:
    """Of each row the peer, its figure, a word behind that, and whether the bar is a hollow one."""
    reach = max(spread.most for _, spread, _, _ in rows)
    for at, (name, spread, word, is_hollow) in enumerate(rows):
        colour = _colour(name)
        is_variant = name != _family(name)
        axes.barh(
            at,
            spread.median,
            height=0.68,
            color="white" if is_hollow else colour,
            edgecolor=colour,
            hatch="///" if is_hollow else None,
            alpha=0.45 if is_variant else 1.0,
        )
        axes.plot([spread.least, spread.most], [at, at], color="#222222", lw=0.8, marker="|", ms=5)
        axes.text(spread.most + reach * 0.015, at, f"{spread.median:,.0f}{word}", va="center", fontsize=8)
    axes.set_xlim(0, reach * 1.25)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(_number))


def _number(value: float, _position: int = 0) -> str:
    return f"{value:,.10g}"


def _whole(value: int) -> str:
    return f"{value:,}"


def _splits(result: Result) -> Figure:
    """Where the CPU goes, a bar a peer, its parts side by side."""
    figure = Figure(figsize=(10, 1.9 + 0.5 * len(result.splits)))
    axes = figure.subplots()
    for at, (name, parts) in enumerate(reversed(result.splits.items())):
        begin = 0.0
        for part, us in parts.items():
            axes.barh(at, us, left=begin, height=0.6, color=_PARTS[part], label=part if at == 0 else None)
            if us > 0.05 * sum(parts.values()):
                axes.text(begin + us / 2, at, f"{us:.0f}", ha="center", va="center", fontsize=8, color="white")
            begin += us
        axes.text(begin, at, f"  {begin:.0f}", va="center", fontsize=8)
        axes.text(0, at + 0.36, name, fontsize=8, fontweight="bold")
    if (standard := result.scenario("standard")) is not None and "floor" in standard.sides:
        floor_us = standard.sides["floor"].cpu_us.median
        axes.axvline(floor_us, color="#222222", lw=1, ls=":")
        axes.text(floor_us, len(result.splits) - 0.38, f" the floor: {floor_us:.0f} in all", fontsize=8, va="bottom")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.5, len(result.splits) - 0.35)
    axes.set_title("where the CPU of a message goes, µs (perf and py-spy; the first three are the kernel)", pad=14)
    axes.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.12), fontsize=8)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def _curve(points: list[Measured], label: str, text: Callable[[int], str]) -> Figure:
    """Throughput and CPU. Of messages that differ it counts what they bring: octets, and copies in mailboxes."""
    curve = points[0].curve
    figure = Figure(figsize=(10, 4.6))
    left, right = figure.subplots(1, 2)
    of_octets, of_copies = curve == "size", curve == "recipients"
    _lines(left, points, lambda side, x: side.stored_rate.times(x / 2**20 if of_octets else x if of_copies else 1))
    left.set_title("MiB/s, stored" if of_octets else "deliveries/s, stored" if of_copies else "messages/s, stored")
    _lines(right, points, lambda side, x: side.cpu_us.times(1 / x if of_copies else 1))
    right.set_title("CPU, µs a delivery" if of_copies else "CPU, µs a message")
    for axes in (left, right):
        _log_axes(axes)
        axes.set_xlabel(label)
        axes.set_xticks([point.x for point in points], [text(point.x) for point in points], rotation=30, ha="right")
        axes.minorticks_off()
        axes.margins(x=0.03)
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, ncols=len(names), loc="upper right", bbox_to_anchor=(0.99, 1.0))
    figure.text(0.01, 0.955, _common_load(points), fontsize=9, color="#444444")
    figure.tight_layout(rect=(0, 0.06, 1, 0.95))
    return figure


def _common_load(points: list[Measured]) -> str:
    """What all points have in common."""
    parts = [title(point).partition(": ")[2].split(", ") for point in points]
    return ", ".join(part for part in parts[0] if all(part in others for others in parts))


def _log_axes(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(_number))


def _users(lines: dict[str, list[Measured]]) -> Figure:
    """Ours only, from zero: what is to be seen is whether it is flat."""
    figure = Figure(figsize=(8, 4.4))
    axes = figure.subplots()
    xs = sorted({point.x for points in lines.values() for point in points})
    for (name, points), style in zip(lines.items(), ("-", "--"), strict=True):
        _line(
            axes, [(point.x, point.sides[_OURS].cpu_us) for point in points if _OURS in point.sides], name, _OURS, style
        )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xticks(xs, [_whole(x) for x in xs])
    axes.minorticks_off()
    axes.set_xlabel("users in the directory")
    axes.set_title("CPU of fastsmtp, µs a message")
    axes.legend(frameon=False, loc="lower right")
    figure.tight_layout(rect=(0, 0.06, 1, 0.95))
    figure.text(
        0.01, 0.95, _common_load([point for points in lines.values() for point in points]), fontsize=9, color="#444444"
    )
    return figure


def _lines(axes: Axes, points: list[Measured], value: Callable[[Side, int], Spread]) -> None:
    for name in dict.fromkeys(name for point in points for name in point.sides):
        mine = [(point.x, value(point.sides[name], point.x)) for point in points if name in point.sides]
        _line(axes, mine, name, name, "--" if name == "floor" else "-")


def _line(axes: Axes, points: list[tuple[int, Spread]], label: str, peer: str, style: str) -> None:
    xs, spreads = [x for x, _ in points], [spread for _, spread in points]
    colour = _colour(peer)
    axes.plot(xs, [spread.median for spread in spreads], style, marker="o", ms=4, color=colour, label=label)
    lows, highs = [spread.least for spread in spreads], [spread.most for spread in spreads]
    axes.fill_between(xs, lows, highs, color=colour, alpha=0.12, lw=0)


def _latencies(scenario: Measured) -> Figure:
    """Milliseconds by percentile, the tail drawn out."""
    figure = Figure(figsize=(9, 4.8))
    axes = figure.subplots()
    shares = [0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999]
    for name, side in scenario.sides.items():
        if name != _family(name):
            continue  # variants lie on top of each other
        values = [side.latencies.percentile_ms(share * 100) for share in shares]
        axes.plot([1 / (1 - share) for share in shares], values, marker="o", ms=3, color=_colour(name), label=name)
    _log_axes(axes)
    axes.set_xticks([1 / (1 - share) for share in shares], [f"p{share * 100:g}" for share in shares])
    axes.minorticks_off()
    axes.set_title("time to the 250, ms (less is better)")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout(rect=(0, 0.06, 1, 0.95))
    figure.text(0.01, 0.955, title(scenario), fontsize=9, color="#444444")
    return figure
