"""The batch writer of a Maildir tree: what results mean to the client, and room in the journal."""

import errno
import math
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsmtp import _maildir
from fastsmtp.delivery.checkpointer import Checkpointer
from fastsmtp.delivery.journal import Ring
from fastsmtp.delivery.writer import Item, MaildirWriter, reply_to_errno
from fastsmtp.smtp.replies import MAILBOX_FULL, STORE_FULL, STORE_MISCONFIGURED, STORE_TROUBLE, Reply
from fastsmtp.stats import Stats

LIMIT = 16_384
SIZE = 64 * LIMIT


def item(user: str, name: str = "n") -> Item:
    copies = [(b"example.test", user.encode(), name.encode(), b"To: x\n")]
    return Item("T1", _maildir.Delivery(copies, [b"\nbody\n"]), None)


@contextmanager
def writer(root: Path, durability: int, ring: Ring | None = None) -> Iterator[MaildirWriter]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    subject = MaildirWriter(descriptor, durability, ring)
    if ring is not None:
        subject.checkpointer = Checkpointer(ring, descriptor, lambda: None, Stats())
    try:
        yield subject
    finally:
        subject.close()
        os.close(descriptor)


def write(subject: MaildirWriter, *items: Item) -> list[Reply]:
    subject.start(list(items))
    assert select.select([subject.open()], [], [], 30)[0]
    replies = subject.finish()
    assert replies is not None
    return replies


@pytest.mark.parametrize(
    ("number", "reply"),
    [
        (errno.ENOSPC, STORE_FULL),
        (errno.EDQUOT, MAILBOX_FULL),
        *((number, STORE_MISCONFIGURED) for number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)),
        *((number, STORE_MISCONFIGURED) for number in (errno.ELOOP, errno.ENOTDIR)),
        *((number, STORE_TROUBLE) for number in (errno.EIO, errno.EMFILE, errno.ENOENT, errno.EEXIST, 9999)),
    ],
)
def test_what_the_client_hears_of_an_errno(number: int, reply: Reply) -> None:
    assert reply_to_errno(number) is reply


def test_without_a_journal_there_is_room_for_everything(tmp_path: Path) -> None:
    with writer(tmp_path, _maildir.FSYNC) as subject:
        assert subject.room() == math.inf
        assert subject.finish() is None
        assert [str(reply) for reply in write(subject, item("alice"))] == ["250 2.0.0 stored as T1"]
    assert [path.name for path in tmp_path.glob("example.test/alice/new/*")] == ["n"]


def test_a_failure_is_a_4xx_and_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "example.test").touch()
    with writer(tmp_path, _maildir.NONE) as subject:
        assert subject.write_now(item("alice")) is STORE_MISCONFIGURED
    assert [record.message for record in caplog.records] == [
        "T1 not stored: open 'example.test/alice/tmp': ENOTDIR",
    ]


def test_the_room_is_that_of_the_journal_and_a_checkpoint_makes_more(tmp_path: Path) -> None:
    ring = Ring.open(tmp_path / "journal", SIZE, LIMIT)
    with writer(tmp_path, _maildir.JOURNAL, ring) as subject:
        at_first = subject.room()
        number = 0
        while (room := subject.room()) > LIMIT:
            number += 1
            assert write(subject, item("alice", f"n{number}"))[0].code == 250
        assert room < at_first <= SIZE
        ring.checkpoint(ring.position)
        assert subject.room() > LIMIT
    ring.close()


def test_a_promised_message_that_no_mailbox_takes_is_a_250_and_a_debt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = Ring.open(tmp_path / "journal", SIZE, LIMIT)
    with writer(tmp_path, _maildir.JOURNAL, ring) as subject:
        # Somebody has a file of this name already, which is found out only when the message is in the journal.
        assert write(subject, item("alice"))[0].code == 250
        assert write(subject, item("alice"))[0].code == 250
        [record] = caplog.records
        assert record.message == "T1 only in the journal yet: rename 'example.test/alice/new/n': EEXIST"
    ring.close()
