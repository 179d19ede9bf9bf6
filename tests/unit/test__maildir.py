"""The batch writer against a real filesystem.

What only a broken one does is in integration/test_delivery_faults.py and test_journal_faults.py.
"""

import errno
import os
import resource
import select
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Thread
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segments import encode

from fastsmtp._maildir import (
    FSYNC,
    JOURNAL,
    NONE,
    Delivery,
    Failure,
    Journal,
    Owed,
    Writer,
    commit,
    sync_file_system,
)
from fastsmtp.delivery.records import Copy

ALL = pytest.mark.parametrize("durability", [NONE, FSYNC, JOURNAL], ids=["none", "fsync", "journal"])

_names = (b"%d.M1P1Q1.host" % number for number in count())


def delivery(*users: str, content: tuple[bytes, ...] = (b"\n", b"body\n"), name: bytes | None = None) -> Delivery:
    """One message to these users of example.test; each copy says whose it is in its head."""
    copies = [(b"example.test", user.encode(), name or next(_names), b"To: %b\n" % user.encode()) for user in users]
    return Delivery(copies, content)


class Ring:
    """A journal in memory."""

    def __init__(self, segments: int = 4, size: int = 65536, limit: int = 32768, lap: int = 0) -> None:
        self.size = size
        self.limit = limit
        self._descriptors = [os.memfd_create("segment") for _ in range(segments)]
        for descriptor in self._descriptors:
            os.truncate(descriptor, size)
        self.journal = Journal(self._descriptors, size, lap, limit)

    def segments(self) -> list[bytes]:
        return [os.pread(descriptor, self.size, 0) for descriptor in self._descriptors]

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


@contextmanager
def ring(segments: int = 4, size: int = 65536, limit: int = 32768, lap: int = 0) -> Iterator[Ring]:
    made = Ring(segments, size, limit, lap)
    try:
        yield made
    finally:
        made.close()


def put(
    root: Path, *batch: Delivery, durability: int = NONE, journal: Journal | None = None
) -> list[Failure | Owed | None]:
    """Commit; with JOURNAL and no journal into one that is thrown away."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if durability != JOURNAL or journal is not None:
            return commit(descriptor, batch, durability, journal)
        with ring() as made:
            return commit(descriptor, batch, durability, made.journal)
    finally:
        os.close(descriptor)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def files(root: Path) -> dict[str, bytes]:
    """Every file below the root, by its path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def expected(*batch: Delivery) -> dict[str, bytes]:
    return {
        os.fsdecode(b"%b/%b/new/%b" % (domain, user, name)): head + b"".join(message.content)
        for message in batch
        for domain, user, name, head in message.copies
    }


