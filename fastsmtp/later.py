"""Going on with what is there now, or will be: without a task where nobody has to wait."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["at_once", "settled", "then"]

_T = TypeVar("_T")
_R = TypeVar("_R")


def then(value: _T | Awaitable[_T], go_on: Callable[[_T], _R | Awaitable[_R]]) -> _R | Awaitable[_R]:
    """What `go_on` makes of the value: at once where it is there, else an awaitable of it.

    `go_on` may give an awaitable, too. Whatever is raised comes out of the call, or of the awaitable.
    """
    return _later(value, go_on) if hasattr(value, "__await__") else go_on(value)


def at_once(work: Coroutine[Any, Any, _T]) -> _T | Awaitable[_T]:
    """What a coroutine comes to, now if it has to wait for nothing: no task for lookups whose answers are remembered.

    `return at_once(self._judge(txn))`, from a hook that is a plain `def`. What runs before the first wait is not in a
    task yet, so that it may await lookups and futures, but not begin an `asyncio.timeout()`.
    """
    try:
        first = work.send(None)
    except StopIteration as end:
        value: _T = end.value
        return value
    return _Begun(work, first)


async def settled(value: _T | Awaitable[_T]) -> _T:
    """The value, awaited where it is not there yet: for coroutines, which `at_once` runs on the spot if they can be."""
    if hasattr(value, "__await__"):
        if not isinstance(value, asyncio.Future):
            await asyncio.sleep(0)  # what is behind it may begin an `asyncio.timeout()`: from here on it is in a task
        return await value
    return value


async def _later(pending: Awaitable[_T], go_on: Callable[[_T], _R | Awaitable[_R]]) -> _R:
    result = go_on(await pending)
    return await result if hasattr(result, "__await__") else result


class _Begun(Generic[_T]):
    """The rest of a coroutine that waits for something; to be awaited once."""

    __slots__ = ("_first", "_work")

    def __init__(self, work: Coroutine[Any, Any, _T], first: object) -> None:
        self._work = work
        self._first = first

    def __await__(self) -> Generator[Any, Any, _T]:
        waits_for = self._first
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's: a cancellation, mostly
                    waits_for = self._work.throw(error)
                else:
                    waits_for = self._work.send(sent)
        except StopIteration as end:
            value: _T = end.value
            return value
