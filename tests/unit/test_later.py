"""What is there now is used now."""

import asyncio
from collections.abc import Awaitable

import pytest

from fastsmtp.later import settled, then


def later(value: int) -> int | Awaitable[int]:
    """As a port says it: now or later."""

    async def answer() -> int:
        await asyncio.sleep(0)
        return value

    return answer()


def test_what_is_there_needs_no_task() -> None:
    assert then(1, lambda one: one + 1) == 2
    assert then(None, lambda nothing: nothing) is None


def test_what_is_not_there_is_awaited_on_either_side() -> None:
    async def scenario() -> list[int]:
        return [
            await _value(then(later(1), lambda one: one + 1)),
            await _value(then(1, lambda one: later(one + 1))),
            await _value(then(later(1), lambda one: later(one + 1))),
            await _value(then(later(1), lambda one: then(later(2), lambda two: one + two))),
        ]

    assert asyncio.run(scenario()) == [2, 2, 2, 3]


def test_a_coroutine_awaits_either() -> None:
    async def scenario() -> list[int]:
        return [await settled(1), await settled(later(2))]

    assert asyncio.run(scenario()) == [1, 2]


def test_what_is_raised_comes_out() -> None:
    def fail(_: int) -> int:
        raise KeyError("x")

    with pytest.raises(KeyError):
        then(1, fail)

    async def scenario() -> None:
        pending = then(later(1), fail)
        with pytest.raises(KeyError):
            await _value(pending)

    asyncio.run(scenario())


async def _value(pending: object) -> int:
    assert asyncio.iscoroutine(pending)
    found: int = await pending
    return found