def descriptors() -> list[str]:
    # Opening the directory to list it is one descriptor, in every listing the same.
    return os.listdir("/proc/self/fd")  # noqa: PTH208 - a list of numbers, no paths


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """Let the process open only `spare` more descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, descriptors()))
    fillers = [os.dup(0)]
    while fillers[-1] < highest:
        fillers.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1 + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)


@ALL
def test_a_message_lies_in_every_mailbox_byte_for_byte(tmp_path: Path, durability: int) -> None:
    batch = [delivery("alice", "bob"), delivery("carol", content=()), delivery("alice", content=(b"x" * 3_000_000,))]
    assert put(tmp_path, *batch, durability=durability) == [None, None, None]
    assert files(tmp_path) == expected(*batch)


@ALL
def test_a_mailbox_is_made_on_its_first_delivery_for_nobody_else_to_read(tmp_path: Path, durability: int) -> None:
    message = delivery("alice")
    put(tmp_path, message, durability=durability)
    mailbox = tmp_path / "example.test" / "alice"
    for directory in (mailbox.parent, mailbox, mailbox / "tmp", mailbox / "new", mailbox / "cur"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    [file] = (mailbox / "new").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@ALL
@pytest.mark.parametrize("missing", ["tmp", "new", "cur"])
def test_a_mailbox_that_is_only_half_there_is_completed(tmp_path: Path, durability: int, missing: str) -> None:
    for leaf in {"tmp", "new"} - {missing}:
        (tmp_path / "example.test" / "alice" / leaf).mkdir(parents=True)
    message = delivery("alice")
    assert put(tmp_path, message, durability=durability) == [None]
    assert files(tmp_path) == expected(message)


def test_an_empty_batch_is_no_work(tmp_path: Path) -> None:
    assert put(tmp_path) == []


def test_a_message_without_a_byte_is_an_empty_file(tmp_path: Path) -> None:
    message = Delivery([(b"d", b"u", b"n", b"")], [b"", b""])
    assert put(tmp_path, message) == [None]
    assert files(tmp_path) == {"d/u/new/n": b""}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=40), st.lists(st.binary(max_size=200), max_size=8)), max_size=5))
def test_pieces_of_any_sizes_come_out_in_order(messages: list[tuple[bytes, list[bytes]]]) -> None:
    with TemporaryDirectory() as folder:
        batch = [Delivery([(b"d", b"u", next(_names), head)], content) for head, content in messages]
        assert put(Path(folder), *batch) == [None] * len(batch)
        assert files(Path(folder)) == expected(*batch)


@ALL
def test_more_pieces_than_one_system_call_takes(tmp_path: Path, durability: int) -> None:
    message = delivery("alice", "bob", content=tuple(b"%d\n" % number for number in range(5000)))
    with ring() as made:
        model = Model(made)
        assert put(tmp_path, message, durability=durability, journal=made.journal) == [None]
        if durability == JOURNAL:
            model.put([message])
        model.check()
    assert files(tmp_path) == expected(message)


@ALL
@pytest.mark.parametrize("spare", [4, 5, 40, 300])
def test_a_thousand_recipients_need_few_descriptors(tmp_path: Path, durability: int, spare: int) -> None:
    recipients = 1000 if durability == NONE else 60  # many fsyncs are slow on some disks
    batch = [delivery(*(f"user{number}" for number in range(recipients))), delivery("other")]
    before = descriptors()
    with ring() as made, few_descriptors(spare):
        assert put(tmp_path, *batch, durability=durability, journal=made.journal) == [None, None]
    assert descriptors() == before
    assert files(tmp_path) == expected(*batch)


@ALL
@pytest.mark.parametrize(("spare", "step"), [(1, "open"), (2, "open"), (3, "create")])  # one goes to the root
def test_without_a_descriptor_to_spare_nothing_is_stored(
    tmp_path: Path, durability: int, spare: int, step: str
) -> None:
    put(tmp_path, delivery("alice"), durability=durability)
    stored = files(tmp_path)
    with ring() as made, few_descriptors(spare):
        [failure] = put(tmp_path, delivery("alice"), durability=durability, journal=made.journal)
    assert isinstance(failure, Failure)
    assert (failure.errno, failure.step, failure.left_behind) == (errno.EMFILE, step, 0)
    assert files(tmp_path) == stored


def test_a_file_that_is_in_new_already_is_not_overwritten(tmp_path: Path) -> None:
    first = delivery("alice", name=b"same")
    put(tmp_path, first)
    second = delivery("bob", "alice", "carol", name=b"same", content=(b"other",))
    third = delivery("alice")
    results = put(tmp_path, second, third)
    assert results == [Failure(errno.EEXIST, "rename", "example.test/alice/new/same", 0), None]
    assert files(tmp_path) == expected(first, third)


def test_a_file_that_is_in_tmp_already_is_not_touched(tmp_path: Path) -> None:
    tmp = tmp_path / "example.test" / "alice" / "tmp"
    tmp.mkdir(parents=True)
    (tmp / "same").write_bytes(b"of another process")
    results = put(tmp_path, delivery("bob", "alice", name=b"same"))
    assert results == [Failure(errno.EEXIST, "create", "example.test/alice/tmp/same", 0)]
    assert files(tmp_path) == {"example.test/alice/tmp/same": b"of another process"}


@pytest.mark.parametrize(
    "link", ["example.test", "example.test/alice", "example.test/alice/tmp", "example.test/alice/new"]
)
def test_a_symbolic_link_is_not_followed(tmp_path: Path, link: str) -> None:
    # Whichever component the link replaces, it would lead to directories that work.
    root, outside = tmp_path / "root", tmp_path / "outside"
    for mailbox in (root / "example.test" / "alice", outside, outside / "alice"):
        for leaf in ("tmp", "new", "cur"):
            (mailbox / leaf).mkdir(parents=True)
    (root / link).rename(tmp_path / "moved")
    (root / link).symlink_to(outside)
    fine = Delivery([(b"other.test", b"bob", b"n", b"")], [b"x"])
    [failure, success] = put(root, delivery("alice"), fine)
    assert failure is not None
    assert failure.errno in (errno.ELOOP, errno.ENOTDIR)
    assert failure.step == "open"
    assert success is None
    assert files(tmp_path) == {"root/other.test/bob/new/n": b"x"}


@pytest.mark.parametrize("part", [b"", b".", b"..", b"a/b", b"/", b"a\0b", b"x" * 256])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_only_a_component_of_a_path_is_one(part: bytes, place: int) -> None:
    copy = [b"domain", b"user", b"name"]
    copy[place] = part
    with pytest.raises(ValueError, match="cannot be a component of a path"):
        Delivery([(copy[0], copy[1], copy[2], b"head")], [])


def test_the_longest_component_is_one(tmp_path: Path) -> None:
    message = Delivery([(b"d" * 255, b"u" * 255, b"n" * 255, b"head")], [])
    assert put(tmp_path, message) == [None]
    assert files(tmp_path) == expected(message)


def test_a_file_in_the_place_of_a_mailbox_fails_that_message_alone(tmp_path: Path) -> None:
    (tmp_path / "example.test").mkdir()
    (tmp_path / "example.test" / "alice").write_bytes(b"?")
    fine = delivery("bob")
    results = put(tmp_path, delivery("bob", "alice"), fine, delivery("alice", "carol"))
    assert [result and result.errno for result in results] == [errno.ENOTDIR, None, errno.ENOTDIR]
    assert files(tmp_path) == {"example.test/alice": b"?"} | expected(fine)


def test_a_root_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with file.open("rb") as handle:
        [failure] = commit(handle.fileno(), [delivery("alice")], NONE)
    assert failure == Failure(errno.ENOTDIR, "open", "example.test/alice/tmp", 0)


def test_a_mailbox_may_be_moved_between_two_batches(tmp_path: Path) -> None:
    first, second = delivery("alice"), delivery("alice")
    put(tmp_path, first)
    (tmp_path / "example.test").rename(tmp_path / "moved")
    put(tmp_path, second)
    moved = {path.replace("example.test", "moved"): content for path, content in expected(first).items()}
    assert files(tmp_path) == moved | expected(second)


def test_paths_that_are_no_text_are_reported(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    [failure] = put(tmp_path, Delivery([(b"d", b"\xff", b"n", b"")], []))
    assert failure == Failure(errno.ENOTDIR, "open", "d/\udcff/tmp", 0)


def test_threads_may_make_the_same_mailbox_at_once(tmp_path: Path) -> None:
    batches = [[delivery(f"user{number}") for number in range(20)] for _ in range(4)]
    results: list[Failure | Owed | None] = []
    threads = [Thread(target=lambda batch=batch: results.extend(put(tmp_path, *batch))) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [None] * 80
    assert files(tmp_path) == expected(*(message for batch in batches for message in batch))


def test_only_deliveries_are_delivered(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        put(tmp_path, None)  # type: ignore[arg-type] # what the compiled code must survive
    with pytest.raises(TypeError):
        Delivery([(b"d", b"u", b"n", "head")], [])  # type: ignore[list-item] # as above
    with pytest.raises(TypeError):
        Delivery([], ["text"])  # type: ignore[list-item] # as above
    assert files(tmp_path) == {}


SPOOLED = b"".join(b"%d\n" % number for number in range(50_000))


@contextmanager
def spool() -> Iterator[int]:
    """The descriptor of a file of SPOOLED that stands at its end."""
    with TemporaryFile() as file:
        file.write(SPOOLED)
        file.flush()
        yield file.fileno()
        assert file.tell() == len(SPOOLED)


@ALL
@pytest.mark.parametrize("size", [0, 1, 4096, len(SPOOLED)])
def test_a_spool_is_the_rest_of_the_content(tmp_path: Path, durability: int, size: int) -> None:
    copies = [(b"d", user, b"n", b"To: %b\n" % user) for user in (b"alice", b"bob")]
    with spool() as descriptor, ring() as made:
        message = Delivery(copies, [b"Subject: x\n", b"\n"], descriptor, size)
        assert (message.spool, message.spool_size) == (descriptor, size)
        assert put(tmp_path, message, durability=durability, journal=made.journal) == [None]
        assert made.journal.position == (0, 0)
    assert files(tmp_path) == {
        f"d/{user}/new/n": b"To: %b\nSubject: x\n\n" % user.encode() + SPOOLED[:size] for user in ("alice", "bob")
    }


@ALL
def test_a_spool_that_is_too_short_fails_the_message(tmp_path: Path, durability: int) -> None:
    with spool() as descriptor:
        short = Delivery([(b"d", b"u", b"n", b"")], [b"x"], descriptor, len(SPOOLED) + 1)
        fine = delivery("alice")
        [failure, success] = put(tmp_path, short, fine, durability=durability)
    assert failure == Failure(errno.EIO, "write", "d/u/tmp/n", 0)
    assert success is None
    assert files(tmp_path) == expected(fine)


@pytest.mark.parametrize(("descriptor", "size"), [(-1, 1), (0, -1), (-1, -1)])
def test_a_spool_is_a_descriptor_and_a_size(descriptor: int, size: int) -> None:
    with pytest.raises(ValueError, match="a spool"):
        Delivery([], [], descriptor, size)


def record(message: Delivery, lap: int, offset: int) -> bytes:
    """The bytes in the journal, padding included."""
    return encode([Copy(*copy) for copy in message.copies], b"".join(message.content), lap, offset)


class Model:
    """What the segments of a ring must hold, and where its position must be."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._segments = [bytearray(segment) for segment in ring.segments()]
        self.lap, self.offset = ring.journal.position

    def put(self, batch: Sequence[Delivery]) -> None:
        offset = -(-self.offset // 4096) * 4096
        for message in batch:
            if message.record_bytes > self._ring.limit:
                continue
            if offset + message.record_bytes > self._ring.size:
                self.lap, offset = self.lap + 1, 0
            written = record(message, self.lap, offset)
            assert len(written) == message.record_bytes
            self._segments[self.lap % len(self._segments)][offset : offset + len(written)] = written
            offset += len(written)
            self.offset = offset

    def check(self) -> None:
        assert self._ring.journal.position == (self.lap, self.offset)
        assert self._ring.segments() == self._segments


def numbered(size: int, number: int) -> Delivery:
    """A message with a record of this many bytes, a multiple of 8 from 56 on."""
    message = Delivery([(b"d", b"u", b"%08d" % number, b"")], [bytes([number % 256]) * (size - 54)])
    assert message.record_bytes == size
    return message


@pytest.mark.parametrize("size", [*range(150), *range(4090, 4120)])
def test_the_checksum_is_that_of_zlib_whatever_the_size(tmp_path: Path, size: int) -> None:
    noise = Random(size).randbytes(size)  # noqa: S311 - the same ones every time
    message = Delivery([(b"d", b"u", b"n", b"")], [noise[: size // 3], noise[size // 3 :]])
    with ring() as made:
        assert put(tmp_path, message, durability=JOURNAL, journal=made.journal) == [None]
        assert made.segments()[0].startswith(record(message, 0, 0))


def test_the_bytes_of_a_record(tmp_path: Path) -> None:
    with ring(lap=7) as made:
        message = Delivery(
            [(b"example.test", b"alice", b"1", b"To: alice\n"), (b"d", b"bob", b"2", b"")],
            [b"Subject: x\n", b"\n", b"y"],
        )
        assert put(tmp_path, message, durability=JOURNAL, journal=made.journal) == [None]
        assert made.journal.position == (7, message.record_bytes)
        segment = made.segments()[3]
    # To be compared with the description by eye; everything else in this file is compared with `record`.
    front = b"\x02\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    alice = b"\x0c\0\x05\0\x01\0\0\0\x0a\0\0\0example.testalice1To: alice\n"
    bob = b"\x01\0\x03\0\x01\0\0\0\0\0\0\0dbob2"
    whole = b"\x66\0\0\0" + front + alice + bob + b"Subject: x\n\ny"
    assert len(whole) + 8 == 0x66
    assert segment == (b"FSJ1" + crc32(whole).to_bytes(4, "little") + whole).ljust(len(segment), b"\0")
    assert record(message, 7, 0) == segment[: message.record_bytes]


part = st.binary(min_size=1, max_size=20).filter(lambda name: name not in (b".", b"..") and not {0, 47} & set(name))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.lists(st.tuples(part, part, st.binary(max_size=300)), min_size=1, max_size=3),
                st.lists(st.binary(max_size=2000), max_size=4),
            ),
            max_size=6,
        ),
        max_size=6,
    ),
    st.integers(0, 2**60),
)
def test_batch_after_batch_the_segments_hold_the_records(
    batches: list[list[tuple[list[tuple[bytes, bytes, bytes]], list[bytes]]]], lap: int
) -> None:
    with TemporaryDirectory() as folder, ring(segments=3, size=8192, limit=4096, lap=lap) as made:
        model = Model(made)
        for messages in batches:
            batch = [
                Delivery([(domain, user, next(_names), head) for domain, user, head in copies], content)
                for copies, content in messages
            ]
            while sum(message.record_bytes for message in batch) > made.journal.room:
                batch.pop()
            assert put(Path(folder), *batch, durability=JOURNAL, journal=made.journal) == [None] * len(batch)
            model.put(batch)
            model.check()
            made.journal.allow(made.journal.position[0] + 3)


