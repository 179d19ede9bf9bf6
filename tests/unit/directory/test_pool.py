"""The pool alone, with sessions that do as they are told; with a real server it is in test_postgres."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from fastsmtp.directory.pool import Pool
from fastsmtp.errors import DirectoryError
from fastsmtp.stats import Stats

FAR_S = 60.0
"""A deadline that no test meets."""


class Session:
    """A session that counts itself."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lost = False
        self.closed = False

    def is_closed(self) -> bool:
        return self.lost or self.closed

    async def close(self, timeout_s: float) -> None:
        self.closed = True


class Database:
    """Lets in while it is `up`; while the gate is shut, those who knock are left standing."""

    def __init__(self) -> None:
        self.up = True
        self.gate = asyncio.Event()
        self.gate.set()
        self.knocks = 0
        self.sessions: list[Session] = []
        self.stats = Stats()

    async def connect(self) -> Session:
        self.knocks += 1
        await self.gate.wait()
        if not self.up:
            raise DirectoryError(f"refused, {self.knocks}")
        session = Session(len(self.sessions))
        self.sessions.append(session)
        return session

    def pool(self, size: int = 2) -> Pool[Session]:
        return Pool(self.connect, size, 2.0, self.stats)

    def metric(self, name: str, *labels: str) -> int:
        family = next(family for family in self.stats.families() if family.name == name)
        return self.stats.cells[family.children[labels]]

    def results(self) -> tuple[int, int, int]:
        """How queries ended: ok, error, timeout."""
        ok, error, timeout = (
            self.metric("fastsmtp_directory_queries_total", result) for result in ("ok", "error", "timeout")
        )
        return ok, error, timeout


@pytest.fixture
def database() -> Database:
    return Database()


def now() -> float:
    return asyncio.get_running_loop().time()


async def number(session: Session) -> int:
    return session.number


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what we wait for sets no event
            await asyncio.sleep(0.001)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene()

    asyncio.run(run())


