"""One copy, by hand: into its mailbox, or into lost+found."""

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.delivery.records import Copy
from fastsmtp.delivery.restorer import Restorer


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for leaf in ("tmp", "new", "cur"):
        (tmp_path / "a/x" / leaf).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def restorer(root: Path) -> Iterator[Restorer]:
    fd = os.open(root, os.O_RDONLY)
    yield Restorer(fd)
    os.close(fd)


@pytest.mark.parametrize(
    "content", [b"one two", memoryview(b"one two"), [b"one ", b"two"], iter((b"one", b" two")), (b"one two", b"")]
)
def test_a_copy_is_restored_from_whatever_its_content_is_in(
    restorer: Restorer, root: Path, content: bytes | memoryview | list[bytes]
) -> None:
    copy = Copy(b"a", b"x", b"name", b"head\n")
    assert restorer.restore(copy, content) == "restored"
    assert tree(root) == {"a/x/new/name": b"head\none two"}
    assert restorer.restore(copy, b"one two") == "present"
    shutil.rmtree(root / "a/x")
    assert restorer.restore(copy, b"one two") == "lost"
    assert tree(root) == {".lost+found/new/name": b"head\none two"}
    assert restorer.restore(copy, b"one two") == "lost"


def test_a_shortage_of_descriptors_is_no_reason_to_give_a_mailbox_up(root: Path) -> None:
    fd = os.open(root, os.O_RDONLY)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            Restorer(fd).restore(Copy(b"a", b"x", b"name", b""), b"content")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(fd)
    assert tree(root) == {}
