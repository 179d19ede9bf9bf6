"""The journal is freed behind what is safe, and never behind what is owed."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp import _maildir
from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.checkpointer import Checkpointer
from fastsmtp.delivery.journal import CHECKPOINT, Ring
from fastsmtp.delivery.records import Position
from fastsmtp.delivery.recovery import recover
from fastsmtp.stats import Stats

PATIENCE_S = 30
LIMIT = 4096
SIZE = 32 * LIMIT
NEVER_S = 3600.0
NO_DESCRIPTOR = -1


class World:
    """A ring and a mail root, and what becomes of them."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal"
        self.root = folder / "mail"
        self.root.mkdir()
        self.journal.mkdir()
        self.descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        self.ring = Ring.open(self.journal / "0", SIZE, LIMIT)
        self.freed = 0
        self.stats = Stats()
        self._number = 0

    def checkpointer(self, every_s: float = NEVER_S, root: int | None = None) -> Checkpointer:
        descriptor = self.descriptor if root is None else root
        return Checkpointer(self.ring, descriptor, self._free, self.stats, every_s=every_s)

    def _free(self) -> None:
        self.freed += 1
        self.ring.release()

    def store(self, checkpointer: Checkpointer, name: str | None = None) -> None:
        """One message to alice, in the journal and, if that is possible, in the mailbox."""
        self._number += 1
        file = name or f"n{self._number}"
        message = _maildir.Delivery([(b"example.test", b"alice", file.encode(), b"To: alice\n")], [b"\n", b"x" * 2000])
        [result] = _maildir.commit(self.descriptor, [message], _maildir.JOURNAL, self.ring.journal)
        assert not isinstance(result, _maildir.Failure)
        if result is not None:
            checkpointer.owe(message, result)
        checkpointer.published()

    def on_disk(self) -> Position | None:
        with Checkpoint(self.journal / "0" / CHECKPOINT) as checkpoint:
            return checkpoint.position

    def value(self, name: str, *labels: str) -> int:
        [family] = [family for family in self.stats.families() if family.name == name]
        return self.stats.cells[self.stats.cell(family, *labels)]

    def names(self, folder: str = "example.test/alice/new") -> set[str]:
        return {path.name for path in (self.root / folder).iterdir()}

    def close(self) -> None:
        self.ring.close()
        os.close(self.descriptor)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, PATIENCE_S))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is on the disk and sets no event; `run` has the limit
        await asyncio.sleep(0.001)


def test_a_full_segment_makes_a_checkpoint(world: World) -> None:
    async def main() -> None:
        subject = world.checkpointer()
        subject.start()
        first_lap = world.ring.position.lap
        while world.ring.position.lap == first_lap:
            world.store(subject)
        await until(lambda: world.freed == 1)
        assert world.on_disk() == world.ring.safe == world.ring.position
        await subject.close()

    run(main())
    assert world.value("fastsmtp_journal_checkpoints_total", "done") == 1


def test_what_is_new_gets_a_checkpoint_in_time_and_only_once(world: World) -> None:
    async def main() -> None:
        subject = world.checkpointer(every_s=0.001)
        subject.start()
        world.store(subject)
        await until(lambda: world.ring.safe == world.ring.position)
        await asyncio.sleep(0.05)  # nothing new: the disk may sleep
        await subject.close()

    run(main())
    assert world.freed == 1


def test_closing_leaves_nothing_to_recover(world: World) -> None:
    async def main() -> None:
        subject = world.checkpointer()
        subject.start()
        world.store(subject)
        assert world.freed == 0
        await subject.close()
        await subject.close()

    run(main())
    assert recover(world.journal, world.root, 1, lambda *_: None).records == 0


def test_what_is_owed_is_put_into_its_mailbox(world: World) -> None:
    world.ring.release()

    async def main() -> None:
        subject = world.checkpointer()
        subject.start()
        world.store(subject, "n")
        in_the_way = world.root / "example.test/alice/new/n"
        in_the_way.write_bytes(b"torn")  # the next file of this name cannot be renamed
        world.store(subject, "n")
        assert world.value("fastsmtp_journal_owed_messages") == 1
        await until(lambda: in_the_way.read_bytes() == b"To: alice\n\n" + b"x" * 2000)
        await subject.close()
        assert world.ring.safe == world.ring.position

    run(main())
    assert world.value("fastsmtp_journal_owed_messages") == 0
    assert world.names("example.test/alice/tmp") == set()


def test_the_checkpoint_does_not_pass_what_is_owed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    (world.root / ".lost+found").touch()  # neither the mailbox takes it, nor lost+found

    async def main() -> None:
        subject = world.checkpointer()
        subject.start()
        world.store(subject, "n")
        before = world.ring.position
        (world.root / "example.test/alice/new/n").unlink()
        (world.root / "example.test/alice/new/n").mkdir()
        world.store(subject, "n")
        world.store(subject)
        await subject.close()
        assert world.ring.safe == before < world.ring.position
        assert world.on_disk() == before

    run(main())
    assert any("in the journal only" in record.message for record in caplog.records)
    (world.root / ".lost+found").unlink()
    (world.root / "example.test/alice/new/n").rmdir()
    recovered = recover(world.journal, world.root, 1, lambda *_: None)
    assert (recovered.records, recovered.present, recovered.restored) == (2, 1, 1)
    assert world.names() == {"n", "n3"}


def test_what_cannot_be_paid_keeps_nobody_waiting_and_is_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.root / ".lost+found").touch()
    new = world.root / "example.test/alice/new"

    async def main() -> None:
        subject = world.checkpointer(every_s=0.001)
        subject.start()
        for name in ("stuck", "late"):
            world.store(subject, name)
            (new / name).unlink()
            (new / name).mkdir()
        world.store(subject, "stuck")
        world.store(subject, "late")
        await until(lambda: len(caplog.records) == 2)
        (new / "late").rmdir()
        await until(lambda: world.value("fastsmtp_journal_owed_messages") == 1)
        assert (new / "late").is_file()
        await subject.close()

    run(main())
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_a_sync_that_fails_is_the_end_of_promises(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        subject = world.checkpointer(every_s=0.001, root=NO_DESCRIPTOR)
        before = world.ring.safe
        subject.start()
        world.store(subject)
        await until(lambda: subject.has_failed)
        await subject.close()
        assert world.on_disk() == world.ring.safe == before

    run(main())
    assert world.freed == 0
    assert world.value("fastsmtp_journal_checkpoints_total", "failed") == 1
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
