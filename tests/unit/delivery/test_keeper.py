"""Keeping the journal: held by whoever has it open, recovered as a whole or ring by ring."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from segments import Segment, write_ring

from fastsmtp.config.model import MaildirSettings
from fastsmtp.delivery import keeper as room
from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.keeper import JournalKeeper
from fastsmtp.delivery.records import Copy, Position
from fastsmtp.errors import StartError

Durability = Literal["journal", "fsync", "none"]


def settings(folder: Path, durability: Durability = "journal") -> MaildirSettings:
    return MaildirSettings.model_validate({"durability": durability}, context={"base": folder})


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[JournalKeeper]:
    for leaf in ("tmp", "new", "cur"):
        (tmp_path / "mail/d/u" / leaf).mkdir(parents=True)
    keeper = JournalKeeper(settings(tmp_path))
    yield keeper
    keeper.close()


def write(folder: Path, ring: int, name: str) -> None:
    """A ring with a message of which nothing is safe."""
    segment = Segment(65_536, 5)
    segment.batch(([Copy(b"d", b"u", name.encode(), b"Delivered-To: u@d\n")], b"content"))
    write_ring(folder / "journal" / str(ring), Position(5, 0), segment)


def stored(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "mail/d/u/new").iterdir())


def checkpoint(folder: Path, ring: int) -> Position | None:
    with Checkpoint(folder / "journal" / str(ring) / "checkpoint") as one:
        return one.position


def test_all_rings_are_recovered_and_so_many_are_kept(keeper: JournalKeeper, tmp_path: Path) -> None:
    keeper.lock()
    for ring in (0, 1, 5):
        write(tmp_path, ring, f"message-{ring}")
    keeper.recover(2, lambda *_: None)
    assert stored(tmp_path) == ["message-0", "message-1", "message-5"]
    assert sorted(path.name for path in (tmp_path / "journal").iterdir()) == ["0", "1", "lock"]


def test_one_ring_is_recovered_and_no_other_touched(keeper: JournalKeeper, tmp_path: Path) -> None:
    keeper.lock()
    for ring in (0, 1, 5):
        write(tmp_path, ring, f"message-{ring}")
    keeper.recover_ring(1)
    assert stored(tmp_path) == ["message-1"]
    assert checkpoint(tmp_path, 1) == (6, 0)
    assert checkpoint(tmp_path, 0) == checkpoint(tmp_path, 5) == (5, 0)
    keeper.recover_ring(7)


def test_a_ring_that_cannot_be_recovered_stays_as_it_is(keeper: JournalKeeper, tmp_path: Path) -> None:
    keeper.lock()
    write(tmp_path, 1, "message-1")
    (tmp_path / "mail").rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="mail"):
        keeper.recover_ring(1)
    (tmp_path / "elsewhere").rename(tmp_path / "mail")
    keeper.recover_ring(1)
    assert stored(tmp_path) == ["message-1"]


@pytest.mark.parametrize("durability", ["fsync", "none"])
def test_without_a_journal_there_is_nothing_to_keep(tmp_path: Path, durability: Durability) -> None:
    keeper = JournalKeeper(settings(tmp_path, durability))
    keeper.lock()
    keeper.recover(1, lambda *_: None)
    keeper.recover_ring(0)
    assert keeper.descriptor is None
    keeper.close()
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_there_is_kept_all_the_same(keeper: JournalKeeper, tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    write(tmp_path, 0, "message-0")
    other = JournalKeeper(settings(tmp_path, "none"))
    other.lock()
    other.recover(0, lambda *_: None)
    assert stored(tmp_path) == ["message-0"]
    other.close()


def test_it_is_held_until_the_last_process_has_let_go(
    keeper: JournalKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that was killed is dead before its workers are: the next one waits for them."""
    keeper.lock()
    keeper.lock()
    held = [descriptor for descriptor in [keeper.descriptor] if descriptor is not None]
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=held) as worker:
        keeper.close()
        keeper.close()
        second = JournalKeeper(settings(tmp_path))
        monkeypatch.setattr(room, "PATIENCE_S", 0.2)
        with pytest.raises(StartError, match="another fastsmtp uses the journal"):
            second.lock()
        monkeypatch.setattr(room, "PATIENCE_S", 20.0)
        assert worker.stdin is not None
        ending = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(0.3); os.kill({worker.pid}, 9)"])
        second.lock()
        assert worker.wait() == -9
        assert ending.wait() == 0
        second.close()


def test_progress_is_told_once_a_second(
    keeper: JournalKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keeper.lock()
    write(tmp_path, 0, "message-0")
    write(tmp_path, 1, "message-1")
    told: list[tuple[int, int]] = []
    seconds = iter(range(100))
    monkeypatch.setattr(room, "monotonic", lambda: next(seconds))
    with caplog.at_level("INFO"):
        keeper.recover(1, lambda done, total: told.append((done, total)))
    assert told
    assert all(0 <= done <= total for done, total in told)
    assert "recovering the journal: 0 of 0 MiB" in caplog.text


def test_the_lock_is_not_inherited_unless_it_is_given(keeper: JournalKeeper) -> None:
    keeper.lock()
    assert keeper.descriptor is not None
    assert not os.get_inheritable(keeper.descriptor)


def test_a_reload_may_want_a_journal_where_there_was_none(tmp_path: Path) -> None:
    keeper = JournalKeeper(settings(tmp_path, "none"))
    keeper.lock()
    before = keeper.descriptor
    keeper.lock(settings(tmp_path))
    assert (before, (tmp_path / "journal/lock").exists()) == (None, True)
    keeper.close()
