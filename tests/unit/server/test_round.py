"""Answers of one turn of the loop: all are found before any is said, and nobody's trouble is another one's."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from connections import Rig, Transport, opened_log

from fastsmtp.server.connection import ConnectionProtocol
from fastsmtp.server.round import AtOnce, Round
from fastsmtp.smtp.replies import Reply

TO_DATA = b"EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"


class Member:
    """Writes down what it does."""

    def __init__(self, name: str, done: list[str], *, fails: str = "", is_silent: bool = False) -> None:
        self._name = name
        self._done = done
        self._fails = fails
        self._is_silent = is_silent

    def _do(self, what: str) -> None:
        self._done.append(f"{self._name} {what}")
        if what == self._fails:
            raise ValueError(what)

    def think(self) -> bool:
        self._do("thinks")
        return not self._is_silent

    def speak(self) -> None:
        self._do("speaks")

    def abort(self) -> None:
        self._do("is closed")


def play(*members: Member) -> None:
    async def body() -> None:
        together = Round(asyncio.get_running_loop())
        for member in members:
            together.add(member)
        await asyncio.sleep(0)

    asyncio.run(body())


def test_all_think_before_anybody_speaks() -> None:
    done: list[str] = []
    play(Member("a", done), Member("b", done, is_silent=True), Member("c", done))
    assert done == ["a thinks", "b thinks", "c thinks", "a speaks", "c speaks"]


@pytest.mark.parametrize("where", ["thinks", "speaks"])
def test_a_fault_costs_one_connection(where: str, caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    play(Member("a", done, fails=where), Member("b", done))
    assert "a is closed" in done
    assert "b speaks" in done
    (logged,) = caplog.records
    assert logged.exc_info is not None
    assert isinstance(logged.exc_info[1], ValueError)


def test_by_hand() -> None:
    done: list[str] = []
    AtOnce().add(Member("a", done))
    AtOnce().add(Member("b", done, is_silent=True))
    assert done == ["a thinks", "a speaks", "b thinks"]


def in_rounds(tmp_path: Path, test: Callable[[Rig], Awaitable[None]]) -> None:
    """With connections that answer in a round, as in a worker."""

    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            rig.shared.round = Round(asyncio.get_running_loop())
            await test(rig)

    asyncio.run(body())


def greeted(rig: Rig) -> tuple[ConnectionProtocol, Transport]:
    protocol, transport = rig.connect()
    transport.writes.clear()
    return protocol, transport


def test_a_connection_answers_in_the_round(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        protocol, transport = greeted(rig)
        protocol.data_received(b"NOOP\r\n")
        assert transport.writes == []
        await asyncio.sleep(0)
        assert transport.writes == [b"250 2.0.0 OK\r\n"]

    in_rounds(tmp_path, test)


def test_more_that_comes_before_the_round_is_answered_at_once(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        protocol, transport = greeted(rig)
        protocol.data_received(b"NO")
        protocol.data_received(b"OP\r\n")
        assert transport.writes == [b"250 2.0.0 OK\r\n"]
        await asyncio.sleep(0)
        assert len(transport.writes) == 1

    in_rounds(tmp_path, test)


def test_much_at_once_does_not_wait(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        protocol, transport = greeted(rig)
        protocol.data_received(TO_DATA)
        await asyncio.sleep(0)
        protocol.data_received(b"x" * 20_000 + b"\r\n")
        assert protocol.held_octets > 20_000  # looked at, and of the message now
        assert len(transport.writes) == 1

    in_rounds(tmp_path, test)


def test_an_end_of_input_in_the_turn_of_the_last_line_waits_for_the_answer(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        protocol, transport = greeted(rig)
        protocol.data_received(TO_DATA)
        await asyncio.sleep(0)
        protocol.data_received(b"x\r\n.\r\n")
        assert protocol.eof_received() is True  # the transport stays open, as with TLS, whose last record was both
        rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert transport.writes[-1] == b"250 2.0.0 stored\r\n"
        assert transport.calls == ["close"]

    in_rounds(tmp_path, test)


def test_a_message_is_whole_although_its_client_is_gone_in_the_same_turn(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        protocol, _ = greeted(rig)
        protocol.data_received(TO_DATA)
        await asyncio.sleep(0)
        protocol.data_received(b"Subject: x\r\n\r\nx\r\n.\r\n")
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        assert len(rig.fake.futures) == 1

    in_rounds(tmp_path, test)


def test_commands_before_an_end_of_input_are_answered(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        protocol, transport = greeted(rig)
        protocol.data_received(b"NOOP\r\n")
        assert not protocol.eof_received()
        assert transport.writes == [b"250 2.0.0 OK\r\n"]
        await asyncio.sleep(0)
        assert len(transport.writes) == 1

    in_rounds(tmp_path, test)


def test_who_does_not_read_waits_with_what_it_sent(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        protocol, transport = greeted(rig)
        protocol.data_received(b"NOOP\r\n")
        protocol.pause_writing()
        await asyncio.sleep(0)
        assert transport.writes == []
        protocol.resume_writing()
        assert transport.writes == [b"250 2.0.0 OK\r\n"]

    in_rounds(tmp_path, test)


def test_the_answer_of_the_store_is_said_in_the_round(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        protocol, transport = greeted(rig)
        protocol.data_received(TO_DATA)
        await asyncio.sleep(0)
        transport.writes.clear()
        protocol.data_received(b"Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n")
        await asyncio.sleep(0)
        assert transport.writes == []
        rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert transport.writes == [b"250 2.0.0 stored\r\n250 2.0.0 OK\r\n"]

    in_rounds(tmp_path, test)
