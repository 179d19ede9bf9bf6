"""Counts of several workers as one."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.server.processes.tally import Tally
from fastsmtp.stats import Stats


def worker(mails: int = 0, open_: int = 0, free: int = 0, times: Sequence[int] = ()) -> Stats:
    stats = Stats()
    stats.cells[stats.cell(stats.counter("mails_total", "Mails."))] = mails
    stats.cells[stats.cell(stats.gauge("open", "Open."))] = open_
    stats.cells[stats.cell(stats.gauge("free", "Free.", merge="least"))] = free
    stats.cells[stats.cell(stats.gauge("degraded", "Degraded.", merge="most"))] = free
    timer = stats.timer(stats.histogram("seconds", "Time.", bounds=(10,)))
    for time in times:
        timer.observe(time)
    return stats


def values(tally: Tally) -> dict[str, list[int]]:
    return {family.name: list(children[()]) for family, children in tally.totals()}


def test_members_are_added_up() -> None:
    tally = Tally(worker(mails=1, open_=2, free=30, times=[5]), worker(mails=10, open_=20, free=40, times=[6, 70]))
    assert values(tally) == {
        "mails_total": [11],
        "open": [22],
        "free": [30],
        "degraded": [40],
        "seconds": [2, 1, 81],
    }


def test_nobody() -> None:
    assert list(Tally().totals()) == []


def test_who_leaves_has_counted_all_the_same() -> None:
    tally = Tally()
    first, second = worker(mails=1, open_=2, times=[5]), worker(mails=10, open_=20, times=[70])
    tally.join(first)
    tally.join(second)
    before = values(tally)
    tally.leave(first)
    assert values(tally) == {**before, "open": [20]}
    tally.leave(second)
    assert values(tally) == {"mails_total": [11], "seconds": [1, 1, 75]}
    tally.join(worker(mails=100))
    assert values(tally)["mails_total"] == [111]


def test_children_that_only_one_has() -> None:
    one, other = Stats(), Stats()
    one.counter("replies_total", "Replies.", code=("250",))
    family = other.counter("replies_total", "Replies.", code=("451",))
    other.cells[family.children["451",]] = 3
    tally = Tally(one, other)
    assert [dict(children) for _, children in tally.totals()] == [{("250",): [0], ("451",): [3]}]
    tally.leave(other)
    assert [dict(children) for _, children in tally.totals()] == [{("451",): [3], ("250",): [0]}]


def test_a_new_meaning_of_a_name_wins() -> None:
    """After a reload with another plugin, say: a number with other labels cannot be added to the old ones."""
    old, new = Stats(), Stats()
    old.counter("plugin_total", "Old.")
    old.cells[old.cell(old.counter("plugin_total", "Old."))] = 5
    new.cells[new.cell(new.counter("plugin_total", "New.", kind=("a",)), "a")] = 7
    tally = Tally(old, new)
    for _ in range(2):
        [(family, children)] = tally.totals()
        assert (family.help, dict(children)) == ("New.", {("a",): [7]})
        if old is not new:
            tally.leave(old)
            old = new


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=20))
def test_a_counter_never_goes_back(story: list[tuple[int, bool]]) -> None:
    """Members come, count, and go; the total is what was counted."""
    tally = Tally()
    there: list[Stats] = []
    counted = 0
    for mails, goes in story:
        if goes and there:
            tally.leave(there.pop(0))
        else:
            there.append(worker())
            tally.join(there[-1])
        if there:
            there[-1].cells[0] += mails
            counted += mails
        assert values(tally).get("mails_total", [0]) == [counted]
