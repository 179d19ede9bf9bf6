"""What may be left after a power cut, call by call."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration.powercut.cuts import Cuts
from integration.powercut.disk import RUBBISH, SECTOR, Change, Disk, File, State, ordered
from integration.powercut.recording import Event, Kind

ROOT, TMP, NEW, A, B = 1, 2, 3, 11, 12
"""Inodes, in place of real ones."""


class Story:
    """A disk and what is done to it; below the root are `tmp` and `new`, on the disk."""

    def __init__(self, folder: Path) -> None:
        self._at = 0
        self.disk = Disk(folder)
        root = folder.stat().st_ino
        self.make(Kind.MKDIR, TMP, root, "tmp")
        self.make(Kind.MKDIR, NEW, root, "new")
        self.sync()

    def do(self, kind: Kind, first: int = 0, second: int = 0, one: bytes = b"", two: bytes = b"") -> None:
        self._at += 1
        self.disk.apply(Event(self._at, kind, first, second, one, two))

    def make(self, kind: Kind, inode: int, parent: int, name: str) -> None:
        self.do(kind, inode, parent, name.encode())

    def write(self, inode: int, data: bytes, offset: int = 0) -> None:
        self.do(Kind.WRITE, inode, offset, data)

    def rename(self, name: str, old: int = TMP, new: int = NEW) -> None:
        self.do(Kind.RENAME, old, new, name.encode(), name.encode())

    def sync(self, inode: int = 0, begun: int | None = None) -> None:
        """Of one inode, or of all; it began now, or after so many events."""
        self.do(Kind.SYNC, inode, self._at + 1 if begun is None else begun + 1)

    @property
    def now(self) -> int:
        return self._at

    def cuts(self, each: int = 50) -> list[tuple[str, State]]:
        """What may be left, with the sort of the cut."""
        cuts = Cuts(self.disk, Random(1)).some(each)  # noqa: S311 - wants a seed
        return [(cut.story, self.disk.state([change.number for change in cut.names], cut.fates)) for cut in cuts]

    def left(self) -> set[frozenset[tuple[str, bytes]]]:
        """All that may be left where no block is spoilt, as files with their bytes."""
        states = (frozenset((path, data) for path, (_, data) in state.files.items()) for _, state in self.cuts())
        return {files for files in states if not any(RUBBISH in data for _, data in files)}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def files(**content: bytes) -> frozenset[tuple[str, bytes]]:
    return frozenset((path.replace("_", "/"), data) for path, data in content.items())


def test_nothing_is_certain_without_a_sync(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.write(A, b"bytes")
    assert story.left() >= {files(), files(tmp_a=b""), files(tmp_a=b"\0\0\0\0\0"), files(tmp_a=b"bytes")}


def test_a_synced_file_may_have_lost_its_name(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.write(A, b"bytes")
    story.sync(A)
    assert story.left() == {files(), files(tmp_a=b"bytes")}


def test_a_synced_name_may_have_lost_its_bytes(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.write(A, b"bytes")
    story.sync(TMP)
    assert story.left() >= {files(tmp_a=b""), files(tmp_a=b"\0\0\0\0\0"), files(tmp_a=b"bytes")}
    assert files() not in story.left()


def test_what_was_synced_stays(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.write(A, b"bytes")
    story.sync(A)
    story.sync(TMP)
    assert story.left() == {files(tmp_a=b"bytes")}
    story.write(A, b"BYTES and more")
    assert {dict(left)["tmp/a"][:5] for left in story.left()} == {b"bytes", b"BYTES"}
    story.sync()
    assert story.left() == {files(tmp_a=b"BYTES and more")}


def test_a_sync_covers_what_was_there_when_it_began(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.write(A, b"one")
    begun = story.now
    story.write(A, b"two")
    story.make(Kind.CREATE, B, TMP, "b")
    story.sync(begun=begun)
    assert story.left() == {
        files(tmp_a=b"one"),
        files(tmp_a=b"two"),
        files(tmp_a=b"one", tmp_b=b""),
        files(tmp_a=b"two", tmp_b=b""),
    }


def test_a_rename_is_two_changes_of_which_one_may_be_there(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.sync()
    story.rename("a")
    assert story.left() == {files(tmp_a=b""), files(new_a=b""), files(tmp_a=b"", new_a=b""), files()}
    story.sync(NEW)
    assert story.left() == {files(new_a=b""), files(tmp_a=b"", new_a=b"")}
    story.sync(TMP)
    assert story.left() == {files(new_a=b"")}


def test_on_a_journalled_file_system_a_rename_is_whole_and_in_order(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.make(Kind.CREATE, B, TMP, "b")
    story.rename("a")
    story.rename("b")
    for sort, state in story.cuts():
        if sort.startswith("names in"):
            assert set(state.files) in [set(), {"tmp/a"}, {"tmp/a", "tmp/b"}, {"new/a", "tmp/b"}, {"new/a", "new/b"}]
    story.sync(NEW)
    assert {frozenset(state.files) for sort, state in story.cuts() if sort.startswith("names in")} == {
        frozenset({"new/a", "new/b"})
    }
    assert {frozenset(state.files) for _, state in story.cuts()} > {frozenset({"new/a", "new/b"})}


def test_one_name_kept_brings_those_before_it(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.make(Kind.CREATE, B, NEW, "b")
    story.rename("a")
    changes = story.disk.unsynced_names()
    create_a, create_b, remove_a, add_a = changes

    def with_(*kept: Change) -> list[Change]:
        return list(ordered(changes, kept))

    assert with_() == []
    assert with_(create_a) == [create_a]
    assert with_(create_b) == [create_b]
    assert with_(remove_a) == with_(add_a) == changes


def test_what_lies_in_a_lost_directory_is_lost(story: Story) -> None:
    story.make(Kind.MKDIR, 21, NEW, "box")
    story.make(Kind.CREATE, A, 21, "a")
    story.sync(21)
    assert story.left() == {files(), frozenset({("new/box/a", b"")})}
    story.sync(NEW)
    assert story.left() == {frozenset({("new/box/a", b"")})}


def test_removals_may_be_undone(story: Story) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.write(A, b"bytes")
    story.sync()
    story.do(Kind.UNLINK, TMP, one=b"a")
    assert story.left() == {files(), files(tmp_a=b"bytes")}
    story.make(Kind.CREATE, A, TMP, "a")  # its inode is used again
    assert story.left() == {files(), files(tmp_a=b"bytes"), files(tmp_a=b"")}


def test_files_without_names_leave_nothing(story: Story) -> None:
    story.do(Kind.NAMELESS, A)
    story.write(A, b"bytes")
    assert story.left() == {files()}
    assert story.disk.unsynced_files() == []
    story.make(Kind.LINK, A, NEW, "a")
    assert files(new_a=b"bytes") in story.left()


def test_two_names_of_one_file_are_written_as_such(story: Story, tmp_path: Path) -> None:
    story.make(Kind.CREATE, A, TMP, "a")
    story.write(A, b"bytes")
    story.make(Kind.LINK, A, NEW, "b")
    story.sync()
    [state] = {state for _, state in story.cuts()}
    state.write(tmp_path / "after")
    assert (tmp_path / "after/tmp/a").samefile(tmp_path / "after/new/b")
    assert (tmp_path / "after/new/b").read_bytes() == b"bytes"
    assert Disk(tmp_path / "after").unsynced_names() == []


def test_a_disk_begins_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "a").write_bytes(b"old")
    (tmp_path / "b").hardlink_to(tmp_path / "box" / "a")
    disk = Disk(tmp_path)
    disk.apply(Event(1, Kind.WRITE, (tmp_path / "b").stat().st_ino, 0, b"new"))
    [file] = disk.unsynced_files()
    before, after = disk.state([], {}), disk.state([], {file.number: "kept"})
    assert before.directories == ("box",)
    assert [(path, data) for path, (_, data) in before.files.items()] == [("b", b"old"), ("box/a", b"old")]
    assert [data for _, data in after.files.values()] == [b"new", b"new"]


def test_bytes_are_torn_by_sectors() -> None:
    file = File(1, synced=b"a" * 8192)
    file.pending += [(1, 5000, b"b" * 3192), (2, 4096, b"c" * 8192)]
    seen = set[tuple[int, bytes]]()
    for seed in range(2000):
        content = file.content(seed)
        assert content[:4096] == b"a" * 4096
        assert 8192 <= len(content) <= 12288
        assert len(content) % SECTOR == 0
        seen |= {(start, content[start : start + SECTOR][-1:]) for start in range(4096, len(content), SECTOR)}
    first, second, third = range(4096, 5000 - SECTOR, SECTOR), range(4608, 8192, SECTOR), range(8192, 12288, SECTOR)
    expected = {(start, byte) for start in first for byte in (b"a", b"c", RUBBISH)}
    expected |= {(start, byte) for start in second for byte in (b"a", b"b", b"c", RUBBISH)}
    assert seen == expected | {(start, byte) for start in third for byte in (b"\0", b"c", RUBBISH)}


def test_a_block_that_is_written_again_may_be_spoilt() -> None:
    file = File(1, synced=b"a" * 100, pending=[(1, 100, b"b" * 100)])
    assert any(file.content(seed).startswith(RUBBISH * 100) for seed in range(50))


_writes = st.lists(
    st.tuples(st.integers(0, 3000), st.one_of(st.none(), st.binary(min_size=1, max_size=2000))), max_size=5
)


@given(_writes, _writes, st.integers(0, 1000))
def test_a_file_is_what_its_writes_make_of_it(
    before: list[tuple[int, bytes | None]], after: list[tuple[int, bytes | None]], seed: int
) -> None:
    def made_by(writes: list[tuple[int, bytes | None]]) -> bytes:
        content = bytearray()
        for offset, data in writes:
            if data is None:
                content = content[:offset].ljust(offset, b"\0")
            else:
                content = content.ljust(offset, b"\0")
                content[offset : offset + len(data)] = data
        return bytes(content)

    file = File(1, pending=[(at, offset, data) for at, (offset, data) in enumerate(before + after)])
    file.sync(len(before))
    assert file.content("lost") == made_by(before)
    assert file.content("kept") == made_by(before + after)
    assert len(file.content("size")) == len(made_by(before + after))
    sizes = [len(made_by((before + after)[:count])) for count in (len(before), len(before) + len(after))]
    assert min(sizes) <= len(file.content(seed)) <= max(sizes)
    file.sync(len(before + after))
    assert file.content(seed) == made_by(before + after)
