"""One opinion on whether a server that keeps state is there, so that nobody waits for one that is not.

A question has so many seconds. When it is not answered, or with trouble, the server is *away*: all questions fail at
once, and one task knocks, more and more seldom, until the server lets itself be used again. The log hears of it once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

from fastsmtp.backoff import backoff_s
from fastsmtp.errors import StateError
from fastsmtp.stats import Stats

__all__ = ["Link", "Peer"]

_RESULTS: Final = ("ok", "error", "timeout", "away")

_log = logging.getLogger("fastsmtp.state")


class Peer(Protocol):
    """The client of a server, several questions at a time."""

    async def close(self) -> None:
        """Let go of its connections."""
        ...


_P = TypeVar("_P", bound=Peer)
_T = TypeVar("_T")


class Link(Generic[_P]):
    """`connect` gives a client that has just been seen to write, or raises one of `trouble`; `name` is for the log.

    `why` is what kept it away the last time.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[_P]],
        trouble: tuple[type[Exception], ...],
        name: str,
        timeout_s: float,
        stats: Stats,
    ) -> None:
        self._connect = connect
        self._trouble: tuple[type[Exception], ...] = (*trouble, OSError)  # and TimeoutError, which is one
        self._name = name
        self._timeout_s = timeout_s
        self._peer: _P | None = None
        self.why = "it was never there"
        self._is_closed = False
        self._users = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._knocking: asyncio.Task[None] | None = None
        self._cells = stats.cells
        away = stats.gauge("fastsmtp_state_away", "Workers that do without the server of the state.")
        self._away_cell = stats.cell(away)
        queries = stats.counter(
            "fastsmtp_state_queries_total",
            "Questions to the server of the state, by how they ended; away: it was not asked.",
            result=_RESULTS,
        )
        self._results = {result: stats.cell(queries, result) for result in _RESULTS}

    @property
    def is_there(self) -> bool:
        """Whether it makes sense to ask."""
        return self._peer is not None

    async def open(self) -> None:
        """Connect; when that is not possible, begin to knock. Every `open` wants a `close`."""
        self._users += 1
        if self._users > 1:
            return
        self._is_closed = False
        try:
            self._peer = await self._try()
        except self._trouble as error:
            self._miss(error)

    async def close(self) -> None:
        """The last one closes it."""
        self._users -= 1
        if self._users or self._is_closed:
            return
        self._is_closed = True
        peer, self._peer = self._peer, None
        if self._knocking is not None:
            self._knocking.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # each of them has its time
        if peer is not None:
            await self._close_peer(peer)

    async def ask(self, question: Callable[[_P], Awaitable[_T]]) -> _T:
        """What it says, in time. Raises StateError."""
        peer = self._peer
        if peer is None:
            self._cells[self._results["away"]] += 1
            raise StateError(f"the state {self._name} is away: {self.why}")
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await question(peer)
        except self._trouble as error:
            self._cells[self._results["timeout" if isinstance(error, TimeoutError) else "error"]] += 1
            if self._peer is peer:
                self._peer = None
                self._start(self._close_later(peer))
                self._miss(error)
            raise StateError(f"the state {self._name}: {self._reason(error)}") from error
        self._cells[self._results["ok"]] += 1
        return answer

    def start(self, question: Callable[[_P], Awaitable[object]]) -> None:
        """The same for who does not wait for the answer."""
        if self._peer is not None:
            self._start(self._ask_in_vain(question))

    async def _ask_in_vain(self, question: Callable[[_P], Awaitable[object]]) -> None:
        with suppress(StateError):  # the log and the metrics have it
            await self.ask(question)

    async def _try(self) -> _P:
        async with asyncio.timeout(self._timeout_s):
            return await self._connect()

    def _miss(self, error: Exception) -> None:
        if self._is_closed:
            return
        self.why = self._reason(error)
        self._cells[self._away_cell] = 1
        _log.warning("state is away", extra={"url": self._name, "error": self.why})
        self._knocking = self._start(self._knock())

    async def _knock(self) -> None:
        failures = 1
        while True:
            await asyncio.sleep(backoff_s(failures))
            try:
                self._peer = await self._try()
            except self._trouble as error:
                self.why = self._reason(error)
                failures += 1
            else:
                self._cells[self._away_cell] = 0
                _log.info("state is back", extra={"url": self._name})
                return

    async def _close_later(self, peer: _P) -> None:
        """Others still ask it; they have had their time by then."""
        await asyncio.sleep(self._timeout_s)
        await self._close_peer(peer)

    async def _close_peer(self, peer: _P) -> None:
        with suppress(*self._trouble):
            async with asyncio.timeout(self._timeout_s):
                await peer.close()

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout_s:g} s"
        return "; ".join(str(error).splitlines()) or type(error).__name__

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
