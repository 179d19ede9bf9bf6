"""How much room there is, what the log hears of it, and when."""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmtp.delivery.room import RoomWatch
from fastsmtp.smtp.options import Room
from fastsmtp.stats import Stats

BLOCK = 4_096


class Loop:
    """An event loop as far as a RoomWatch sees it: one timer in the hands of the test."""

    def __init__(self) -> None:
        self.timer: Callable[[], None] | None = None
        self.delay = 0.0

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Loop":
        self.delay, self.timer = delay, callback
        return self

    def cancel(self) -> None:
        self.timer = None


class Disk:
    """A file system that says of itself what a test wants; `blocks` of 4 KiB and `inodes` are free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, inodes_in_all: int = 1_000) -> None:
        self.blocks, self.inodes = 100, 100
        self.trouble: OSError | None = None
        self._inodes_in_all = inodes_in_all
        monkeypatch.setattr(os, "statvfs", self._statvfs)

    def _statvfs(self, _path: Path) -> os.statvfs_result:
        if self.trouble is not None:
            raise self.trouble
        for_root = 50  # blocks and inodes that only root may have do not count
        return os.statvfs_result(
            (
                2 * BLOCK,
                BLOCK,
                1_000,
                self.blocks + for_root,
                self.blocks,
                self._inodes_in_all,
                self.inodes + for_root,
                self.inodes,
                0,
                255,
            )
        )


def watch(root: Path, *, reserve: int = 10 * BLOCK, reserve_inodes: int = 10) -> tuple[RoomWatch, Room, Stats, Loop]:
    room, stats, loop = Room(), Stats(), Loop()
    made = RoomWatch(loop, root, room, reserve, reserve_inodes, stats)  # type: ignore[arg-type] # the one method it uses
    return made, room, stats, loop


def gauges(stats: Stats) -> dict[str, int]:
    return {family.name: stats.cells[family.children[()]] for family in stats.families()}


def test_a_real_disk(tmp_path: Path) -> None:
    subject, room, stats, _ = watch(tmp_path, reserve=BLOCK)
    subject.look()
    free = gauges(stats)["fastsmtp_store_free_bytes"]
    assert free > BLOCK
    assert room.octets == free - BLOCK
    found = os.statvfs(tmp_path)
    assert free <= found.f_blocks * found.f_frsize
    subject, room, _, _ = watch(tmp_path, reserve=2**63)
    subject.look()
    assert room.octets < 0


def test_room_is_what_is_free_above_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    subject, room, stats, _ = watch(tmp_path)
    subject.look()
    assert room.octets == 90 * BLOCK
    assert gauges(stats) == {"fastsmtp_store_free_bytes": 100 * BLOCK, "fastsmtp_store_free_inodes": 100}
    for blocks, octets in ((11, BLOCK), (10, -1), (0, -1), (50, 40 * BLOCK)):
        disk.blocks = blocks
        subject.look()
        assert room.octets == octets


def test_without_inodes_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    subject, room, _, _ = watch(tmp_path)
    for inodes, octets in ((11, 90 * BLOCK), (10, -1), (0, -1), (11, 90 * BLOCK)):
        disk.inodes = inodes
        subject.look()
        assert room.octets == octets


def test_a_file_system_that_does_not_count_inodes_has_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch, inodes_in_all=0).inodes = 0
    subject, room, stats, _ = watch(tmp_path)
    subject.look()
    assert room.octets == 90 * BLOCK
    assert gauges(stats)["fastsmtp_store_free_inodes"] == -1


def test_a_file_system_that_counts_without_end_does_not_break_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.blocks = disk.inodes = 2**64 - 1
    subject, room, stats, _ = watch(tmp_path)
    subject.look()
    assert gauges(stats) == {"fastsmtp_store_free_bytes": 2**63 - 1, "fastsmtp_store_free_inodes": 2**63 - 1}
    assert room.octets == 2**63 - 1 - 10 * BLOCK


def test_the_log_hears_once_of_each_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastsmtp.delivery")
    disk = Disk(monkeypatch)
    subject, _, _, _ = watch(tmp_path)

    def heard() -> list[str]:
        caplog.clear()
        for _ in range(3):
            subject.look()
        return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]

    assert heard() == []
    disk.blocks = 1
    assert heard() == ["ERROR the mail root is short of space: mail is deferred"]
    disk.blocks = 100
    assert heard() == ["INFO the mail root is fine again"]
    disk.inodes = 1
    assert heard() == ["ERROR the mail root is short of inodes: mail is deferred"]
    disk.trouble = PermissionError(13, "Permission denied")
    assert heard() == ["ERROR the mail root cannot be looked at: Permission denied"]
    disk.trouble, disk.inodes = None, 100
    assert heard() == ["INFO the mail root is fine again"]


def test_what_cannot_be_looked_at_is_taken_to_be_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    subject, room, _, _ = watch(tmp_path)
    subject.look()
    disk.trouble = OSError(5, "Input/output error")
    subject.look()
    assert room.octets == 90 * BLOCK


def test_it_looks_at_once_and_every_second_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    subject, room, _, loop = watch(tmp_path)
    subject.start()
    assert room.octets == 90 * BLOCK
    for blocks in (60, 70, 80):
        disk.blocks = blocks
        assert loop.timer is not None
        assert loop.delay == 1.0
        loop.timer()
        assert room.octets == (blocks - 10) * BLOCK
    subject.stop()
    assert loop.timer is None
    subject.stop()


def test_on_a_real_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statvfs = os.statvfs

    async def main() -> None:
        subject = RoomWatch(asyncio.get_running_loop(), tmp_path, Room(), 0, 0, Stats())
        subject.start()
        looked = asyncio.Event()

        def look(path: Path) -> os.statvfs_result:
            looked.set()
            return statvfs(path)

        monkeypatch.setattr(os, "statvfs", look)
        await asyncio.wait_for(looked.wait(), 10)
        subject.stop()

    asyncio.run(main())
