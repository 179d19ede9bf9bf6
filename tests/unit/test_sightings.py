"""What is known of somebody, and since when."""

import asyncio

import pytest

from fastsmtp.errors import StateError
from fastsmtp.sightings import Sightings
from fastsmtp.testing import MemoryRecords, SettableClock


def test_a_word_has_an_age_and_an_end() -> None:
    clock = SettableClock(1_764_030_123.456_789)
    sightings = Sightings(MemoryRecords(clock), clock)

    def found() -> tuple[str, float]:
        word, age_s = asyncio.run(sightings.find("key"))
        return word, round(age_s, 3)

    assert found() == ("", 0.0)
    sightings.put("key", "seen", 100.0)
    clock.advance(7)
    assert found() == ("seen", 7.0)
    sightings.renew("key", "seen", 7.0, 100.0)
    clock.advance(43)
    assert found() == ("seen", 50.0), "a tenth was not over yet"
    sightings.renew("key", "seen", 50.0, 100.0)
    clock.advance(99)
    assert found() == ("seen", 99.0)
    clock.advance(1)
    assert found() == ("", 0.0)


def test_trouble_comes_out() -> None:
    clock = SettableClock()
    records = MemoryRecords(clock)
    records.trouble = StateError("away")
    with pytest.raises(StateError):
        asyncio.run(Sightings(records, clock).find("key"))
