"""The page says how the server is, and everything in it is escaped."""

from html.parser import HTMLParser

import pytest

from fastsmtp.config.places import ListenAddress
from fastsmtp.server.processes.running import RunningListener, RunningServer
from fastsmtp.server.status.figures import Figures
from fastsmtp.server.status.history import History, Sample
from fastsmtp.server.status.page import Condition, status_page
from fastsmtp.stats import Stats

RUNNING = RunningServer([RunningListener("mx", ListenAddress("127.0.0.1", 25))], ("127.0.0.1", 9125), [10])


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "line", "rect"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing is open."""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def texts(stats: Stats, trouble: str = "", host: str = "mx.example.org", up_s: float = 1.0) -> list[str]:
    figures = Figures(stats.totals())
    reader = _Texts()
    reader.feed(status_page(Condition(host, trouble, up_s, RUNNING), figures, Sample.of(60.0, figures), History()))
    reader.close()
    assert reader.open == []
    return reader.texts


def rows(of: list[str], title: str, width: int) -> list[list[str]]:
    """Those of the table with this title, which has so many columns with a title."""
    cells = of[of.index(title) + 1 + width :]
    return [cells[at : at + width] for at in range(0, len(cells) - width, width)]


@pytest.mark.parametrize("trouble", ["", "worker 0: the database is away"])
def test_how_it_is(trouble: str) -> None:
    said = texts(Stats(), trouble)
    assert ("ready" in said) is not bool(trouble)
    assert (trouble or "ready") in said


@pytest.mark.parametrize(
    ("up_s", "said"), [(5.9, "5 s"), (61, "1 min 1 s"), (3_600 * 2 + 60, "2 h 1 min"), (86_400 * 3 + 7_200, "3 d 2 h")]
)
def test_since_when(up_s: float, said: str) -> None:
    assert any(f"up {said}, " in text for text in texts(Stats(), up_s=up_s))


def test_nothing_is_taken_for_html() -> None:
    stats = Stats()
    answers = stats.counter("fastsmtp_plugin_answers_total", "A.", plugin=(), stage=(), mode=(), answer=())
    stats.cells[stats.cell(answers, "<b>bold</b>", "on_mail", "active", "reject")] = 1
    said = texts(stats, trouble="<script>&", host='"><img>')
    assert {"<b>bold</b>", "<script>&", '"><img>'} <= set(said)


def test_what_plugins_said() -> None:
    stats = Stats()
    answers = stats.counter("fastsmtp_plugin_answers_total", "A.", plugin=(), stage=(), mode=(), answer=())
    for plugin, mode, answer, count in [
        ("spf", "active", "reject", 3),
        ("helo", "shadow", "reject", 1_234),
        ("spf", "active", "none", 10_000),
        ("loop", "active", "defer", 0),
    ]:
        stats.cells[stats.cell(answers, plugin, "on_mail", mode, answer)] = count
    assert rows(texts(stats), "What plugins said", 4)[:2] == [
        ["helo", "on_mail", "reject (shadow)", "1,234"],
        ["spf", "on_mail", "reject", "3"],
    ]
    assert "loop" not in texts(stats)


def test_trouble() -> None:
    stats = Stats()
    stats.cells[stats.cell(stats.counter("fastsmtp_internal_errors_total", "F."))] = 2
    overload = stats.gauge("fastsmtp_overload", "O.", sign=("disk", "lag", "memory"))
    stats.cells[stats.cell(overload, "disk")] = 2
    stats.cells[stats.cell(overload, "lag")] = 1
    said = texts(stats)
    for what, how in [
        ("faults of the server that ended a connection", "2"),
        ("overload: disk", "transactions are shed"),
        ("overload: lag", "strangers are shed"),
    ]:
        assert said[said.index(what) + 1] == how
    assert "overload: memory" not in said


def test_listeners_and_workers() -> None:
    stats = Stats()
    stats.cells[stats.cell(stats.counter("fastsmtp_connections_total", "C.", listener=("mx",)), "mx")] = 7
    stats.cells[stats.cell(stats.gauge("fastsmtp_worker_up", "U.", worker=("0", "1")), "0")] = 1
    stats.cells[stats.cell(stats.gauge("fastsmtp_worker_resident_memory_bytes", "M.", worker=("0",)), "0")] = 50 << 20
    said = texts(stats)
    at = said.index("127.0.0.1:25")
    assert said[at : at + 5] == ["127.0.0.1:25", "smtp", "7", "0", "0"]
    assert said[said.index("serves") + 2] == "50 MiB"
    assert "away" in said


def test_limits() -> None:
    stats = Stats()
    limits = stats.counter("fastsmtp_limits_total", "L.", limit=("idle_time", "errors"))
    stats.cells[stats.cell(limits, "idle_time")] = 4
    said = texts(stats)
    assert said[said.index("idle time") + 1] == "4"
    assert "errors" not in said
