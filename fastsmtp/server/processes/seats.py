"""Numbers for workers that live at the same time: of a ring in the journal, and of a part of what all of them share.

A worker that ended in order gives its number back at once. What one that died has left is put in order first: its ring
is recovered while the others go on delivering.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

__all__ = ["Seats", "SharedMemory"]

_AGAIN_AFTER_S: Final = 10.0

_log = logging.getLogger("fastsmtp.server")


class SharedMemory(Protocol):
    """Something in which each worker has a part of its own."""

    def release(self, region: int) -> None:
        """Nobody is there any more."""
        ...


class Seats:
    """`count` of them. `recover` finishes what the owner of a ring has not; it blocks, and raises OSError."""

    def __init__(self, count: int, recover: Callable[[int], None]) -> None:
        self._free = set(range(count))
        self._recover = recover
        self._shared: list[SharedMemory] = []
        self._given_back = asyncio.Event()
        self._recoveries: set[asyncio.Task[None]] = set()
        self._unrecovered: set[int] = set()
        self._end = asyncio.Event()

    @property
    def unrecovered(self) -> int:
        """How many rings have mail of a worker that died."""
        return len(self._unrecovered)

    def share(self, memory: SharedMemory) -> None:
        """From now on, whoever leaves a seat leaves this too."""
        self._shared.append(memory)

    async def take(self) -> int:
        """The lowest number that is free; waits for one to be."""
        while not self._free:
            self._given_back.clear()
            await self._given_back.wait()
        seat = min(self._free)
        self._free.remove(seat)
        return seat

    def leave(self, seat: int, *, in_order: bool) -> asyncio.Future[None]:
        """The worker with this number is gone; in order: it has finished everything.

        The future is done when what it has left is in order, or when that was tried in vain (it is tried again then).
        """
        for memory in self._shared:
            memory.release(seat)
        tried = asyncio.get_running_loop().create_future()
        if in_order:
            self._give_back(seat)
            tried.set_result(None)
        else:
            self._unrecovered.add(seat)
            task = asyncio.get_running_loop().create_task(self._put_in_order(seat, tried))
            self._recoveries.add(task)
            task.add_done_callback(self._recoveries.discard)
        return tried

    def freeze(self) -> None:
        """Begin no recovery any more: what is left is for the next start."""
        self._end.set()

    async def close(self) -> None:
        """The same, and returns when nobody is at it any more."""
        self.freeze()
        await asyncio.gather(*self._recoveries)

    async def _put_in_order(self, seat: int, tried: asyncio.Future[None]) -> None:
        while not self._end.is_set():
            try:
                await asyncio.to_thread(self._recover, seat)
            except Exception as error:  # noqa: BLE001 - whatever it is, the journal keeps the mail, and others deliver
                _log.error("ring %d of the journal cannot be recovered: %s; trying again", seat, error)
            else:
                self._unrecovered.discard(seat)
                self._give_back(seat)
                break
            finally:
                if not tried.done():
                    tried.set_result(None)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), _AGAIN_AFTER_S)
        if not tried.done():
            tried.set_result(None)

    def _give_back(self, seat: int) -> None:
        self._free.add(seat)
        self._given_back.set()
