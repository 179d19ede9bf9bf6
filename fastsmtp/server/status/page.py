"""The status page: how the server is and what it did lately, for a person who opens `/` in a browser.

No script, nothing from elsewhere, and nothing that a client of ours has said.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Final

from fastsmtp import __version__
from fastsmtp.server.processes.running import RunningServer
from fastsmtp.server.status.chart import chart
from fastsmtp.server.status.figures import Figures, quantile
from fastsmtp.server.status.history import History, Sample, Span

__all__ = ["Condition", "status_page"]

_LATELY_S: Final = 60.0
_MOST_PLUGINS: Final = 20
_STYLE: Final = files(__package__).joinpath("page.css").read_text("utf-8")

_TROUBLES: Final = {
    "fastsmtp_internal_errors_total": "faults of the server that ended a connection",
    "fastsmtp_worker_deaths_total": "workers that died",
    "fastsmtp_journal_unrecovered_rings": "journals of dead workers not recovered yet",
    "fastsmtp_journal_stalls_total": "times that a batch waited for room in the journal",
    "fastsmtp_cache_degraded": "the database is away: known recipients only",
    "fastsmtp_state_away": "workers without the server of the state",
    "fastsmtp_reload_failed": "the last reload failed: the configuration before counts",
    "fastsmtp_log_lines_lost_total": "log lines lost",
    "fastsmtp_state_records_lost_total": "records of the state lost",
}
"""What should be zero."""

_SHED: Final = ("nothing is shed", "strangers are shed", "transactions are shed")


@dataclass(frozen=True, slots=True)
class Condition:
    """How the server is; `trouble` is empty when all is well."""

    host: str
    trouble: str
    up_s: float
    running: RunningServer


def status_page(condition: Condition, figures: Figures, now: Sample, history: History) -> str:
    """The whole page as HTML."""
    lately = history.lately(now, _LATELY_S)
    body = [
        _head(condition, figures),
        _tiles(figures, lately),
        f'<section class="wide"><h2>A second, in the last half hour</h2>{chart(list(history.spans()))}</section>',
        _troubles(figures),
        _workers(figures, lately),
        _listeners(condition.running, figures),
        _plugins(figures),
        _limits(figures),
        '<footer><a href="metrics">metrics</a> <a href="healthz">healthz</a> <a href="readyz">readyz</a></footer>',
    ]
    title = f"{escape(condition.host)}: fastsmtp"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="10">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _head(condition: Condition, figures: Figures) -> str:
    state = f'<b class="bad">{escape(condition.trouble)}</b>' if condition.trouble else '<b class="good">ready</b>'
    generation = figures.value("fastsmtp_generation")
    return (
        f"<header><h1>{escape(condition.host)}</h1>{state}"
        f"<p>fastsmtp {__version__}, up {_duration(condition.up_s)}, generation {generation}</p></header>"
    )


def _tiles(figures: Figures, lately: Span) -> str:
    outcomes = lately.later.outcomes
    times = lately.times()
    tiles = [
        ("messages stored", f"{outcomes['stored']:,}", f"{lately.per_second('stored'):,.1f} a second"),
        ("refusals (5xx)", f"{outcomes['refused']:,}", f"{lately.per_second('refused'):,.1f} a second"),
        ("deferrals (4xx)", f"{outcomes['deferred']:,}", f"{lately.per_second('deferred'):,.1f} a second"),
        ("connections", f"{figures.value('fastsmtp_connections'):,}", "open"),
        ("median time", _time(quantile(lately.later.bounds_ns, times, 0.5), times), "or less, this minute"),
        ("99 of 100", _time(quantile(lately.later.bounds_ns, times, 0.99), times), "or less, this minute"),
    ]
    items = "".join(f"<div><h2>{name}</h2><strong>{value}</strong><p>{note}</p></div>" for name, value, note in tiles)
    return f'<section class="tiles">{items}</section>'


def _troubles(figures: Figures) -> str:
    rows = [[text, f"{value:,}"] for name, text in _TROUBLES.items() if (value := figures.value(name))]
    signs = figures.by("fastsmtp_overload", "sign")
    rows += [[f"overload: {sign}", _SHED[min(level, len(_SHED) - 1)]] for sign, level in signs.items() if level]
    return _table("Trouble", ["what", ""], rows, "none")


def _workers(figures: Figures, lately: Span) -> str:
    up = figures.by("fastsmtp_worker_up", "worker")
    memory = figures.by("fastsmtp_worker_resident_memory_bytes", "worker")
    descriptors = figures.by("fastsmtp_worker_open_fds", "worker")
    deaths = figures.by("fastsmtp_worker_deaths_total", "worker")
    rows = [
        [
            worker,
            "serves" if is_up else "away",
            f"{lately.cpu_share(worker):.0%}",
            _size(memory[worker]),
            f"{descriptors[worker]:,}",
            f"{deaths[worker]:,}",
        ]
        for worker, is_up in up.items()
    ]
    return _table("Workers", ["worker", "", "CPU", "memory", "descriptors", "deaths"], rows, "none")


def _listeners(running: RunningServer, figures: Figures) -> str:
    accepted = figures.by("fastsmtp_connections_total", "listener")
    refused = figures.by("fastsmtp_connections_refused_total", "listener")
    stored = figures.by("fastsmtp_transactions_total", "listener", outcome="stored")
    rows = [
        [str(one.address), one.protocol, f"{accepted[one.name]:,}", f"{refused[one.name]:,}", f"{stored[one.name]:,}"]
        for one in running.listeners
    ]
    return _table("Listeners", ["address", "protocol", "accepted", "turned away", "stored"], rows, "none")


def _plugins(figures: Figures) -> str:
    counted = [(value, of) for of, value in figures.each("fastsmtp_plugin_answers_total") if value]
    said = sorted(
        ((value, of) for value, of in counted if of["answer"] not in {"none", "accept"}),
        key=lambda one: (-one[0], one[1]["plugin"], one[1]["stage"]),
    )
    rows = [
        [of["plugin"], of["stage"], of["answer"] + (" (shadow)" if of["mode"] == "shadow" else ""), f"{value:,}"]
        for value, of in said[:_MOST_PLUGINS]
    ]
    return _table("What plugins said", ["plugin", "stage", "answer", "times"], rows, "nothing yet")


def _limits(figures: Figures) -> str:
    limits = figures.by("fastsmtp_limits_total", "limit") + figures.by("fastsmtp_shed_total", "what")
    rows = [[limit.replace("_", " "), f"{count:,}"] for limit, count in limits.most_common() if count]
    return _table("Limits that were reached", ["limit", "times"], rows, "none")


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    lines = list(_rows(rows))
    if not lines:
        return f"<section><h2>{title}</h2><p>{empty}</p></section>"
    head = "".join(f"<th>{head}</th>" for head in heads)
    return f"<section><h2>{title}</h2><table><tr>{head}</tr>{''.join(lines)}</table></section>"


def _rows(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"


def _duration(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def _size(octets: int) -> str:
    return f"{octets / 1024**2:,.0f} MiB"


def _time(bound_ns: int | None, counts: Sequence[int]) -> str:
    if bound_ns is None:
        return "long" if any(counts) else "-"
    return f"{bound_ns / 1e6:,g} ms" if bound_ns < 1_000_000_000 else f"{bound_ns / 1e9:g} s"
