"""What a worker can bear, looked at with values that the test makes up."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat

import pytest
from admissions import CALM_S, admission

from fastsmtp.config.model import Settings
from fastsmtp.log import LineLog
from fastsmtp.log.stream import STDOUT_DESCRIPTOR, StreamSink
from fastsmtp.server.overload import Shed
from fastsmtp.server.shared import ConnectionStats, Shared
from fastsmtp.server.watch import LoadWatch
from fastsmtp.smtp import replies
from fastsmtp.smtp.load import Load
from fastsmtp.smtp.options import Room
from fastsmtp.stats import Stats

MIB = 2**20
NOW_NS = 1_000_000_000_000


class Clock:
    """It stands still."""

    def time(self) -> float:
        return 0.0

    def monotonic_ns(self) -> int:
        return NOW_NS


@dataclass(eq=False)
class Holder:
    """A connection with part of a message in memory."""

    load: Load
    held_octets: int
    begun_ns: int
    deadline: float = 0.0
    is_shed: bool = False

    def shed(self) -> None:
        self.load.octets -= self.held_octets
        self.held_octets = 0
        self.is_shed = True

    def expire(self) -> None: ...

    def drain(self, *, finishing: bool = False) -> None: ...

    def cut(self) -> None: ...

    def abort(self) -> None: ...


class Rig:
    """A watch, and all that it looks at."""

    def __init__(self) -> None:
        self.stats = Stats()
        limits = {"connections": 10, "message_memory": "4MiB", "message_size": 1000}
        self.settings = Settings.model_validate({"hostname": "mx.example.test", "limits": limits})
        self.load = Load(self.stats, self.settings.limits.message_memory)
        self.room = Room()
        self.busy_s = 0.0
        self.door = admission(self.stats, connections=10)
        self.shared = Shared(
            asyncio.get_running_loop(),
            self.door,
            ConnectionStats(self.stats, frozenset()),
            Clock(),
            LineLog(StreamSink(STDOUT_DESCRIPTOR)),
            repeat("T"),
        )
        self.watch = LoadWatch(self.shared, self.settings, self.load, self.room, lambda: self.busy_s, self.stats)
        self._now_s = 0.0

    def look(self, lag_s: float = 0.0, *, times: int = 1, every_s: float = 0.25) -> Shed:
        for _ in range(times):
            self._now_s += every_s
            self.watch.look(self._now_s, lag_s)
        return self.door.overload.sheds

    def calm(self) -> Shed:
        return self.look(times=3, every_s=2 * CALM_S)

    def hold(self, octets: int, seconds: int = 1) -> Holder:
        holder = Holder(self.load, octets, NOW_NS - seconds * 10**9)
        self.shared.open.add(holder)
        self.load.octets += octets
        return holder

    def cell(self, name: str, *values: str) -> int:
        family = next(family for family in self.stats.families() if family.name == name)
        return self.stats.cells[family.children[values]]


def with_rig(test: Callable[[Rig], None]) -> None:
    async def body() -> None:
        test(Rig())

    asyncio.run(body())


def test_nothing_is_shed_in_peace() -> None:
    def test(rig: Rig) -> None:
        assert rig.look(0.1, times=100) is Shed.NOTHING
        assert rig.load.deferral is None

    with_rig(test)


def test_one_late_turn_is_nothing_two_are() -> None:
    def test(rig: Rig) -> None:
        assert [rig.look(lag_s) for lag_s in (0.6, 0.0, 0.6)] == [Shed.NOTHING] * 3
        assert rig.look(0.6) is Shed.STRANGERS
        assert rig.cell("fastsmtp_overload", "lag") == 1
        assert rig.load.refusal() is None
        assert rig.look(2.0, times=2) is Shed.TRANSACTIONS
        assert rig.load.refusal() is replies.OVERLOADED
        assert rig.calm() is Shed.NOTHING
        assert rig.load.refusal() is None
        assert rig.cell("fastsmtp_overload", "lag") == 0

    with_rig(test)


def test_a_store_that_is_slow() -> None:
    def test(rig: Rig) -> None:
        rig.busy_s = 5.0
        assert rig.look() is Shed.STRANGERS
        rig.busy_s = 20.0
        assert rig.look() is Shed.TRANSACTIONS
        assert rig.cell("fastsmtp_overload", "store") == 2
        rig.busy_s = 0.0
        assert rig.calm() is Shed.NOTHING

    with_rig(test)


def test_a_disk_that_is_nearly_full() -> None:
    def test(rig: Rig) -> None:
        rig.room.octets = 4_000
        assert rig.look() is Shed.STRANGERS
        rig.room.octets = -1
        assert rig.look() is Shed.STRANGERS  # that nothing fits is said exactly where it is asked
        rig.room.octets = 5_001
        assert rig.calm() is Shed.NOTHING

    with_rig(test)


def test_nearly_all_connections() -> None:
    def test(rig: Rig) -> None:
        for number in range(9):
            assert rig.look() is Shed.NOTHING
            rig.door.enter(f"192.0.2.{number}", 600)
        assert rig.look() is Shed.STRANGERS

    with_rig(test)


def test_memory_makes_strangers_wait_before_it_is_full() -> None:
    def test(rig: Rig) -> None:
        rig.hold(3 * MIB - 1)
        assert rig.look() is Shed.NOTHING
        rig.hold(1)
        assert rig.look() is Shed.STRANGERS
        assert rig.cell("fastsmtp_message_memory_bytes") == 3 * MIB

    with_rig(test)


def test_those_that_hold_most_for_longest_are_ended_until_there_is_room() -> None:
    def test(rig: Rig) -> None:
        quick = rig.hold(MIB, seconds=1)
        slow = rig.hold(MIB, seconds=100)
        slower = rig.hold(MIB // 2, seconds=300)
        tiny = rig.hold(1_000, seconds=900)
        large = rig.hold(2 * MIB - 1_000, seconds=10)
        nothing = rig.hold(0, seconds=1_000)
        rig.look()
        assert not any(holder.is_shed for holder in (quick, slow, slower, tiny, large))  # it may be over in a moment
        rig.look()
        assert [holder.is_shed for holder in (slower, slow, large, quick, tiny, nothing)] == [True, True] + [False] * 4
        rig.look()
        assert rig.cell("fastsmtp_shed_total", "message") == 2

    with_rig(test)


def test_signs_that_do_not_matter() -> None:
    def test(rig: Rig) -> None:
        overload = rig.settings.overload.model_copy(update={"lag": 0.0, "commit": 0.0})
        settings = rig.settings.model_copy(update={"overload": overload})
        watch = LoadWatch(rig.shared, settings, rig.load, rig.room, lambda: 1e9, rig.stats)
        watch.look(1.0, 1e9)
        watch.look(2.0, 1e9)
        assert rig.door.overload.sheds is Shed.NOTHING

    with_rig(test)


def test_the_log_hears_of_every_change_and_of_who_was_turned_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def test(rig: Rig) -> None:
        rig.busy_s = 5.0
        rig.look(times=3)
        rig.door.enter("192.0.2.1", 600)
        rig.look(times=3)
        rig.busy_s = 0.0
        rig.calm()

    with_rig(test)
    messages = [record.message for record in caplog.records]
    assert messages == ["overloaded", "clients were turned away", "no longer overloaded"]
    first = vars(caplog.records[0])
    assert (first["sheds"], first["sign"], first["store"]) == ("strangers", "store", 1.0)


def test_the_real_timer_measures_how_late_it_is() -> None:
    async def body() -> None:
        rig = Rig()
        rig.watch.start()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 20
        while not sum(rig.stats.cells):
            assert loop.time() < deadline
            await asyncio.sleep(0.01)
        rig.watch.stop()
        rig.watch.stop()

    asyncio.run(body())
