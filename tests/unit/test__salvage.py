"""What a recovery does without the GIL, against a real file system; the whole of it is in delivery/test_recovery.py."""

import errno
import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mounts import mounted
from segments import BLOCK, Segment, encode

from fastsmtp._salvage import Salvage, next_header, whole_records
from fastsmtp.delivery.records import Copy

ALICE = Copy(b"d", b"alice", b"1.M1P1Q1.host,S=7", b"head\n")
BOB = Copy(b"d", b"bob", b"1.M1P1Q2.host", b"")


def record(*copies: Copy, content: bytes = b"content\n") -> tuple[bytes, int, int]:
    data = encode(copies, content, 1, 0)
    return data, 0, len(data)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a list of numbers, no paths


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"-"
        for path in folder.rglob("*")
        if not path.is_dir()
    }


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    for user in ("alice", "bob"):
        for leaf in ("tmp", "new", "cur"):
            (tmp_path / "d" / user / leaf).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def root(mail: Path) -> Iterator[int]:
    fd = os.open(mail, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


# ---------------------------------------------------------------- records


def test_whole_records_of_a_lap_in_a_row() -> None:
    segment = Segment(4 * BLOCK, lap=3)
    offsets = segment.batch(((ALICE,), b"one"), ((), b""), ((BOB, ALICE), b"three"))
    end = segment.offset
    data = bytes(segment.data)
    assert whole_records(data, 0, 3, len(data)) == end
    assert whole_records(data, offsets[1], 3, len(data)) == end
    assert whole_records(data, 0, 3, 2**64 - 1) == end
    assert [whole_records(data, 0, 3, limit) for limit in (0, 1, offsets[1], offsets[1] + 1)] == [
        0,
        offsets[1],
        offsets[1],
        offsets[2],
    ]
    assert whole_records(data, 0, 4, len(data)) == 0
    assert whole_records(data, 8, 3, len(data)) == 8
    assert whole_records(data[: end - 8], 0, 3, end) == offsets[2]
    for place in (len(data) - 8, len(data), len(data) + 1, 2**64 - 1):
        assert whole_records(data, place, 3, 2**64 - 1) == place


@given(st.data())
def test_a_record_with_a_flipped_bit_is_not_whole(data: st.DataObject) -> None:
    spoiled = bytearray(record(ALICE, BOB)[0])
    length = int.from_bytes(spoiled[8:12], "little")
    bit = data.draw(st.integers(0, length * 8 - 1))
    spoiled[bit // 8] ^= 1 << bit % 8
    assert whole_records(bytes(spoiled), 0, 1, 1) == 0


def test_the_next_header_has_two_of_three() -> None:
    segment = Segment(8 * BLOCK, lap=3)
    segment.batch(((ALICE,), b"x" * 3 * BLOCK))
    [offset] = segment.batch(((BOB,), b""))
    data = bytes(segment.data)
    assert next_header(data, BLOCK, 3, 0) == offset
    assert next_header(data, offset, 3, 0) == offset
    assert next_header(data, BLOCK, 3, 4) >= len(data)  # too old
    assert next_header(data, offset + 8, 3, 0) >= len(data)
    for place, size in ((0, 4), (16, 8), (24, 8)):
        spoiled = bytearray(data)
        spoiled[offset + place : offset + place + size] = b"\xff" * size
        assert next_header(bytes(spoiled), BLOCK, 3, 0) == offset
        spoiled[offset : offset + 4] = b"\xff" * 4
        spoiled[offset + 24 : offset + 32] = b"\xff" * 8
        assert next_header(bytes(spoiled), BLOCK, 3, 0) >= len(data)


@pytest.mark.parametrize("size", [0, 1, 31])
def test_nothing_is_read_beyond_the_end(size: int) -> None:
    assert whole_records(bytes(size), 0, 0, 2**64 - 1) == 0
    assert next_header(bytes(size), 0, 0, 0) == 0


@given(st.binary(max_size=100), st.integers(0, 200), st.integers(0, 200))
def test_what_is_no_record_is_refused(noise: bytes, first: int, end: int) -> None:
    if first < end:
        with pytest.raises(ValueError, match="no record at"):
            Salvage(-1, [(noise, first, end)])
    else:
        assert len(Salvage(-1, [(noise, first, end)])) == 0


@pytest.mark.parametrize("wrong", [[(b"", 0)], [b"", 0, 0], [(bytearray(8), 0, 8)], [(b"", -1, 0)], None])
def test_stretches_are_what_the_stub_says(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        Salvage(-1, wrong)  # type: ignore[arg-type] # what mypy says is what we check


# ---------------------------------------------------------------- copies


def test_copies_are_restored_once(mail: Path, root: int) -> None:
    stretches = [record(ALICE, BOB), record(BOB._replace(name=b"other"), content=b"x" * 200_000)]
    before = descriptors()
    salvage = Salvage(root, stretches)
    assert (salvage.records, len(salvage)) == (2, 3)
    assert salvage.restore(0, 3) == (0, 3)
    assert salvage.left() == []
    assert tree(mail) == {
        "d/alice/new/1.M1P1Q1.host,S=7": b"head\ncontent\n",
        "d/bob/new/1.M1P1Q2.host": b"content\n",
        "d/bob/new/other": b"x" * 200_000,
    }
    assert stat.S_IMODE((mail / "d/bob/new/other").stat().st_mode) == 0o600
    inodes = {path: path.stat().st_ino for path in mail.rglob("*")}
    again = Salvage(root, stretches)
    assert again.restore(0, 3) == (3, 0)
    assert {path: path.stat().st_ino for path in mail.rglob("*")} == inodes
    assert descriptors() == before


def test_it_may_be_done_in_parts(mail: Path, root: int) -> None:
    copies = [Copy(b"d", (b"alice", b"bob")[number % 2], b"%d" % number, b"") for number in range(10)]
    salvage = Salvage(root, [record(*copies[:5]), record(*copies[5:])])
    assert [salvage.restore(first, min(first + 3, 10)) for first in range(0, 10, 3)] == [(0, 3), (0, 3), (0, 3), (0, 1)]
    assert salvage.restore(4, 4) == (0, 0)
    assert len(tree(mail)) == 10
    for first, end in ((-1, 2), (0, 11), (3, 2), (11, 11)):
        with pytest.raises(IndexError):
            salvage.restore(first, end)


def test_what_nobody_has_restored_is_left(root: int) -> None:
    salvage = Salvage(root, [record(ALICE, BOB, content=b"\0x")])
    assert salvage.left() == [(ALICE, b"\0x"), (BOB, b"\0x")]
    salvage.restore(1, 2)
    assert salvage.left() == [(ALICE, b"\0x")]


def test_the_last_record_of_a_name_is_in_the_mailbox(mail: Path, root: int) -> None:
    salvage = Salvage(root, [record(BOB, content=b"first"), record(BOB, content=b"last")])
    assert salvage.restore(0, 2) == (0, 2)
    assert tree(mail) == {"d/bob/new/1.M1P1Q2.host": b"last"}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=50), st.binary(max_size=70_000), st.data())
def test_any_other_byte_is_replaced(head: bytes, content: bytes, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        for leaf in ("tmp", "new"):
            (Path(folder) / "d/bob" / leaf).mkdir(parents=True)
        file = Path(folder) / "d/bob/new" / os.fsdecode(BOB.name)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            stretch = record(BOB._replace(head=head), content=content)
            whole = head + content
            at = data.draw(st.integers(0, len(whole)))
            flipped = whole[:at] + bytes(byte ^ 1 for byte in whole[at : at + 1]) + whole[at + 1 :]
            for other in ({whole[:at], whole + b"\0", flipped} - {whole}) | {whole}:
                file.write_bytes(other)
                assert Salvage(fd, [stretch]).restore(0, 1) == ((1, 0) if other == whole else (0, 1))
                assert file.read_bytes() == whole
        finally:
            os.close(fd)


ENTRIES = [
    ("{}", True),
    ("{}:2,", True),
    ("{}:2,RS", True),
    ("{},W=9:2,S", True),
    ("{}x:2,S", False),
    ("x{}:2,S", False),
    ("{}.:2,S", False),
]


@pytest.mark.parametrize("copy", [ALICE, BOB], ids=["alice", "bob"])
@pytest.mark.parametrize(("entry", "counts"), ENTRIES)
@pytest.mark.parametrize("content", [b"content\n", b"another\n"])
def test_what_was_read_is_there(mail: Path, root: int, copy: Copy, entry: str, counts: bool, content: bytes) -> None:
    others = [copy._replace(name=copy.name + b"%d" % number) for number in range(3)]
    others += [copy._replace(name=name) for name in (b"1", b"1.M1P1Q", b"zz")]
    name = os.fsdecode(copy.name)
    (mail / "d" / os.fsdecode(copy.user) / "cur" / entry.format(name)).write_bytes(copy.head + content)
    salvage = Salvage(root, [record(*others, copy)])
    present = counts and content == b"content\n"
    assert salvage.restore(0, len(salvage)) == (present, len(others) + 1 - present)
    assert (mail / "d" / os.fsdecode(copy.user) / "new" / name).exists() is not present


def test_without_cur_nobody_has_read_anything(mail: Path, root: int) -> None:
    (mail / "d/bob/cur").rmdir()
    assert Salvage(root, [record(BOB)]).restore(0, 1) == (0, 1)


@pytest.mark.parametrize("there", [b"content\n", b"conte", b""], ids=["whole", "torn", "empty"])
@pytest.mark.parametrize("also_in_new", [True, False])
def test_what_lies_in_tmp_is_used_when_it_is_whole(mail: Path, root: int, there: bytes, also_in_new: bool) -> None:
    tmp, new = (mail / "d/bob" / leaf / os.fsdecode(BOB.name) for leaf in ("tmp", "new"))
    tmp.write_bytes(there)
    inode = tmp.stat().st_ino
    if also_in_new:
        new.write_bytes(b"torn")
    assert Salvage(root, [record(BOB)]).restore(0, 1) == (0, 1)
    assert tree(mail) == {"d/bob/new/1.M1P1Q2.host": b"content\n"}
    if there == b"content\n":
        assert new.stat().st_ino == inode


# ---------------------------------------------------------------- what is left to others


def a_directory(path: Path) -> None:
    path.mkdir()
    (path / "inside").touch()


def a_link(path: Path) -> None:
    path.symlink_to("/dev/null")


def instead(directory: Path, make: Callable[[Path], object]) -> None:
    directory.rmdir()
    make(directory)


LEFT: dict[str, Callable[[Path], object]] = {
    "no tmp": lambda mailbox: instead(mailbox / "tmp", Path),
    "no new": lambda mailbox: instead(mailbox / "new", Path),
    "no mailbox": lambda mailbox: mailbox.rename(mailbox.parent / "elsewhere"),
    "no directory": lambda mailbox: instead(mailbox / "new", lambda new: new.write_bytes(b"")),
    "a link": lambda mailbox: instead(mailbox / "new", a_link),
    "cur is a link": lambda mailbox: instead(mailbox / "cur", a_link),
    "a directory in new": lambda mailbox: a_directory(mailbox / "new" / os.fsdecode(BOB.name)),
    "a directory in tmp": lambda mailbox: a_directory(mailbox / "tmp" / os.fsdecode(BOB.name)),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_is_not_ordinary_is_left(mail: Path, root: int, what: str) -> None:
    LEFT[what](mail / "d/bob")
    before = tree(mail)
    open_ones = descriptors()
    salvage = Salvage(root, [record(BOB, ALICE)])
    assert salvage.restore(0, 2) == (0, 1)
    assert salvage.left() == [(BOB, b"content\n")]
    after = tree(mail)
    after.pop("d/bob/tmp/1.M1P1Q2.host", None)  # written, and not to be renamed
    assert after == {**before, "d/alice/new/1.M1P1Q1.host,S=7": b"head\ncontent\n"}
    assert descriptors() == open_ones


def test_what_a_sync_of_the_root_does_not_reach_is_left(mail: Path, root: int) -> None:
    with mounted(mail / "d/bob", "size=1m"):
        for leaf in ("tmp", "new", "cur"):
            (mail / "d/bob" / leaf).mkdir()
        salvage = Salvage(root, [record(BOB), record(BOB._replace(name=b"here"))])
        (mail / "d/bob/new/here").write_bytes(b"content\n")
        assert salvage.restore(0, 2) == (1, 0)
        assert salvage.left() == [(BOB, b"content\n")]
        assert tree(mail) == {"d/bob/new/here": b"content\n"}


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_what_is_no_file_of_ours_is_replaced(mail: Path, root: int, what: str) -> None:
    file = mail / "d/bob/new" / os.fsdecode(BOB.name)
    if what == "link":
        a_link(file)
    else:
        os.mkfifo(file)
    assert Salvage(root, [record(BOB)]).restore(0, 1) == (0, 1)
    assert file.is_file()
    assert not file.is_symlink()
    assert file.read_bytes() == b"content\n"


def test_without_descriptors_all_is_left(mail: Path, root: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    salvage = Salvage(root, [record(BOB, ALICE)])
    highest = max(map(int, descriptors()))
    for more in range(4):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + more, limits[1]))
        try:
            present, restored = salvage.restore(0, 2)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert present + restored + len(salvage.left()) == 2
    assert salvage.restore(0, 2)[0] + len(salvage.left()) <= 2
    assert not list(mail.rglob("tmp/*"))


def test_on_a_full_disk_nothing_is_left_behind(mail: Path, root: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    salvage = Salvage(root, [record(BOB, content=b"x" * 5000)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        assert salvage.restore(0, 1) == (0, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert salvage.left() == [(BOB, b"x" * 5000)]
    assert tree(mail) == {}
    assert salvage.restore(0, 1) == (0, 1)
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        (mail / "d/bob/tmp" / os.fsdecode(BOB.name)).stat()
