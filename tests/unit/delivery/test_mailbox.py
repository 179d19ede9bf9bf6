"""One mailbox, as a crash may have left it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.delivery.mailbox import Mailbox, make_directory, open_directory

NAME = b"1.M1P1Q1R1.host,S=5"
FILE = {NAME: b"whole"}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    for leaf in ("tmp", "new", "cur"):
        (tmp_path / "domain" / "user" / leaf).mkdir(parents=True)
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def mailbox(root: int) -> Iterator[Mailbox]:
    with Mailbox(root, b"domain", b"user") as mailbox:
        yield mailbox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "domain" / "user"


def path(folder: Path, leaf: str, behind: str = "") -> Path:
    return folder / leaf / (os.fsdecode(NAME) + behind)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_there_when_its_bytes_are(mailbox: Mailbox, folder: Path) -> None:
    assert mailbox.in_new(FILE) == set()
    for data, expected in [(b"", set()), (b"whol", set()), (b"\0" * 5, set()), (b"whole", {NAME}), (b"whole.", set())]:
        path(folder, "new").write_bytes(data)
        assert mailbox.in_new(FILE) == expected


def test_what_is_no_file_is_not_there(mailbox: Mailbox, folder: Path, tmp_path: Path) -> None:
    new = path(folder, "new")
    (tmp_path / "elsewhere").write_bytes(b"whole")
    new.symlink_to(tmp_path / "elsewhere")
    assert mailbox.in_new(FILE) == set()
    new.unlink()
    os.mkfifo(new)
    assert mailbox.in_new(FILE) == set()
    new.unlink()
    new.mkdir()
    assert mailbox.in_new(FILE) == set()


@pytest.mark.parametrize("behind", ["", ":2,", ":2,RS", ",W=7:2,S", ":1,anything"])
def test_a_reader_may_have_taken_it(mailbox: Mailbox, folder: Path, behind: str) -> None:
    path(folder, "cur", behind).write_bytes(b"whole")
    assert mailbox.in_cur(FILE) == {NAME}
    path(folder, "cur", behind).write_bytes(b"torn!")
    assert mailbox.in_cur(FILE) == set()


def test_many_are_looked_for_at_once(mailbox: Mailbox, folder: Path) -> None:
    wanted = {b"%d" % number: b"content %d" % number for number in range(30)}
    for name, data in wanted.items():
        if int(name) % 3:
            (folder / "cur" / f"{os.fsdecode(name)}:2,S").write_bytes(data)
    (folder / "cur" / "others").write_bytes(b"")
    assert mailbox.in_cur(wanted) == {name for name in wanted if int(name) % 3}


def test_a_longer_name_is_another(mailbox: Mailbox, folder: Path) -> None:
    path(folder, "cur", "5:2,S").write_bytes(b"whole")
    assert mailbox.in_cur(FILE) == set()


def test_there_may_be_no_cur(mailbox: Mailbox, folder: Path) -> None:
    (folder / "cur").rmdir()
    assert mailbox.in_cur(FILE) == set()


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("in_new", [None, b"", b"torn", b"\0" * 5])
@pytest.mark.parametrize("in_tmp", [None, b"", b"torn", b"whole"])
def test_a_file_is_put_over_whatever_is_there(
    mailbox: Mailbox, folder: Path, durable: bool, in_new: bytes | None, in_tmp: bytes | None
) -> None:
    for leaf, data in (("new", in_new), ("tmp", in_tmp)):
        if data is not None:
            path(folder, leaf).write_bytes(data)
    mailbox.put(NAME, b"whole", durable=durable)
    assert files(folder) == {f"new/{os.fsdecode(NAME)}": b"whole"}


def test_a_new_file_is_for_nobody_else_to_read(mailbox: Mailbox, folder: Path) -> None:
    mailbox.put(NAME, b"whole", durable=False)
    assert stat.S_IMODE(path(folder, "new").stat().st_mode) == 0o600


def test_what_is_written_already_is_moved(mailbox: Mailbox, folder: Path) -> None:
    path(folder, "tmp").write_bytes(b"whole")
    inode = path(folder, "tmp").stat().st_ino
    mailbox.put(NAME, b"whole", durable=True)
    assert path(folder, "new").stat().st_ino == inode


def test_a_symbolic_link_in_tmp_is_replaced_and_not_followed(mailbox: Mailbox, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    path(folder, "tmp").symlink_to(tmp_path / "elsewhere")
    path(folder, "new").symlink_to(tmp_path / "elsewhere")
    mailbox.put(NAME, b"whole", durable=True)
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
    assert files(folder) == {f"new/{os.fsdecode(NAME)}": b"whole"}
    assert not path(folder, "new").is_symlink()


NO_MAILBOXES = [
    (place, what)
    for place in ("domain", "domain/user", "domain/user/new", "domain/user/tmp")
    for what in ("gone", "link", "file")
    if (place, what) != ("domain/user/tmp", "gone")
]


@pytest.mark.parametrize(("place", "what"), NO_MAILBOXES)
def test_a_mailbox_that_is_none_is_not_opened(root: int, tmp_path: Path, place: str, what: str) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a list of numbers, no paths
    (tmp_path / place).rename(tmp_path / "elsewhere")
    if what == "link":
        (tmp_path / place).symlink_to(tmp_path / "elsewhere")
    elif what == "file":
        (tmp_path / place).touch()
    with pytest.raises(OSError, match=r"No such|Not a directory|symbolic links"):
        Mailbox(root, b"domain", b"user")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same


def test_a_power_cut_may_have_taken_tmp(root: int, tmp_path: Path) -> None:
    (tmp_path / "domain/user/tmp").rmdir()
    with Mailbox(root, b"domain", b"user") as mailbox:
        mailbox.put(NAME, b"whole", durable=True)
    assert files(tmp_path / "domain/user") == {f"new/{os.fsdecode(NAME)}": b"whole"}


def test_it_knows_its_device(mailbox: Mailbox, folder: Path) -> None:
    assert mailbox.device == folder.stat().st_dev


def test_a_directory_is_made_once(root: int, tmp_path: Path) -> None:
    for _ in range(2):
        make_directory(root, b"made")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700


def test_a_directory_is_opened_by_its_components(root: int, tmp_path: Path) -> None:
    fd = open_directory(root, "domain", b"user", "cur")
    assert os.path.samestat(os.fstat(fd), (tmp_path / "domain/user/cur").stat())
    os.close(fd)
