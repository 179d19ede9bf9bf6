"""Conclusions that hold for a while."""

from fastsmtp.lately import Lately
from fastsmtp.testing import SettableClock


def test_a_conclusion_holds_until_its_time() -> None:
    clock = SettableClock()
    lately: Lately[str] = Lately(10, clock.monotonic_ns)
    lately.keep("a", "sound", clock.monotonic_ns() + 5 * 10**9)
    assert (lately.get("a"), lately.get("b")) == ("sound", None)
    clock.advance(4.9)
    assert lately.get("a") == "sound"
    clock.advance(0.1)
    assert lately.get("a") is None


def test_a_later_conclusion_takes_its_place() -> None:
    clock = SettableClock()
    lately: Lately[int] = Lately(10, clock.monotonic_ns)
    for number in (1, 2):
        lately.keep("a", number, clock.monotonic_ns() + number)
    assert (lately.get("a"), len(lately)) == (2, 1)


def test_what_holds_no_longer_is_not_kept() -> None:
    clock = SettableClock()
    lately: Lately[int] = Lately(10, clock.monotonic_ns)
    lately.keep("a", 1, 0)
    lately.keep("b", 1, clock.monotonic_ns())
    assert len(lately) == 0


def test_it_is_bounded_and_what_is_asked_for_stays() -> None:
    clock = SettableClock()
    lately: Lately[str] = Lately(10, clock.monotonic_ns)
    forever = clock.monotonic_ns() + 10**18
    lately.keep("daily", "sound", forever)
    for number in range(1000):
        lately.keep(f"flood {number}", "nothing", forever)
        assert lately.get("daily") == "sound"
        assert len(lately) <= 10
    assert lately.get("flood 1") is None
    assert lately.get("flood 999") == "nothing"
