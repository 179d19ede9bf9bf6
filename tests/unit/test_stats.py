"""Counters and histograms as cells of one block."""

from array import array
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.stats import CELLS, LATENCY_BOUNDS_NS, Family, Histogram, Stats


def test_a_counter_is_one_cell() -> None:
    stats = Stats()
    cell = stats.cell(stats.counter("mails_total", "Mails."))
    stats.cells[cell] += 2
    assert list(stats.cells[:2]) == [2, 0]


def test_every_combination_of_labels_exists_from_the_start() -> None:
    stats = Stats()
    family = stats.counter("replies_total", "Replies.", stage=("mail", "rcpt"), kind=("2xx", "4xx", "5xx"))
    assert family.labels == ("stage", "kind")
    assert len(family.children) == 6
    assert sorted(family.children.values()) == list(range(6))
    assert stats.cell(stats.counter("next", "N.")) == 6
    assert not any(stats.cells)


def test_a_new_label_value_gets_a_cell_once() -> None:
    stats = Stats()
    family = stats.counter("plugins_total", "Plugins.", plugin=())
    assert family.children == {}
    cell = stats.cell(family, "headers")
    assert stats.cell(family, "headers") == cell
    assert stats.cell(family, "loop") != cell
    assert family.children == {("headers",): cell, ("loop",): cell + 1}


@pytest.mark.parametrize("values", [(), ("a", "b")])
def test_values_go_with_labels(values: tuple[str, ...]) -> None:
    stats = Stats()
    family = stats.gauge("open", "Open.", listener=("smtp",))
    with pytest.raises(ValueError, match="open has the labels"):
        stats.cell(family, *values)


def test_the_same_declaration_twice_is_the_same_family() -> None:
    stats = Stats()
    first = stats.counter("mails_total", "Mails.", kind=("in",))
    again = stats.counter("mails_total", "Mails.", kind=("in", "out"))
    assert first is again
    assert list(first.children) == [("in",), ("out",)]
    assert list(stats.families()) == [first]
    assert stats.cell(stats.counter("next", "N.")) == 2


def test_a_different_declaration_of_the_same_name_is_refused() -> None:
    stats = Stats()
    stats.counter("x", "X.", kind=("in",))
    stats.histogram("seconds", "S.")
    with pytest.raises(ValueError, match="x is declared twice"):
        stats.gauge("x", "X.", kind=("in",))
    with pytest.raises(ValueError, match="x is declared twice"):
        stats.counter("x", "X.", sort=("in",))
    with pytest.raises(ValueError, match="seconds is declared twice"):
        stats.histogram("seconds", "S.", bounds=(1, 2))


def test_families_come_in_the_order_of_declaration() -> None:
    stats = Stats()
    for name in ("b", "a", "c"):
        stats.counter(name, "Text.")
    assert [family.name for family in stats.families()] == ["b", "a", "c"]


def test_a_histogram_is_its_buckets_one_beyond_and_the_sum() -> None:
    stats = Stats()
    timer = stats.timer(stats.histogram("seconds", "S.", bounds=(10, 20)))
    for value in (0, 10, 11, 20, 21, 1_000):
        timer.observe(value)
    # A bound belongs to its bucket, as in the `le` of an exposition.
    assert list(stats.cells[:5]) == [2, 2, 2, 1_062, 0]


def test_histograms_lie_beside_other_cells() -> None:
    stats = Stats()
    before = stats.cell(stats.counter("before", "B."))
    family = stats.histogram("seconds", "S.", bounds=(10,), stage=("mail", "rcpt"))
    after = stats.cell(stats.counter("after", "A."))
    stats.timer(family, "rcpt").observe(5)
    stats.timer(family, "mail").observe(50)
    assert list(stats.cells[:9]) == [0, 0, 1, 50, 1, 0, 5, 0, 0]
    assert (before, after) == (0, 7)


def test_a_timer_works_on_any_block_of_integers() -> None:
    block = array("q", [0] * 6)
    Histogram(memoryview(block), 2, (10, 20)).observe(15)
    assert block.tolist() == [0, 0, 0, 1, 0, 15]


def test_there_is_an_end_of_cells() -> None:
    stats = Stats()
    family = stats.counter("c", "C.", number=[str(number) for number in range(CELLS)])
    with pytest.raises(OverflowError, match="more metrics: c"):
        stats.cell(family, "one more")


def test_a_timer_outlives_a_growing_block() -> None:
    stats = Stats()
    timer = stats.timer(stats.histogram("seconds", "S.", bounds=(10,)))
    for number in range(1_000):
        stats.counter(f"c{number}", "C.")
    timer.observe(1)
    assert list(stats.cells[:3]) == [1, 0, 1]


@given(st.lists(st.integers(0, 2 * LATENCY_BOUNDS_NS[-1]), max_size=50))
def test_observations_are_neither_lost_nor_invented(values: list[int]) -> None:
    stats = Stats()
    timer = stats.timer(stats.histogram("seconds", "S."))
    for value in values:
        timer.observe(value)
    *buckets, total = stats.cells[: len(LATENCY_BOUNDS_NS) + 2]
    assert (sum(buckets), total) == (len(values), sum(values))
    expected = [0] * len(buckets)
    for value in values:
        expected[bisect_left(LATENCY_BOUNDS_NS, value)] += 1
    assert buckets == expected


def test_latency_bounds_ascend_from_10_us_to_10_s() -> None:
    assert list(LATENCY_BOUNDS_NS) == sorted(set(LATENCY_BOUNDS_NS))
    assert (LATENCY_BOUNDS_NS[0], LATENCY_BOUNDS_NS[-1]) == (10_000, 10_000_000_000)


def test_totals_are_the_cells_of_each_child() -> None:
    stats = Stats()
    mails = stats.counter("mails_total", "Mails.", kind=("in", "out"))
    free = stats.gauge("free", "Free.", merge="least")
    seconds = stats.histogram("seconds", "S.", bounds=(10,))
    stats.cells[stats.cell(mails, "out")] += 2
    stats.timer(seconds).observe(7)
    assert free.merge == "least"
    assert stats.cells[stats.cell(free)] == 0
    found = {
        family.name: {values: list(counts) for values, counts in children.items()}
        for family, children in stats.totals()
    }
    assert found == {"mails_total": {("in",): [0], ("out",): [2]}, "free": {(): [0]}, "seconds": {(): [1, 0, 7]}}


def test_cells_may_lie_in_a_block_of_somebody_else() -> None:
    class Elsewhere:
        cells = memoryview(bytearray(80)).cast("q")

        def allot(self, family: Family, values: tuple[str, ...]) -> int:
            asked.append((family.name, values))
            return len(asked) * 3

    asked: list[tuple[str, tuple[str, ...]]] = []
    stats = Stats(Elsewhere())
    family = stats.counter("mails_total", "Mails.", kind=("in", "out"))
    stats.cells[stats.cell(family, "out")] += 5
    assert asked == [("mails_total", ("in",)), ("mails_total", ("out",))]
    assert family.children == {("in",): 3, ("out",): 6}
    assert list(Elsewhere.cells) == [0, 0, 0, 0, 0, 0, 5, 0, 0, 0]
