"""What somebody has done, and a share of what neighbours have."""

import asyncio

import pytest

from fastsmtp.errors import StateError
from fastsmtp.reputation import Reputation
from fastsmtp.testing import MemoryRecords, SettableClock


def test_an_address_bears_a_share_of_its_network() -> None:
    clock = SettableClock()
    scores = Reputation(MemoryRecords(clock), "karma", 100.0, 0.5, 24, 48)
    scores.add("192.0.2.1", -4.0)
    scores.add("192.0.2.2", -2.0)

    async def of(address: str) -> tuple[float, float]:
        return await scores.of(address)

    assert asyncio.run(of("192.0.2.1")) == (-4.0, -3.0)
    assert asyncio.run(of("::ffff:192.0.2.2")) == (-2.0, -3.0)
    assert asyncio.run(of("192.0.3.1")) == (0.0, 0.0)
    clock.advance(100)
    assert asyncio.run(of("192.0.2.1")) == (-2.0, -1.5)
    scores.add("2001:db8::1", 1.0)
    assert asyncio.run(of("2001:db8::ffff")) == (1.0, 0.5)
    assert asyncio.run(of("2001:db8:0:1::1")) == (0.0, 0.5)


def test_networks_may_be_left_out_and_trouble_comes_out() -> None:
    records = MemoryRecords(SettableClock())
    scores = Reputation(records, "karma", 100.0, 0.0, 24, 48)
    scores.add("192.0.2.1", -4.0)
    assert asyncio.run(scores.of("192.0.2.1")) == (-4.0, 0.0)
    assert records.score("karma 192.0.2.0/24 *", 100.0) == 0.0
    records.trouble = StateError("away")
    with pytest.raises(StateError):
        asyncio.run(scores.of("192.0.2.1"))
