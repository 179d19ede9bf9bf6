"""Whether a server is there: one opinion for everybody."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fastsmtp.errors import StateError
from fastsmtp.state.link import Link
from fastsmtp.stats import Stats


class TroubleError(Exception):
    """What this server's client raises."""


class Server:
    """Answers as it is told."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.hangs = False
        self.connections = self.closed = 0
        self.stats = Stats()
        self.link = Link(self.connect, (TroubleError,), "test://", 0.05, self.stats)

    async def connect(self) -> "Server":
        self.connections += 1
        await self.answer()
        return self

    async def answer(self) -> str:
        if self.hangs:
            await asyncio.sleep(60)
        if self.trouble is not None:
            raise self.trouble
        return "answer"

    async def close(self) -> None:
        self.closed += 1

    def gauge(self) -> int:
        (family,) = [one for one in self.stats.families() if one.name == "fastsmtp_state_away"]
        return sum(self.stats.cells[cell] for cell in family.children.values())


def play(scenario: Callable[[Server], Awaitable[None]], before: Exception | None = None) -> None:
    async def main() -> None:
        server = Server()
        server.trouble = before
        await server.link.open()
        try:
            async with asyncio.timeout(30):
                await scenario(server)
        finally:
            await server.link.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


async def back(server: Server) -> None:
    while not server.link.is_there:  # noqa: ASYNC110 - what is waited for is the state of a link
        await asyncio.sleep(0.005)


def test_an_answer() -> None:
    async def scenario(server: Server) -> None:
        assert await server.link.ask(lambda peer: peer.answer()) == "answer"
        assert (server.connections, server.gauge()) == (1, 0)

    play(scenario)


@pytest.mark.parametrize("hangs", [False, True])
def test_trouble_or_silence_is_away_for_all_until_it_answers_again(hangs: bool) -> None:
    async def scenario(server: Server) -> None:
        server.hangs, server.trouble = hangs, TroubleError("broken\nin two lines")
        answers = await asyncio.gather(
            *(server.link.ask(lambda peer: peer.answer()) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(answer, StateError) for answer in answers)
        assert (server.link.is_there, server.gauge()) == (False, 1)
        why = "no answer within 0.05 s" if hangs else "broken; in two lines"
        with pytest.raises(StateError, match=f"the state test:// is away: {why}"):
            await server.link.ask(lambda peer: peer.answer())
        server.hangs, server.trouble = False, None
        await back(server)
        assert await server.link.ask(lambda peer: peer.answer()) == "answer"
        while server.closed == 0:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.005)
        assert (server.gauge(), server.closed) == (0, 1)

    play(scenario)


def test_one_that_is_not_there_at_first() -> None:
    async def scenario(server: Server) -> None:
        assert not server.link.is_there
        server.trouble = None
        await back(server)

    play(scenario, TroubleError("not yet"))


def test_what_nobody_waits_for() -> None:
    async def scenario(server: Server) -> None:
        server.link.start(lambda peer: peer.answer())
        await asyncio.sleep(0)
        server.trouble = TroubleError("no")
        server.link.start(lambda peer: peer.answer())
        while server.link.is_there:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.005)
        server.link.start(lambda peer: peer.answer())

    play(scenario)


def test_faults_of_ours_are_no_trouble_of_the_server() -> None:
    async def scenario(server: Server) -> None:
        server.trouble = KeyError("a bug")
        with pytest.raises(KeyError):
            await server.link.ask(lambda peer: peer.answer())
        assert server.link.is_there

    play(scenario)


def test_the_last_of_its_users_closes_it() -> None:
    async def scenario(server: Server) -> None:
        await server.link.open()
        await server.link.close()
        assert server.link.is_there
        assert server.connections == 1

    play(scenario)
