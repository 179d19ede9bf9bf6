"""The checkpoint file, against slots that were written by hand."""

import os
import stat
from pathlib import Path

import pytest
from segments import BLOCK, slot

from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.records import Position

OLDER, NEWER = Position(7, 4096), Position(8, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


def position(path: Path) -> Position | None:
    with Checkpoint(path) as checkpoint:
        return checkpoint.position


def test_a_new_one_knows_nothing_and_is_for_nobody_else_to_read(path: Path) -> None:
    assert position(path) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_position_goes_to_the_other_slot(path: Path) -> None:
    with Checkpoint(path) as checkpoint:
        checkpoint.write(OLDER)
        assert path.read_bytes() == bytes(BLOCK) + slot(1, OLDER)
        checkpoint.write(NEWER)
        assert path.read_bytes() == slot(2, NEWER) + slot(1, OLDER)
        assert checkpoint.position == NEWER
    with Checkpoint(path) as checkpoint:
        assert checkpoint.position == NEWER
        checkpoint.write(OLDER)
    assert path.read_bytes() == slot(2, NEWER) + slot(3, OLDER)
    assert position(path) == OLDER


@pytest.mark.parametrize("kept", [0, 7, 8, 31, BLOCK - 1, BLOCK + 31])
def test_a_file_that_is_cut_short_has_what_is_left(path: Path, kept: int) -> None:
    path.write_bytes((slot(2, NEWER) + slot(1, OLDER))[:kept])
    assert position(path) == (NEWER if kept >= 32 else None)


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (slot(4, NEWER) + slot(3, OLDER), NEWER),
        (slot(4, OLDER) + slot(5, NEWER), NEWER),
        (bytes(BLOCK) + slot(3, OLDER), OLDER),
        (slot(4, NEWER)[:16] + bytes(BLOCK - 16) + slot(3, OLDER), OLDER),
        (b"XSC1" + slot(4, NEWER)[4:] + slot(3, OLDER), OLDER),
        (bytes(2 * BLOCK), None),
        (b"\xff" * 2 * BLOCK, None),
    ],
    ids=["first", "second", "only one", "torn", "another magic", "none", "noise"],
)
def test_the_valid_slot_of_the_higher_generation_counts(path: Path, slots: bytes, expected: Position | None) -> None:
    path.write_bytes(slots)
    assert position(path) == expected


def test_a_torn_slot_is_the_one_that_is_written_next(path: Path) -> None:
    path.write_bytes(os.urandom(BLOCK) + slot(3, OLDER))
    with Checkpoint(path) as checkpoint:
        checkpoint.write(NEWER)
    assert path.read_bytes() == slot(4, NEWER) + slot(3, OLDER)


def test_a_write_that_fails_changes_nothing(path: Path) -> None:
    with Checkpoint(path) as checkpoint:
        checkpoint.write(OLDER)
    before = path.read_bytes()
    closed = Checkpoint(path)
    closed.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed.write(NEWER)
    assert closed.position == OLDER
    assert path.read_bytes() == before


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Checkpoint(path)
    assert not (tmp_path / "elsewhere").exists()