def test_a_batch_begins_at_a_block_and_a_lap_at_a_segment(tmp_path: Path) -> None:
    positions: list[tuple[int, int]] = []
    with ring(segments=2, size=16384, limit=8192, lap=5) as made:
        model = Model(made)
        for sizes in ((56,), (64, 72), (4096,), (56, 4096), (8192, 8192), (8192,)):
            batch = [numbered(size, number) for number, size in enumerate(sizes, len(positions) * 10)]
            assert put(tmp_path, *batch, durability=JOURNAL, journal=made.journal) == [None] * len(batch)
            model.put(batch)
            model.check()
            positions.append(made.journal.position)
            made.journal.allow(positions[-1][0] + 2)
    assert positions == [(5, 56), (5, 4096 + 136), (5, 12288), (6, 4096), (7, 8192), (7, 16384)]


def test_only_laps_that_are_allowed_are_written(tmp_path: Path) -> None:
    with ring(segments=2, size=4096, limit=4096, lap=10) as made:
        journal = made.journal
        batch = [numbered(4096, number) for number in range(3)]
        assert journal.room == 4096  # the second segment could be left alone by a record of its own size
        results = put(tmp_path, *batch, durability=JOURNAL, journal=journal)
        assert results == [None, None, Failure(errno.ENOSPC, "append", "segment-1", 0)]
        assert files(tmp_path) == expected(*batch[:2])
        assert (journal.position, journal.room, journal.dead) == ((11, 4096), 0, 0)
        before = made.segments()
        assert put(tmp_path, batch[2], durability=JOURNAL, journal=journal) == results[2:]
        assert made.segments() == before
        with pytest.raises(ValueError, match="lap 14 would be written over lap 11"):
            journal.allow(14)
        journal.allow(13)
        assert put(tmp_path, batch[2], durability=JOURNAL, journal=journal) == [None]
        assert journal.position == (12, 4096)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(7, 512), max_size=8), max_size=6),  # in units of 8 bytes
    st.lists(st.integers(7, 512), max_size=30),
    st.integers(1, 4),
    st.integers(0, 4),
)
def test_there_is_as_much_room_as_is_said(
    before: list[list[int]], last: list[int], segments: int, allowed: int
) -> None:
    numbers = count()

    def batch(units: list[int], room: int) -> list[Delivery]:
        """Of these records as many as have room, and one that takes what is left of it."""
        chosen: list[int] = []
        for size in (8 * unit for unit in units):
            if size <= room:
                chosen.append(size)
                room -= size
        if 56 <= room <= 4096:
            chosen.append(room)
        return [numbered(size, next(numbers)) for size in chosen]

    with TemporaryDirectory() as folder, ring(segments, size=8192, limit=4096) as made:
        journal = made.journal
        assert journal.room == 8192 + (segments - 1) * 4096
        for units in before:
            filling = batch(units, journal.room)
            assert put(Path(folder), *filling, durability=JOURNAL, journal=journal) == [None] * len(filling)
            journal.allow(journal.position[0] + segments)
        journal.allow(journal.position[0] + min(allowed, segments))
        fitting = batch(last, journal.room)
        assert put(Path(folder), *fitting, durability=JOURNAL, journal=journal) == [None] * len(fitting)


