"""Buckets and records in memory."""

import math

import pytest

from fastsmtp.config.rates import parse_rate
from fastsmtp.errors import StateError
from fastsmtp.testing import MemoryBuckets, MemoryRecords, SettableClock

RATE = parse_rate("2/minute")


def test_a_bucket_holds_its_burst_and_fills_evenly() -> None:
    clock = SettableClock()
    buckets = MemoryBuckets(clock)
    assert [buckets.take("a", RATE) for _ in range(3)] == [0.0, 0.0, 30.0]
    assert buckets.take("b", RATE) == 0.0
    clock.advance(10)
    assert buckets.take("a", RATE) == 20.0
    clock.advance(20)
    assert [buckets.take("a", RATE) for _ in range(2)] == [0.0, 30.0]


def test_looking_takes_nothing() -> None:
    buckets = MemoryBuckets(SettableClock())
    assert [buckets.take("a", RATE, 0) for _ in range(5)] == [0.0] * 5
    assert buckets.take("a", RATE, 2) == 0.0
    assert [buckets.take("a", RATE, 0) for _ in range(2)] == [30.0, 30.0]


def test_more_than_it_holds_is_never_there() -> None:
    assert MemoryBuckets(SettableClock()).take("a", RATE, 3) == math.inf


def test_what_is_given_back_can_be_taken_again() -> None:
    buckets = MemoryBuckets(SettableClock())
    buckets.give_back("a", RATE)
    assert [buckets.take("a", RATE) for _ in range(3)] == [0.0, 0.0, 30.0]
    buckets.give_back("a", RATE)
    assert [buckets.take("a", RATE) for _ in range(2)] == [0.0, 30.0]


def test_a_text_is_there_for_its_lifetime() -> None:
    clock = SettableClock()
    records = MemoryRecords(clock)
    assert records.get("a") is None
    records.put("a", "one", 60)
    clock.advance(59.9)
    assert records.get("a") == "one"
    records.put("a", "two", 60)
    clock.advance(59.9)
    assert records.get("a") == "two"
    clock.advance(0.1)
    assert records.get("a") is None


def test_a_score_is_halved_in_each_half_life_and_forgotten_in_the_end() -> None:
    clock = SettableClock()
    records = MemoryRecords(clock)
    assert records.score("a", 3600) == 0.0
    records.add("a", 8, 3600)
    clock.advance(3600)
    records.add("a", -1, 3600)
    assert records.score("a", 3600) == pytest.approx(3.0)
    clock.advance(3600)
    assert records.score("a", 3600) == pytest.approx(1.5)
    clock.advance(16 * 3600)
    assert records.score("a", 3600) == 0.0


def test_trouble_is_for_who_reads() -> None:
    records = MemoryRecords(SettableClock())
    records.put("a", "kept", 60)
    records.trouble = StateError("away")
    records.put("b", "kept too", 60)
    records.add("c", 1, 60)
    with pytest.raises(StateError):
        records.get("a")
    with pytest.raises(StateError):
        records.score("c", 60)
    records.trouble = None
    assert (records.get("a"), records.get("b"), records.score("c", 60)) == ("kept", "kept too", 1.0)
