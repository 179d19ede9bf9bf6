"""A few sessions with a database that all questions share, and one opinion on whether it is there.

Sessions are opened when somebody has to wait. When none can be opened, or one does not answer in time, the database is
*away*: questions fail at once, and one task knocks, more and more seldom, until a new session answers. So nobody stands
in line for a database that is not there, and nothing has to be restarted when it comes back.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter_ns
from typing import Generic, Protocol, TypeVar

from fastsmtp.backoff import backoff_s
from fastsmtp.directory.connect import TROUBLE, reason
from fastsmtp.errors import DirectoryAwayError, DirectoryError
from fastsmtp.stats import Stats

__all__ = ["Member", "Pool"]

_log = logging.getLogger("fastsmtp.directory")


class Member(Protocol):
    """What a pool needs of a session."""

    def is_closed(self) -> bool:
        """Whether either side has closed it."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Cancel what is under way and close, within so many seconds."""
        ...


_Session = TypeVar("_Session", bound=Member)
_Answer = TypeVar("_Answer")


class Pool(Generic[_Session]):
    """At most `size` sessions made by `connect`, which raises DirectoryError; a question has `timeout_s` seconds."""

    def __init__(self, connect: Callable[[], Awaitable[_Session]], size: int, timeout_s: float, stats: Stats) -> None:
        self._connect = connect
        self._size = size
        self._timeout_s = timeout_s
        self._sessions: set[_Session] = set()  # idle or busy, and trusted
        self._idle: list[_Session] = []
        self._waiting: deque[asyncio.Future[_Session]] = deque()
        self._opening = 0
        self._away: str | None = None
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._cells = stats.cells
        connections = stats.gauge("fastsmtp_directory_connections", "Connections to the directory's database.")
        self._connections_cell = stats.cell(connections)
        busy = stats.gauge("fastsmtp_directory_connections_busy", "Those of them with a query under way.")
        self._busy_cell = stats.cell(busy)
        queries = stats.counter(
            "fastsmtp_directory_queries_total",
            "Queries to the directory's database, by how they ended.",
            result=("ok", "error", "timeout"),
        )
        self._ok, self._error, self._timeout = (stats.cell(queries, result) for result in ("ok", "error", "timeout"))
        self._latency = stats.timer(
            stats.histogram("fastsmtp_directory_query_seconds", "Time that the directory's database took to answer.")
        )

    async def open(self) -> None:
        """Open the first session. Raises DirectoryError."""
        self._add(await self._connect())

    async def close(self) -> None:
        """Close all sessions; whoever waits is told."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        self._is_closed = True
        self._away = "the directory is closed"
        self.renew()
        self._settle()
        await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)

    def renew(self) -> None:
        """Trust no session that is open; busy ones may finish."""
        idle, self._idle = self._idle, []
        self._sessions.clear()
        for session in idle:
            self._start(session.close(self._timeout_s))
        self._count()

    async def ask(self, question: Callable[[_Session], Awaitable[_Answer]], deadline: float) -> _Answer:
        """What a session answers until `deadline`, seconds of the loop's clock. Raises DirectoryError.

        When the session is lost underway, as those that were idle while the database was restarted, another is asked.
        """
        is_second = False
        while True:
            session: _Session | None = None
            try:
                async with asyncio.timeout_at(deadline):
                    session = await self._borrow()
                    begin = perf_counter_ns()
                    answer = await question(session)
            except TimeoutError as error:
                self._cells[self._timeout] += 1
                sentence = f"the directory's database: {reason(error, self._timeout_s)}"
                self._waited_in_vain(session, sentence)
                raise DirectoryError(sentence) from None
            except TROUBLE as error:
                self._cells[self._error] += 1
                self._drop(session)
                if is_second:
                    raise DirectoryError(f"the directory's database: {reason(error, self._timeout_s)}") from error
                is_second = True
            except BaseException:  # nobody wants the answer any more
                self._drop(session)
                raise
            else:
                self._latency.observe(perf_counter_ns() - begin)
                self._cells[self._ok] += 1
                self._give_back(session)
                return answer

    async def _borrow(self) -> _Session:
        while self._idle:
            session = self._idle.pop()
            if not session.is_closed():
                self._count()
                return session
            self._sessions.discard(session)
        place: asyncio.Future[_Session] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._settle()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._give_back(place.result())
            raise

    def _give_back(self, session: _Session) -> None:
        if session not in self._sessions or session.is_closed():
            self._drop(session)
            return
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(session)
                break
        else:
            self._idle.append(session)
        self._count()

    def _drop(self, session: _Session | None) -> None:
        if session is not None:
            self._sessions.discard(session)
            self._start(session.close(self._timeout_s))
        self._settle()

    def _waited_in_vain(self, session: _Session | None, sentence: str) -> None:
        """A late answer is taken for no answer: of what was opened before, nothing is trusted any more."""
        is_news = session in self._sessions if session is not None else not self._sessions
        if session is not None:
            self._start(session.close(self._timeout_s))
        if is_news:
            self.renew()
            self._set_away(sentence)
        self._settle()

    def _add(self, session: _Session) -> None:
        if self._away is not None:
            _log.info("directory is back")
        self._away = None
        self._sessions.add(session)
        self._give_back(session)

    def _set_away(self, sentence: str) -> None:
        if self._away is None:
            _log.warning("directory is away", extra={"error": sentence})
        self._away = sentence

    def _settle(self) -> None:
        """See to those who wait: they get a new session, or hear that there is none."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if self._away is not None:
            while self._waiting and not self._sessions:
                place = self._waiting.popleft()
                if not place.done():
                    place.set_exception(DirectoryAwayError(self._away))
            is_wanted = self._opening == 0 and not self._is_closed
        else:
            is_wanted = self._opening < len(self._waiting) and len(self._sessions) + self._opening < self._size
        if is_wanted:
            self._opening += 1
            self._start(self._open_one())
        self._count()

    async def _open_one(self) -> None:
        """Open a session; when it cannot be done, one of us goes on trying."""
        try:
            failures = 0
            while True:
                try:
                    session = await self._connect()
                except DirectoryError as error:
                    self._set_away(str(error))
                    failures += 1
                    if self._opening > 1:
                        return
                    self._settle()
                    await asyncio.sleep(backoff_s(failures))
                else:
                    break
        finally:
            self._opening -= 1
        self._add(session)

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count(self) -> None:
        self._cells[self._connections_cell] = len(self._sessions)
        self._cells[self._busy_cell] = len(self._sessions) - len(self._idle)
