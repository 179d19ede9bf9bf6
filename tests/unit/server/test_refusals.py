"""Counted always, told now and then."""

import logging

import pytest

from fastsmtp.server.refusals import REFUSALS, Refusals, Sample
from fastsmtp.stats import Stats


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    found = [(vars(record)["limit"], vars(record)["times"], vars(record)["last_address"]) for record in caplog.records]
    caplog.clear()
    return found


def test_the_first_is_told_at_once_the_others_after_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    refusals = Refusals(Stats())
    refusals.refuse("connections", "192.0.2.1")
    refusals.tell(1_000.0)
    assert lines(caplog) == [("connections", 1, "192.0.2.1")]
    for number in range(50):
        refusals.refuse("connections", f"192.0.2.{number}")
        refusals.tell(1_001.0 + number)
    assert lines(caplog) == []
    refusals.refuse("stranger", "198.51.100.1")
    refusals.tell(1_059.9)
    assert lines(caplog) == [("stranger", 1, "198.51.100.1")]
    refusals.tell(1_060.0)
    assert lines(caplog) == [("connections", 50, "192.0.2.49")]
    refusals.tell(5_000.0)
    assert lines(caplog) == []


def test_of_a_flood_a_hundred_and_then_one_a_minute_are_kept() -> None:
    sample = Sample()
    assert sum(sample.has_room(1_000.0 + number / 100) for number in range(1_000)) == 100
    assert [sample.has_room(1_069.9), sample.has_room(1_070.0)] == [True, False]
    assert sum(sample.has_room(2_000.0 + second) for second in range(3_600)) in (74, 75, 76)
    assert sum(sample.has_room(1e6) for _ in range(1_000)) == 100  # and no more, however long nobody came


def test_each_has_its_words_and_its_count() -> None:
    stats = Stats()
    refusals = Refusals(stats)
    for name, reply in REFUSALS.items():
        assert refusals.refuse(name, "192.0.2.1") is reply
        assert reply.code == 421
    assert sum(stats.cells) == len(REFUSALS)
    assert set(stats.cells) == {0, 1}  # the others are nobody's
