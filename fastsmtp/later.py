"""Going on with what is there now, or will be: without a task where nobody has to wait."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["settled", "then"]

_T = TypeVar("_T")
_R = TypeVar("_R")


def then(value: _T | Awaitable[_T], go_on: Callable[[_T], _R | Awaitable[_R]]) -> _R | Awaitable[_R]:
    """What `go_on` makes of the value: at once where it is there, else an awaitable of it.

    `go_on` may give an awaitable, too. Whatever is raised comes out of the call, or of the awaitable.
    """
    return _later(value, go_on) if hasattr(value, "__await__") else go_on(value)


async def settled(value: _T | Awaitable[_T]) -> _T:
    """The value, awaited where it is not there yet: for coroutines, which `at_once` runs on the spot if they can be."""
    if hasattr(value, "__await__"):
        return await value
    return value


async def _later(pending: Awaitable[_T], go_on: Callable[[_T], _R | Awaitable[_R]]) -> _R:
    result = go_on(await pending)
    return await result if hasattr(result, "__await__") else result