def test_a_record_above_the_limit_is_synced_instead(tmp_path: Path) -> None:
    with ring(limit=1000) as made:
        batch = [numbered(1000, 1), numbered(1008, 2), numbered(56, 3)]
        assert put(tmp_path, *batch, durability=JOURNAL, journal=made.journal) == [None] * 3
        assert made.journal.position == (0, 1056)
        assert made.segments()[0][:1056] == record(batch[0], 0, 0) + record(batch[2], 0, 1000)
    assert files(tmp_path) == expected(*batch)


def test_a_message_for_nobody_is_no_record(tmp_path: Path) -> None:
    with ring() as made:
        assert put(tmp_path, Delivery([], [b"x"]), durability=JOURNAL, journal=made.journal) == [None]
        assert made.journal.position == (0, 0)
    assert files(tmp_path) == {}


def test_a_journalled_message_that_cannot_be_published_is_owed(tmp_path: Path) -> None:
    first = delivery("alice", name=b"same")
    put(tmp_path, first)
    second = delivery("bob", "alice", "carol", name=b"same", content=(b"other",))
    [owed] = put(tmp_path, second, durability=JOURNAL)
    assert owed == Owed(errno.EEXIST, "rename", "example.test/alice/new/same", (1,))
    waiting = {"example.test/alice/tmp/same": b"To: alice\nother"}
    assert files(tmp_path) == expected(second) | expected(first) | waiting


