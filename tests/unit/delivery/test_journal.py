"""Rings of segments on the disk: made, reused, made anew, and used by the batch writer."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounts import mounted
from segments import BLOCK, Record, read_records

from fastsmtp._maildir import JOURNAL, Delivery, commit
from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.journal import SEGMENTS, Ring, lock, rings
from fastsmtp.delivery.records import Position
from fastsmtp.errors import StartError

SIZE = SEGMENTS * 8 * BLOCK
LIMIT = 4 * BLOCK


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "0"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "mail").mkdir()
    fd = os.open(tmp_path / "mail", os.O_RDONLY)
    yield fd
    os.close(fd)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("segment-*"))


def inodes(folder: Path) -> list[int]:
    return [path.stat().st_ino for path in segments(folder)]


def delivery(number: int, size: int) -> Delivery:
    return Delivery([(b"d", b"u", b"%d" % number, b"")], [b"x" * size])


def position_on_disk(folder: Path) -> Position | None:
    with Checkpoint(folder / "checkpoint") as checkpoint:
        return checkpoint.position


def test_a_new_ring_is_zeros_for_nobody_else_to_read(folder: Path) -> None:
    ring = Ring.open(folder, SIZE, LIMIT)
    assert [path.name for path in segments(folder)] == ["segment-0", "segment-1", "segment-2", "segment-3"]
    assert ring.segment_bytes == SIZE // SEGMENTS
    for path in segments(folder):
        assert path.read_bytes() == bytes(SIZE // SEGMENTS)
        assert path.stat().st_blocks * 512 >= SIZE // SEGMENTS
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert ring.position == ring.safe == position_on_disk(folder)
    ring.close()


def test_no_two_rings_begin_with_the_same_lap(tmp_path: Path) -> None:
    laps = set()
    for number in range(8):
        ring = Ring.open(tmp_path / str(number), SIZE, LIMIT)
        laps.add(ring.position.lap)
        ring.close()
    assert len(laps) == 8


def test_a_ring_is_used_again_with_laps_that_never_were(folder: Path) -> None:
    ring = Ring.open(folder, SIZE, LIMIT)
    ring.checkpoint(Position(ring.safe.lap + 2, BLOCK))
    last = ring.safe.lap
    ring.close()
    before = inodes(folder)
    ring = Ring.open(folder, SIZE, LIMIT)
    # Up to this one, the laps were allowed.
    assert ring.position == ring.safe == position_on_disk(folder) == (last + SEGMENTS, 0)
    assert inodes(folder) == before
    ring.close()


def test_sizes_are_whole_blocks(folder: Path) -> None:
    ring = Ring.open(folder, SIZE + SEGMENTS * BLOCK - 1, LIMIT - 1)
    assert ring.segment_bytes == SIZE // SEGMENTS
    ring.close()


def test_another_size_is_made_anew_and_the_laps_go_on(folder: Path) -> None:
    ring = Ring.open(folder, SIZE, LIMIT)
    lap = ring.safe.lap
    ring.close()
    ring = Ring.open(folder, 2 * SIZE, LIMIT)
    assert [path.read_bytes() for path in segments(folder)] == [bytes(2 * SIZE // SEGMENTS)] * SEGMENTS
    assert ring.position == (lap + SEGMENTS, 0)
    ring.close()


def test_what_was_made_half_is_made_again(folder: Path) -> None:
    Ring.open(folder, SIZE, LIMIT).close()
    before = inodes(folder)
    (folder / "segment-1").rename(folder / "segment-1.making")
    os.truncate(folder / "segment-1.making", BLOCK)
    (folder / "segment-2").write_bytes(b"short")
    ring = Ring.open(folder, SIZE, LIMIT)
    after = inodes(folder)
    assert (after[0], after[3]) == (before[0], before[3])
    assert [path.read_bytes() for path in segments(folder)] == [bytes(SIZE // SEGMENTS)] * SEGMENTS
    ring.close()


@pytest.mark.parametrize("damage", [b"", bytes(2 * BLOCK), b"\xff" * 2 * BLOCK])
def test_without_a_checkpoint_nothing_of_the_past_is_kept(folder: Path, damage: bytes, root: int) -> None:
    ring = Ring.open(folder, SIZE, LIMIT)
    assert commit(root, [delivery(1, 100)], JOURNAL, ring.journal) == [None]
    ring.close()
    (folder / "checkpoint").write_bytes(damage)
    Ring.open(folder, SIZE, LIMIT).close()
    assert [path.read_bytes() for path in segments(folder)] == [bytes(SIZE // SEGMENTS)] * SEGMENTS


def test_a_checkpoint_gives_segments_free(folder: Path, root: int) -> None:
    ring = Ring.open(folder, SIZE, LIMIT)
    first = ring.position
    assert not ring.has_news(first)
    number = 0
    results: list[object] = []
    while None not in results or results[-1] is None:
        results += commit(root, [delivery(number, 3 * BLOCK)], JOURNAL, ring.journal)
        number += 1
        assert ring.has_news(ring.position)
        assert ring.needs_checkpoint(ring.position) == (ring.position.lap > first.lap)
    assert ring.position.lap == first.lap + SEGMENTS - 1
    full = ring.position
    ring.checkpoint(full)
    assert ring.safe == position_on_disk(folder) == full
    assert not ring.has_news(full)
    assert not ring.needs_checkpoint(full)
    ring.release()
    assert commit(root, [delivery(number, 3 * BLOCK)], JOURNAL, ring.journal) == [None]
    assert ring.position.lap == full.lap + 1
    [record] = read_records((folder / f"segment-{ring.position.lap % SEGMENTS}").read_bytes(), ring.safe)
    assert isinstance(record, Record)
    assert record.copies[0].name == b"%d" % number
    ring.close()


def test_a_ring_that_is_closed_leaves_no_descriptor(folder: Path) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - a list of numbers, no paths
    Ring.open(folder, SIZE, LIMIT).close()
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - the same


def test_a_journal_that_could_not_hold_its_records_is_refused(folder: Path) -> None:
    with pytest.raises(
        StartError, match=r"maildir.journal_size is 124KiB, and it must be 128KiB at least .*4 segments"
    ):
        Ring.open(folder, 124 * 1024, 16 * 1024)
    Ring.open(folder, 128 * 1024, 16 * 1024).close()


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"file/0 \(maildir.journal\) cannot be used: Not a directory"):
        Ring.open(tmp_path / "file" / "0", SIZE, LIMIT)
    with pytest.raises(StartError, match=r"file \(maildir.journal\) cannot be used"):
        lock(tmp_path / "file")
    with pytest.raises(StartError, match=r"file/journal \(maildir.journal\) cannot be used: Not a directory"):
        lock(tmp_path / "file" / "journal")


def test_a_segment_is_never_a_symbolic_link(folder: Path, tmp_path: Path) -> None:
    Ring.open(folder, SIZE, LIMIT).close()
    (folder / "segment-0").rename(tmp_path / "elsewhere")
    (folder / "segment-0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartError, match="symbolic links"):
        Ring.open(folder, SIZE, LIMIT)


def test_one_server_at_a_time(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    held = lock(journal)
    assert stat.S_IMODE(journal.stat().st_mode) == 0o700
    assert stat.S_IMODE((journal / "lock").stat().st_mode) == 0o600
    with pytest.raises(StartError, match=f"another fastsmtp uses the journal {journal}; .*maildir.journal"):
        lock(journal)
    os.close(held)
    os.close(lock(journal))


def test_rings_are_listed_by_worker(tmp_path: Path) -> None:
    assert rings(tmp_path / "journal") == []
    for name in ("10", "2", "0", "x", "-1", "1.old"):
        (tmp_path / name).mkdir()
    (tmp_path / "3").touch()
    assert [path.name for path in rings(tmp_path)] == ["0", "2", "10"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=2m"):
        yield disk


def fill(disk: Path, *, free: int) -> None:
    status = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - free)


def test_a_small_disk_has_a_small_journal(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(small_disk, free=1024 * 1024)
    with caplog.at_level(logging.WARNING):
        ring = Ring.open(small_disk / "0", 1024 * 1024, LIMIT)
    assert ring.segment_bytes == 1024 * 1024 // 4 // SEGMENTS
    [record] = caplog.records
    assert "has 256KiB instead of the 1024KiB of maildir.journal_size" in record.getMessage()
    ring.close()
    (small_disk / "filler").unlink()
    caplog.clear()
    ring = Ring.open(small_disk / "0", 384 * 1024, LIMIT)
    assert ring.segment_bytes == 384 * 1024 // SEGMENTS
    ring.close()
    # What there is already needs no room.
    fill(small_disk, free=0)
    Ring.open(small_disk / "0", 384 * 1024, LIMIT).close()
    assert not caplog.records


def test_a_disk_that_is_too_small_is_told(small_disk: Path) -> None:
    fill(small_disk, free=400 * 1024)
    with pytest.raises(StartError, match=r"400KiB are free, .* 128KiB are needed at least .*free 112KiB"):
        Ring.open(small_disk / "0", 1024 * 1024, LIMIT)
    assert segments(small_disk / "0") == []
