"""The maildirsize file and what it stands for, in mailboxes of every kind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsmtp.delivery import maildirsize
from fastsmtp.delivery.maildirsize import Sizes, Usage, open_mailbox


def make_mailbox(root: Path, domain: str = "example.test", user: str = "ann") -> Path:
    folder = root / domain / user
    for leaf in ("tmp", "new", "cur"):
        (folder / leaf).mkdir(parents=True)
    return folder


@contextmanager
def opened(root: Path, domain: str = "example.test", user: str = "ann") -> Iterator[int]:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open_mailbox(fd, domain, user) as mailbox:
            yield mailbox
    finally:
        os.close(fd)


def what_it_says(root: Path) -> Sizes | None:
    with opened(root) as mailbox:
        found = maildirsize.read(mailbox)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("content", "sizes"),
    [
        (b"1000S\n0 0\n", Sizes(1000, Usage(0, 0))),
        (b"1000S,20C\n300 2\n-100 -1\n", Sizes(1000, Usage(200, 1))),
        (b"20C,1000S\n300 2\n", Sizes(1000, Usage(300, 2))),
        (b"1000S\n         100          1\n  -50\t-0  \n", Sizes(1000, Usage(50, 1))),
        (b"20C\n1 1\n", Sizes(None, Usage(1, 1))),
        (b"0S\n1 1\n", Sizes(None, Usage(1, 1))),
        (b"9223372036854775807S\n1 1\n", Sizes(2**63 - 1, Usage(1, 1))),
    ],
)
def test_what_a_file_says(content: bytes, sizes: Sizes) -> None:
    assert maildirsize.parse(content) == sizes


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"1000S",
        b"1000S\n",
        b"1000S\n1 1",
        b"1000S\n1 1\n2",
        b"1000\n1 1\n",
        b"S\n1 1\n",
        b"-1000S\n1 1\n",
        b"1000S,\n1 1\n",
        b"1000S\n\n1 1\n",
        b"1000S\n1\n",
        b"1000S\n1 1 1\n",
        b"1000S\n+1 1\n",
        b"1000S\n1 1\r\n",
        b"1000S\n1_0 1\n",
        b"1000S\n\xd9\xa1 1\n",
        b"1000S\n" + b"9" * 5000 + b" 1\n",
        b"1000S\n1 1\n\0\0\0\0\n",
        b"1000S\n1 1\n-2 1\n",
        b"1000S\n1 1\n1 -2\n",
    ],
)
def test_what_is_nothing_to_rely_on(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        maildirsize.parse(content)
    (make_mailbox(tmp_path) / "maildirsize").write_bytes(content)
    assert what_it_says(tmp_path) is None


def test_a_long_file_is_nothing_to_rely_on(tmp_path: Path) -> None:
    file = make_mailbox(tmp_path) / "maildirsize"
    content = b"1000S\n1 1".ljust(maildirsize.BYTES - 1) + b"\n"
    file.write_bytes(content)
    assert what_it_says(tmp_path) == Sizes(1000, Usage(1, 1))
    file.write_bytes(b"1" + content)
    assert what_it_says(tmp_path) is None


def test_what_is_written_can_be_read_and_added_to(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path)
    with opened(tmp_path) as mailbox:
        assert maildirsize.read(mailbox) is None
        with pytest.raises(FileNotFoundError):
            maildirsize.append(mailbox, 1, 1)
        written = maildirsize.write(mailbox, Sizes(1000, Usage(300, 2)))
        assert maildirsize.read(mailbox) == (Sizes(1000, Usage(300, 2)), written)
        length, stamp = maildirsize.append(mailbox, -100, -1)
        assert stamp == (written.inode, stamp.mtime_ns, written.length + length)
        assert maildirsize.read(mailbox) == (Sizes(1000, Usage(200, 1)), stamp)
        assert maildirsize.write(mailbox, Sizes(2000, Usage(0, 0))).inode != written.inode
    file = folder / "maildirsize"
    assert file.read_bytes() == b"2000S\n0 0\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list((folder / "tmp").iterdir()) == []


def test_its_stamp_from_outside_is_that_from_inside(tmp_path: Path) -> None:
    make_mailbox(tmp_path)
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert maildirsize.look(root, "example.test", "ann") is None
        with opened(tmp_path) as mailbox:
            stamp = maildirsize.write(mailbox, Sizes(1000, Usage(0, 0)))
        assert maildirsize.look(root, "example.test", "ann") == stamp
    finally:
        os.close(root)


APPENDER = """
import os, sys
from fastsmtp.delivery import maildirsize
mailbox = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
sys.stdin.read()
for size in range(1, 101):
    maildirsize.append(mailbox, size, 1)