@pytest.mark.parametrize(
    ("segments", "size", "limit"),
    [(0, 4096, 0), (1, 0, 0), (1, 4095, 0), (1, 4104, 0), (1, 4096, 4097), (1, 2**33, 2**32)],
)
def test_a_journal_has_sizes_that_fit(segments: int, size: int, limit: int) -> None:
    with pytest.raises(ValueError, match=r"segment"):
        Journal([0] * segments, size, 0, limit)


def test_without_a_journal_there_is_no_journal(tmp_path: Path, root: int) -> None:
    with pytest.raises(ValueError, match="needs a journal"):
        commit(root, [delivery("alice")], JOURNAL)
    with pytest.raises(ValueError, match="needs a journal"):
        Writer(root, JOURNAL)
    assert files(tmp_path) == {}


def finished(writer: Writer) -> list[Failure | Owed | None]:
    """The results of the batch that the writer has, once its descriptor is readable."""
    readable, _, _ = select.select([writer.descriptor], [], [], 30)
    assert readable
    results = writer.finish()
    assert results is not None
    return results


def test_a_file_system_is_synced(tmp_path: Path, root: int) -> None:
    sync_file_system(root)
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        sync_file_system(-1)
    assert caught.value.errno == errno.EBADF


def test_a_writer_has_a_journal(tmp_path: Path, root: int) -> None:
    with ring() as made:
        writer = Writer(root, JOURNAL, made.journal)
        model = Model(made)
        for _ in range(20):
            batch = [delivery("alice"), delivery("alice", "bob")]
            writer.start(batch)
            assert finished(writer) == [None, None]
            model.put(batch)
            model.check()
            made.journal.allow(made.journal.position[0] + 4)
        writer.close()


