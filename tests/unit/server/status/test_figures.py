"""What is counted, asked by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.server.status.figures import Figures, quantile
from fastsmtp.stats import Stats


def figures() -> Figures:
    stats = Stats()
    replies = stats.counter("replies_total", "Replies.", verb=("MAIL", "RCPT"), class_=("4xx", "5xx"))
    for number, (verb, klass) in enumerate([("MAIL", "4xx"), ("MAIL", "5xx"), ("RCPT", "4xx"), ("RCPT", "5xx")]):
        stats.cells[stats.cell(replies, verb, klass)] = 10**number
    times = stats.histogram("seconds", "Times.", bounds=(10, 20), outcome=("lost", "stored"))
    for outcome, time in (("stored", 5), ("stored", 15), ("lost", 15), ("stored", 25)):
        stats.timer(times, outcome).observe(time)
    stats.histogram("nobody_seconds", "Times of nobody yet.", bounds=(10, 20), outcome=())
    return Figures(stats.totals())


def test_values() -> None:
    now = figures()
    assert now.value("replies_total") == 1111
    assert now.value("replies_total", verb="RCPT") == 1100
    assert now.value("replies_total", verb="RCPT", **{"class": "4xx"}) == 100
    assert now.value("replies_total", verb="DATA") == 0


def test_by_a_label() -> None:
    now = figures()
    assert now.by("replies_total", "class") == {"4xx": 101, "5xx": 1010}
    assert now.by("replies_total", "class", verb="MAIL") == {"4xx": 1, "5xx": 10}


def test_each_child() -> None:
    assert [(of["verb"], of["class"], value) for of, value in figures().each("replies_total")] == [
        ("MAIL", "4xx", 1),
        ("MAIL", "5xx", 10),
        ("RCPT", "4xx", 100),
        ("RCPT", "5xx", 1000),
    ]


def test_buckets() -> None:
    now = figures()
    assert now.buckets("seconds") == ((10, 20), [1, 2, 1])
    assert now.buckets("seconds", outcome="stored") == ((10, 20), [1, 1, 1])
    assert now.buckets("nobody_seconds") == ((10, 20), [0, 0, 0])


def test_what_nobody_counts() -> None:
    now = figures()
    assert now.value("none_total") == 0
    assert now.by("none_total", "class") == {}
    assert list(now.each("none_total")) == []
    assert now.buckets("none_seconds") == ((), (0,))


@pytest.mark.parametrize(
    ("counts", "share", "bound"),
    [
        ([1, 1, 0], 0.5, 10),
        ([1, 1, 0], 0.51, 20),
        ([98, 1, 1], 0.99, 20),
        ([98, 1, 1], 1.0, None),
        ([0, 0, 0], 0.5, None),
    ],
)
def test_quantile(counts: list[int], share: float, bound: int | None) -> None:
    assert quantile((10, 20), counts, share) == bound


@given(st.lists(st.integers(0, 100), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_met_by_its_share(values: list[int], share: float) -> None:
    bounds = (10, 30, 70, 100)
    stats = Stats()
    timer = stats.timer(stats.histogram("seconds", "Times.", bounds=bounds))
    for value in values:
        timer.observe(value)
    bound = quantile(*Figures(stats.totals()).buckets("seconds"), share)
    assert bound is not None
    assert sum(value <= bound for value in values) >= share * len(values)
    smaller = [one for one in bounds if one < bound]
    assert all(sum(value <= one for value in values) < share * len(values) for one in smaller)
