"""What is there now is used now."""

import asyncio
from collections.abc import Awaitable

import pytest

from fastsmtp.later import at_once, settled, then


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


async def work(*futures: "asyncio.Future[int]") -> int:
    total = 0
    for future in futures:
        try:
            total += await future
        except ZeroDivisionError:
            total += 100
    return total


def test_what_waits_for_nothing_is_there_at_once() -> None:
    assert at_once(work()) == 0


def test_what_has_a_timeout_is_awaited_in_a_task() -> None:
    """As a link to a server of the state does it."""

    async def answer(value: int) -> int:
        async with asyncio.timeout(20):
            await asyncio.sleep(0)
        return value

    def ask(value: int) -> int | Awaitable[int]:
        return answer(value)

    async def both() -> int:
        return await settled(1) + await settled(ask(2)) + await settled(ask(3))

    async def run() -> None:
        pending = at_once(both())
        assert isinstance(pending, Awaitable)
        assert await asyncio.ensure_future(pending) == 6

    asyncio.run(run())


def test_what_waits_goes_on_where_it_was() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(4)]
        futures[0].set_result(1)
        pending = at_once(work(*futures))
        assert isinstance(pending, Awaitable)
        waiting = asyncio.ensure_future(pending)
        futures[1].set_result(2)
        await asyncio.sleep(0)
        futures[2].set_exception(ZeroDivisionError())
        loop.call_later(0.001, futures[3].set_result, 4)
        assert await waiting == 107

    asyncio.run(run())


def test_what_waits_can_be_cancelled_and_fail() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def run() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(at_once(work(future)))  # type: ignore[arg-type] # it has to wait
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert future.cancelled()
        pending = at_once(fail())
        assert pending is not None
        with pytest.raises(ValueError, match="no"):
            await pending

    asyncio.run(run())
    with pytest.raises(ZeroDivisionError):
        at_once(divide())


async def divide() -> None:
    raise ZeroDivisionError
