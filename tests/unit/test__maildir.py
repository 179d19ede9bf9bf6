"""The batch writer against a real filesystem; what only a broken one does is in integration/test_delivery_faults.py."""

import errno
import os
import resource
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmtp._maildir import FSYNC, NONE, Delivery, Failure, Writer, commit

BOTH = pytest.mark.parametrize("durability", [NONE, FSYNC], ids=["none", "fsync"])

_names = (b"%d.M1P1Q1.host" % number for number in count())


def delivery(*users: str, content: tuple[bytes, ...] = (b"\n", b"body\n"), name: bytes | None = None) -> Delivery:
    """One message to these users of example.test; each copy says whose it is in its head."""
    copies = [(b"example.test", user.encode(), name or next(_names), b"To: %b\n" % user.encode()) for user in users]
    return Delivery(copies, content)


def put(root: Path, *batch: Delivery, durability: int = NONE) -> list[Failure | None]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return commit(descriptor, batch, durability)
    finally:
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


@BOTH
def test_a_message_lies_in_every_mailbox_byte_for_byte(tmp_path: Path, durability: int) -> None:
    batch = [delivery("alice", "bob"), delivery("carol", content=()), delivery("alice", content=(b"x" * 3_000_000,))]
    assert put(tmp_path, *batch, durability=durability) == [None, None, None]
    assert files(tmp_path) == expected(*batch)


@BOTH
def test_a_mailbox_is_made_on_its_first_delivery_for_nobody_else_to_read(tmp_path: Path, durability: int) -> None:
    message = delivery("alice")
    put(tmp_path, message, durability=durability)
    mailbox = tmp_path / "example.test" / "alice"
    for directory in (mailbox.parent, mailbox, mailbox / "tmp", mailbox / "new", mailbox / "cur"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    [file] = (mailbox / "new").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("missing", ["tmp", "new", "cur"])
def test_a_mailbox_that_is_only_half_there_is_completed(tmp_path: Path, missing: str) -> None:
    for leaf in {"tmp", "new"} - {missing}:
        (tmp_path / "example.test" / "alice" / leaf).mkdir(parents=True)
    message = delivery("alice")
    assert put(tmp_path, message, durability=FSYNC) == [None]
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


def test_more_pieces_than_one_system_call_takes(tmp_path: Path) -> None:
    message = delivery("alice", "bob", content=tuple(b"%d\n" % number for number in range(5000)))
    assert put(tmp_path, message) == [None]
    assert files(tmp_path) == expected(message)


@BOTH
@pytest.mark.parametrize("spare", [4, 5, 40, 300])
def test_a_thousand_recipients_need_few_descriptors(tmp_path: Path, durability: int, spare: int) -> None:
    recipients = 1000 if durability == NONE else 60  # many fsyncs are slow on some disks
    batch = [delivery(*(f"user{number}" for number in range(recipients))), delivery("other")]
    before = descriptors()
    with few_descriptors(spare):
        assert put(tmp_path, *batch, durability=durability) == [None, None]
    assert descriptors() == before
    assert files(tmp_path) == expected(*batch)


@BOTH
@pytest.mark.parametrize(("spare", "step"), [(1, "open"), (2, "open"), (3, "create")])  # one goes to the root
def test_without_a_descriptor_to_spare_nothing_is_stored(
    tmp_path: Path, durability: int, spare: int, step: str
) -> None:
    put(tmp_path, delivery("alice"), durability=durability)
    stored = files(tmp_path)
    with few_descriptors(spare):
        [failure] = put(tmp_path, delivery("alice"), durability=durability)
    assert failure is not None
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
    results: list[Failure | None] = []
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


def finished(writer: Writer) -> list[Failure | None]:
    """The results of the batch that the writer has, once its descriptor is readable."""
    readable, _, _ = select.select([writer.descriptor], [], [], 30)
    assert readable
    results = writer.finish()
    assert results is not None
    return results


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


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
