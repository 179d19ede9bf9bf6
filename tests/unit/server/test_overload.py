"""Up at once, down only after a calm while; every second here is one that the test has made up."""

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.server.overload import SIGNS, Overload, Shed, Sign

PLAIN = Sign("plain", second=4.0)
CALM_S = 5.0


def sheds(watched: Overload) -> Shed:
    return watched.sheds


def overload(*signs: Sign) -> Overload:
    return Overload(CALM_S, signs or (PLAIN,))


def test_nothing_is_shed_below_the_limit() -> None:
    watched = overload()
    assert not watched.look({"plain": 0.999}, 0)
    assert (watched.sheds, watched.reason) == (Shed.NOTHING, "")


def test_strangers_first_then_transactions() -> None:
    watched = overload()
    assert watched.look({"plain": 1.0}, 0)
    assert (watched.sheds, watched.reason) == (Shed.STRANGERS, "plain")
    assert watched.look({"plain": 4.0}, 1)
    assert watched.by_sign() == {"plain": Shed.TRANSACTIONS}


def test_it_may_become_bad_at_once() -> None:
    watched = overload()
    watched.look({"plain": 100.0}, 0)
    assert sheds(watched) is Shed.TRANSACTIONS


def test_it_is_over_after_a_calm_while() -> None:
    watched = overload()
    watched.look({"plain": 1.0}, 0)
    assert [watched.look({"plain": 0.4}, second) for second in (1, 2, 4.9)] == [False] * 3
    assert watched.look({"plain": 0.4}, 5)
    assert (watched.sheds, watched.reason) == (Shed.NOTHING, "")


def test_what_is_still_near_the_limit_is_not_over() -> None:
    watched = overload()
    watched.look({"plain": 1.0}, 0)
    for second in range(1, 100):
        watched.look({"plain": 0.5}, second)
    assert sheds(watched) is Shed.STRANGERS
    for second in range(100, 104):
        watched.look({"plain": 0.49}, second)
    assert sheds(watched) is Shed.STRANGERS
    watched.look({"plain": 0.49}, 104)
    assert sheds(watched) is Shed.NOTHING


def test_it_goes_down_step_by_step() -> None:
    watched = overload()
    watched.look({"plain": 4.0}, 0)
    assert [watched.look({"plain": 1.0}, second) for second in (4, 5)] == [False, True]
    assert sheds(watched) is Shed.STRANGERS
    assert [watched.look({"plain": 0.1}, second) for second in (9, 10)] == [False, True]
    assert sheds(watched) is Shed.NOTHING


def test_a_relapse_starts_the_calm_anew() -> None:
    watched = overload()
    watched.look({"plain": 1.0}, 0)
    watched.look({"plain": 0.0}, 4)
    watched.look({"plain": 0.9}, 4.5)
    watched.look({"plain": 0.0}, 9)
    assert sheds(watched) is Shed.STRANGERS
    watched.look({"plain": 0.0}, 9.5)
    assert sheds(watched) is Shed.NOTHING


def test_a_patient_sign_wants_to_be_seen_twice() -> None:
    watched = overload(Sign("patient", patience=2))
    values = [1.5, 0.2, 1.5, 1.5]
    assert [watched.look({"patient": value}, second) for second, value in enumerate(values)] == [False] * 3 + [True]


def test_the_worst_sign_is_the_reason() -> None:
    watched = overload(Sign("one"), Sign("other", second=2.0))
    watched.look({"one": 1.0, "other": 0.0}, 0)
    assert watched.reason == "one"
    watched.look({"one": 1.0, "other": 3.0}, 1)
    assert (watched.sheds, watched.reason) == (Shed.TRANSACTIONS, "other")
    assert watched.by_sign() == {"one": Shed.STRANGERS, "other": Shed.TRANSACTIONS}


def test_a_sign_that_nobody_looks_at_stays_as_it_was() -> None:
    watched = overload(Sign("one"), Sign("other"))
    watched.look({"one": 1.0}, 0)
    watched.look({"other": 0.0}, 100)
    assert watched.reason == "one"


def test_only_what_can_be_shed_by_it_is_shed() -> None:
    """Room on the disk and memory are refused where they are asked for, exactly."""
    seconds = {sign.name: sign.second for sign in SIGNS}
    watched = Overload(CALM_S)
    watched.look(dict.fromkeys(("memory", "disk", "connections"), 1e9), 0)
    assert sheds(watched) is Shed.STRANGERS
    assert {name for name, second in seconds.items() if second < 1e9} == {"lag", "store"}


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=50))
def test_it_never_falls_within_the_calm_nor_stays_behind_the_value(steps: list[tuple[float, float]]) -> None:
    watched = overload()
    now = 0.0
    asked_s = dict.fromkeys(Shed, -CALM_S)
    for pause, value in steps:
        now += pause
        wanted = Shed.TRANSACTIONS if value >= 4 else Shed.STRANGERS if value >= 1 else Shed.NOTHING
        before = watched.sheds
        watched.look({"plain": value}, now)
        assert watched.sheds >= max(wanted, before - 1)
        if watched.sheds < before:
            assert now - asked_s[before] >= CALM_S
        for height in range(wanted + 1):
            asked_s[Shed(height)] = now
