"""One timer looks at all connections."""

import asyncio
from collections.abc import Callable

from fastsmtp.server.deadlines import NEVER, Deadlines


class Loop:
    """An event loop as far as Deadlines sees it: a clock and one timer, both in the hands of the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timer: Callable[[], None] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, _delay: float, callback: Callable[[], None]) -> "Loop":
        self.timer = callback
        return self

    def cancel(self) -> None:
        self.timer = None

    def pass_to(self, now: float) -> None:
        """Let the timer fire at this time."""
        self.now = now
        assert self.timer is not None
        self.timer()


class Member:
    def __init__(self, deadline: float, members: "set[Member]") -> None:
        self.deadline = deadline
        self.expired = 0
        self._members = members
        members.add(self)

    def expire(self) -> None:
        self.expired += 1
        self._members.discard(self)  # as a connection that closes does


def started(members: set[Member]) -> tuple[Loop, Deadlines]:
    loop = Loop()
    deadlines = Deadlines(loop, members)  # type: ignore[arg-type] # the two methods that it uses
    deadlines.start()
    return loop, deadlines


def test_expires_what_is_late_and_nothing_else() -> None:
    members: set[Member] = set()
    early, late, never = (Member(deadline, members) for deadline in (5.0, 50.0, NEVER))
    loop, _ = started(members)
    loop.pass_to(4.9)
    assert (early.expired, late.expired, never.expired) == (0, 0, 0)
    loop.pass_to(5.0)
    assert (early.expired, late.expired, never.expired) == (1, 0, 0)
    loop.pass_to(1e9)
    assert (early.expired, late.expired, never.expired) == (1, 1, 0)


def test_members_may_leave_while_it_looks() -> None:
    members: set[Member] = set()
    everybody = [Member(1.0, members) for _ in range(10)]
    loop, _ = started(members)
    loop.pass_to(2.0)
    assert [member.expired for member in everybody] == [1] * 10
    assert not members


def test_looks_until_stopped() -> None:
    loop, deadlines = started(set())
    for second in range(3):
        loop.pass_to(float(second))
    deadlines.stop()
    assert loop.timer is None
    deadlines.stop()


def test_on_a_real_loop() -> None:
    async def expires() -> bool:
        loop = asyncio.get_running_loop()
        expired = asyncio.Event()

        class Late:
            deadline = 0.0

            def expire(self) -> None:
                self.deadline = NEVER
                expired.set()

        deadlines = Deadlines(loop, {Late()})
        deadlines.start()
        try:
            return await asyncio.wait_for(expired.wait(), 10)
        finally:
            deadlines.stop()

    assert asyncio.run(expires())