@pytest.fixture
def writer(root: int) -> Iterator[Writer]:
    writer = Writer(root, NONE)
    yield writer
    writer.close()


def test_a_writer_commits_batch_after_batch(tmp_path: Path, writer: Writer) -> None:
    for number in range(50):
        name = b"%d" % number
        writer.start([Delivery([(b"example.test", b"alice", name, b"head\n")], [b"body of ", name])])
        assert finished(writer) == [None]
    new = tmp_path / "example.test/alice/new"
    assert {path.name: path.read_bytes() for path in new.iterdir()} == {
        str(number): b"head\nbody of %d" % number for number in range(50)
    }


def test_a_writer_reports_failures_like_commit(writer: Writer) -> None:
    good = Delivery([(b"example.test", b"alice", b"name", b"")], [b"x"])
    again = Delivery([(b"example.test", b"alice", b"name", b"")], [b"y"])
    writer.start([good])
    assert finished(writer) == [None]
    writer.start([again])
    [failure] = finished(writer)
    assert failure is not None
    assert (failure.errno, failure.step) == (errno.EEXIST, "rename")


def test_a_writer_has_one_batch_at_a_time(writer: Writer) -> None:
    assert writer.finish() is None
    writer.start([])
    with pytest.raises(RuntimeError, match="busy"):
        writer.start([])
    assert finished(writer) == []
    assert writer.finish() is None


def test_a_writer_that_is_closed_has_finished_its_batch(tmp_path: Path, root: int) -> None:
    writer = Writer(root, NONE)
    writer.start([Delivery([(b"example.test", b"alice", b"name", b"")], [b"x" * 1_000_000])])
    writer.close()
    assert (tmp_path / "example.test/alice/new/name").stat().st_size == 1_000_000
    writer.close()
    with pytest.raises(RuntimeError, match="closed"):
        writer.start([])


def test_a_writer_takes_only_deliveries(writer: Writer) -> None:
    with pytest.raises(TypeError):
        writer.start([None])  # type: ignore[list-item] # what mypy says is what we check
    writer.start([])
    assert finished(writer) == []


def test_writers_leave_neither_threads_nor_descriptors(root: int) -> None:
    def alive() -> tuple[int, int]:
        return len(list(Path("/proc/self/task").iterdir())), len(descriptors())

    before = alive()
    for _ in range(20):
        writer = Writer(root, NONE)
        writer.start([])
        del writer  # closes it
    assert alive() == before