"""


def test_lines_of_several_processes_stand_behind_each_other(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path)
    with opened(tmp_path) as mailbox:
        maildirsize.write(mailbox, Sizes(1000, Usage(7, 1)))
    command = [sys.executable, "-c", APPENDER, str(folder)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()  # now, all of them
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert what_it_says(tmp_path) == Sizes(1000, Usage(7 + 4 * 5050, 401))


def test_counting(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path)
    (folder / "new" / "1.a,S=1000").touch()  # the name is believed: no look at the file
    (folder / "cur" / "2.a,S=200:2,S").touch()
    (folder / "cur" / "3.a,S=30,W=31:2,").touch()
    (folder / "cur" / "4.a:2,S").write_bytes(b"1234")
    (folder / "cur" / "5.a,S=x:2,").write_bytes(b"5")
    (folder / "cur" / ".hidden").write_bytes(b"hidden")
    (folder / "cur" / "folder,S=9").mkdir()
    (folder / "tmp" / "6.a,S=10").touch()
    (folder / "7.a,S=10").touch()
    for place in (".Sent/cur", ".Sent/new", ".A.B/cur", ".\udcff/cur", "no/cur", ".Sent/.X/cur"):
        (folder / place).mkdir(parents=True)
    (folder / ".Sent" / "cur" / "8.a,S=10000").touch()
    (folder / ".Sent" / "new" / "9.a,S=20000").touch()
    (folder / ".A.B" / "cur" / "10.a,S=100000").touch()
    (folder / ".\udcff" / "cur" / "\udcfe,S=200000").touch()
    (folder / "no" / "cur" / "11.a,S=1").touch()
    (folder / ".Sent" / ".X" / "cur" / "12.a,S=1").touch()
    (folder / ".file").touch()
    with opened(tmp_path) as mailbox:
        assert maildirsize.count(mailbox) == Usage(331_235, 9)


def test_a_mailbox_with_half_of_its_folders_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "example.test" / "ann"
    folder.mkdir(parents=True)
    (folder / ".Sent").mkdir()
    with opened(tmp_path) as mailbox:
        assert maildirsize.count(mailbox) == Usage(0, 0)
    (folder / "cur").write_bytes(b"no folder")
    with opened(tmp_path) as mailbox:
        assert maildirsize.count(mailbox) == Usage(0, 0)


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "mail"
    folder = make_mailbox(root)
    outside = make_mailbox(tmp_path, "outside", "x")
    (outside / "cur" / "1.a,S=1").touch()
    (outside / "maildirsize").write_bytes(b"1000S\n5 5\n")
    (folder / ".Sent").symlink_to(outside)
    (folder / ".Mine").mkdir()
    (folder / ".Mine" / "cur").symlink_to(outside / "cur")
    (folder / "new" / "2.a,S=1").symlink_to(outside / "maildirsize")
    (folder / "new" / "3.a").symlink_to(outside / "maildirsize")
    (folder / "maildirsize").symlink_to(outside / "maildirsize")
    with opened(root) as mailbox:
        assert maildirsize.count(mailbox) == Usage(0, 0)
        assert maildirsize.read(mailbox) is None
        with pytest.raises(OSError, match="symbolic"):
            maildirsize.append(mailbox, 1, 1)
        maildirsize.write(mailbox, Sizes(1000, Usage(0, 0)))
        assert not (folder / "maildirsize").is_symlink()
    assert (outside / "maildirsize").read_bytes() == b"1000S\n5 5\n"
    (root / "example.test" / "bob").symlink_to(outside)
    (root / "outside").symlink_to(tmp_path / "outside")
    for domain, user in (("example.test", "bob"), ("outside", "x")):
        with pytest.raises(OSError, match=r"symbolic|Not a directory"), opened(root, domain, user):
            pytest.fail("a link was followed")


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "/etc", "a\0b", "\udc80"])
def test_a_mailbox_lies_below_the_root(part: str, tmp_path: Path) -> None:
    make_mailbox(tmp_path, "a", "b")
    for domain, user in ((part, "b"), ("a", part)):
        with pytest.raises(ValueError, match=r"no name of a folder|surrogates"), opened(tmp_path, domain, user):
            pytest.fail("it was opened")


def test_a_file_that_is_none_is_nothing_to_rely_on(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path)
    os.mkfifo(folder / "maildirsize")
    assert what_it_says(tmp_path) is None  # and nobody waits for a writer
    with opened(tmp_path) as mailbox, pytest.raises(OSError, match="No such device"):
        maildirsize.append(mailbox, 1, 1)
    (folder / "maildirsize").unlink()
    (folder / "maildirsize").mkdir()
    assert what_it_says(tmp_path) is None
    with opened(tmp_path) as mailbox, pytest.raises(OSError, match="Is a directory"):
        maildirsize.write(mailbox, Sizes(1000, Usage(0, 0)))
    assert list((folder / "tmp").iterdir()) == []


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    folder = make_mailbox(tmp_path)
    (folder / ".Sent" / "cur").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a list of numbers, no paths
    with opened(tmp_path) as mailbox:
        maildirsize.write(mailbox, Sizes(1000, Usage(0, 0)))
        maildirsize.append(mailbox, 1, 1)
        maildirsize.read(mailbox)
        maildirsize.count(mailbox)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