def test_a_session_is_used_again(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool()
        for _ in range(3):
            assert await pool.ask(number, now() + FAR_S) == 0
        await pool.close()

    play(scene)
    assert database.knocks == 1
    assert database.sessions[0].closed
    assert database.results() == (3, 0, 0)


def test_it_grows_to_its_size_and_then_people_stand_in_line(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool(size=2)
        go_on = asyncio.Event()
        order: list[int] = []

        async def question(who: int, session: Session) -> int:
            order.append(who)
            await go_on.wait()
            return session.number

        asked = [asyncio.create_task(pool.ask(partial(question, who), now() + FAR_S)) for who in range(5)]
        await until(lambda: len(order) == 2)
        assert database.metric("fastsmtp_directory_connections") == 2
        assert database.metric("fastsmtp_directory_connections_busy") == 2
        go_on.set()
        assert set(await asyncio.gather(*asked)) == {0, 1}
        assert order == [0, 1, 2, 3, 4]
        assert database.metric("fastsmtp_directory_connections_busy") == 0
        await pool.close()
        assert database.metric("fastsmtp_directory_connections") == 0

    play(scene)
    assert database.knocks == 2


def test_an_idle_session_that_was_lost_is_replaced(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool()
        await pool.open()
        database.sessions[0].lost = True
        assert await pool.ask(number, now() + FAR_S) == 1
        await pool.close()

    play(scene)
    assert database.results() == (1, 0, 0)


def test_a_session_that_is_lost_underway_is_replaced_once(database: Database) -> None:
    async def lose(session: Session) -> int:
        session.lost = True
        raise ConnectionResetError("gone")

    async def lose_the_first(session: Session) -> int:
        return await (lose(session) if session.number == 0 else number(session))

    async def scene() -> None:
        pool = database.pool()
        assert await pool.ask(lose_the_first, now() + FAR_S) == 1
        with pytest.raises(DirectoryError, match="gone") as caught:
            await pool.ask(lose, now() + FAR_S)
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        assert await pool.ask(number, now() + FAR_S) == 3
        await pool.close()

    play(scene)
    assert database.results() == (2, 3, 0)


def test_open_says_why_it_cannot(database: Database) -> None:
    database.up = False

    async def scene() -> None:
        pool = database.pool()
        with pytest.raises(DirectoryError, match="refused, 1"):
            await pool.open()
        await pool.close()

    play(scene)
    assert database.knocks == 1


def test_while_the_database_is_away_questions_fail_at_once_and_one_knocks(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastsmtp.directory")

    async def scene() -> None:
        pool = database.pool()
        database.up = False
        answers = await asyncio.gather(*(pool.ask(number, now() + FAR_S) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(answer, DirectoryError) for answer in answers)
        assert database.knocks <= 2
        knocks = database.knocks
        for _ in range(100):
            with pytest.raises(DirectoryError, match="refused"):
                await pool.ask(number, now() + FAR_S)
        assert database.knocks <= knocks + 1
        database.up = True
        await until(lambda: len(database.sessions) > 0)
        assert await pool.ask(number, now() + FAR_S) == 0
        await pool.close()

    play(scene)
    assert [record.message for record in caplog.records] == ["directory is away", "directory is back"]


def test_an_answer_that_does_not_come_makes_the_database_be_away(database: Database) -> None:
    async def never(session: Session) -> int:
        await asyncio.Event().wait()
        return session.number

    async def scene() -> None:
        pool = database.pool(size=2)
        assert await asyncio.gather(*(pool.ask(number, now() + FAR_S) for _ in range(2))) == [0, 1]
        database.gate.clear()
        with pytest.raises(DirectoryError, match="no answer within 2 s"):
            await pool.ask(never, now() + 0.01)
        await until(lambda: all(session.closed for session in database.sessions))  # the idle one is not trusted either
        with pytest.raises(DirectoryError, match="no answer within 2 s"):
            await pool.ask(number, now() + FAR_S)
        assert database.knocks == 3
        database.gate.set()
        await until(lambda: len(database.sessions) == 3)
        assert await pool.ask(number, now() + FAR_S) == 2
        await pool.close()

    play(scene)
    assert database.results() == (3, 0, 1)


def test_nobody_waits_longer_for_a_first_session_than_for_an_answer(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool()
        database.gate.clear()
        with pytest.raises(DirectoryError, match="no answer"):
            await pool.ask(number, now() + 0.01)
        with pytest.raises(DirectoryError, match="no answer"):  # at once
            await pool.ask(number, now() + FAR_S)
        database.gate.set()
        await until(lambda: len(database.sessions) > 0)
        assert await pool.ask(number, now() + FAR_S) == 0
        await pool.close()

    play(scene)
    assert database.knocks == 1


def test_whoever_stands_in_line_too_long_says_nothing_about_the_database(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool(size=1)
        go_on = asyncio.Event()

        async def question(session: Session) -> int:
            await go_on.wait()
            return session.number

        slow = asyncio.create_task(pool.ask(question, now() + FAR_S))
        await until(lambda: database.metric("fastsmtp_directory_connections_busy") == 1)
        with pytest.raises(DirectoryError, match="no answer"):
            await pool.ask(number, now() + 0.01)
        go_on.set()
        assert await slow == 0
        assert await pool.ask(number, now() + FAR_S) == 0
        await pool.close()

    play(scene)
    assert database.knocks == 1


def test_late_news_from_an_old_session_does_no_harm_to_new_ones(database: Database) -> None:
    async def never(session: Session) -> int:
        await asyncio.Event().wait()
        return session.number

    async def scene() -> None:
        pool = database.pool(size=2)
        asked = [asyncio.create_task(pool.ask(never, now() + wait_s)) for wait_s in (0.01, 0.2)]
        with pytest.raises(DirectoryError):
            await asked[0]
        await until(lambda: len(database.sessions) == 3)
        assert await pool.ask(number, now() + FAR_S) == 2
        with pytest.raises(DirectoryError):
            await asked[1]
        assert await pool.ask(number, now() + FAR_S) == 2
        await pool.close()

    play(scene)
    assert database.knocks == 3


def test_when_no_more_sessions_are_let_in_those_that_are_in_go_on(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool(size=4)
        await pool.open()
        database.up = False
        answers = await asyncio.gather(*(pool.ask(number, now() + FAR_S) for _ in range(20)))
        assert answers == [0] * 20
        await pool.close()

    play(scene)


def test_a_question_that_nobody_wants_answered_any_more_costs_its_session(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool(size=1)
        begun = asyncio.Event()

        async def question(session: Session) -> int:
            begun.set()
            await asyncio.Event().wait()
            return session.number

        asked = asyncio.create_task(pool.ask(question, now() + FAR_S))
        await begun.wait()
        waiting = asyncio.create_task(pool.ask(number, now() + FAR_S))
        gone = asyncio.create_task(pool.ask(number, now() + FAR_S))
        await asyncio.sleep(0)
        gone.cancel()
        asked.cancel()
        assert await waiting == 1
        assert database.sessions[0].closed
        await pool.close()

    play(scene)
    assert database.results() == (1, 0, 0)


def test_renewed_it_uses_no_session_from_before(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool()
        await pool.open()
        go_on = asyncio.Event()

        async def question(session: Session) -> int:
            await go_on.wait()
            return session.number

        busy = asyncio.create_task(pool.ask(question, now() + FAR_S))
        await until(lambda: database.metric("fastsmtp_directory_connections_busy") == 1)
        pool.renew()
        go_on.set()
        assert await busy == 0
        assert await pool.ask(number, now() + FAR_S) == 1
        await pool.close()

    play(scene)
    assert [session.closed for session in database.sessions] == [True, True]


def test_closed_it_tells_whoever_waits(database: Database) -> None:
    async def scene() -> None:
        pool = database.pool()
        database.gate.clear()
        waiting = asyncio.create_task(pool.ask(number, now() + FAR_S))
        await until(lambda: database.knocks == 1)
        await pool.close()
        with pytest.raises(DirectoryError, match="closed"):
            await waiting

    play(scene)
