"""How long somebody has waited for the DNS."""

from fastsmtp.dns.budget import Waited


def test_what_overlaps_counts_once() -> None:
    waited = Waited()
    assert waited.spent_ns(5) == 0
    waited.begin(10)
    waited.begin(12)
    assert waited.spent_ns(15) == 5
    waited.end(16)
    waited.end(20)
    assert waited.spent_ns(100) == 10
    waited.begin(200)
    assert waited.spent_ns(201) == 11
    waited.end(203)
    assert waited.spent_ns(1000) == 13


def test_what_a_timer_says_is_spent() -> None:
    waited = Waited()
    waited.begin(0)
    waited.use_up(100)
    waited.end(99)
    assert waited.spent_ns(99) >= 100
