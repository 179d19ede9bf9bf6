"""Both ends of the line, on one event loop and between two processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastsmtp.server.processes.control import Line
from fastsmtp.server.processes.interpreter import line_pair


class End:
    """One end, and what was heard there."""

    def __init__(self, line: Callable[..., Line]) -> None:
        self.heard: list[tuple[Mapping[str, Any], Sequence[int]]] = []
        self.ended = asyncio.Event()
        self._news = asyncio.Event()
        self.line = line(self._hear, self.ended.set)

    def _hear(self, message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        self.heard.append((message, descriptors))
        self._news.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()


def play(scenario: Callable[[End, End], Awaitable[None]]) -> None:
    async def main() -> None:
        one, other = line_pair()
        ends = [End(lambda *called, end=end: Line(end, *called)) for end in (one, other)]
        try:
            await scenario(*ends)
        finally:
            for end in ends:
                end.line.close()

    asyncio.run(main())


def test_messages_arrive_whole_and_in_order() -> None:
    async def scenario(one: End, other: End) -> None:
        messages = [{"event": "x", "number": number, "text": "\u00e9" * number * 100} for number in range(20)]
        for message in messages:
            assert one.line.say(message)
        assert other.line.say({"do": "go"})
        await other.wait_for(20)
        await one.wait_for(1)
        assert [message for message, _ in other.heard] == messages
        assert one.heard == [({"do": "go"}, [])]

    play(scenario)


def test_descriptors_come_along() -> None:
    async def scenario(one: End, other: End) -> None:
        readable, writable = os.pipe()
        assert one.line.say({"do": "adopt"}, [writable])
        os.close(writable)
        await other.wait_for(1)
        [(_, [given])] = other.heard
        assert not os.get_inheritable(given)
        os.write(given, b"hello")
        os.close(given)
        assert os.read(readable, 100) == b"hello"
        assert os.read(readable, 100) == b""
        os.close(readable)

    play(scenario)


def test_the_end_is_heard_once_behind_all_messages() -> None:
    async def scenario(one: End, other: End) -> None:
        one.line.say({"event": "closed"})
        one.line.close()
        one.line.close()
        async with asyncio.timeout(20):
            await other.ended.wait()
        assert [message for message, _ in other.heard] == [{"event": "closed"}]
        assert not other.line.say({"do": "anything"})
        assert not one.line.say({"do": "anything"})

    play(scenario)


def test_what_was_said_can_be_heard_out() -> None:
    """The end of a process may be noticed before its last words are."""

    async def scenario(one: End, other: End) -> None:
        for number in range(3):
            one.line.say({"number": number})
        one.line.close()
        other.line.hear_out()
        assert [message["number"] for message, _ in other.heard] == [0, 1, 2]
        assert other.ended.is_set()
        other.line.hear_out()

    play(scenario)


def test_who_never_listens_holds_nobody_up() -> None:
    async def main() -> None:
        one, other = line_pair()
        line = Line(one, lambda *_: None, lambda: None)
        said = 0
        while line.say({"text": "x" * 10_000}):
            said += 1
            assert said < 10_000
        assert said > 1
        line.close()
        other.close()

    asyncio.run(main())


def test_a_process_that_is_killed_has_hung_up() -> None:
    async def main() -> None:
        ours, theirs = line_pair()
        command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()])
        theirs.close()
        try:
            end = End(lambda *called: Line(ours, *called))
            process.kill()
            async with asyncio.timeout(20):
                await end.ended.wait()
        finally:
            await process.wait()

    asyncio.run(main())
