"""Old files in tmp/ go, and nothing else does."""

import logging
import os
import time
from pathlib import Path

import pytest

from fastsmtp.delivery.sweep import sweep

NOW = 2_000_000_000.0
HOUR_S = 3600


def put(path: Path, age_h: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    os.utime(path, (NOW, NOW - age_h * HOUR_S), follow_symlinks=False)
    return path


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_only_old_files_in_tmp_go(tmp_path: Path) -> None:
    stray = [put(tmp_path / mailbox / "tmp" / name, 37) for mailbox in ("a/x", "a/y", "b/x") for name in ("1", "2")]
    stray.append(put(tmp_path / ".lost+found" / "tmp" / "1", 1000))
    put(tmp_path / "a/x/tmp/young", 35)
    put(tmp_path / "a/x/tmp/folder/file", 37)
    for place in ("a/x/new/1", "a/x/cur/1", "a/tmp/1", "tmp/1", "a/x/1", ".lost+found/new/1", ".lost+found/x/tmp/1"):
        put(tmp_path / place, 1000)
    expected = tree(tmp_path) - {str(path.relative_to(tmp_path)) for path in stray}
    assert sweep(tmp_path, now=NOW) == len(stray)
    assert tree(tmp_path) == expected
    assert sweep(tmp_path, now=NOW) == 0


def test_the_age_is_the_callers(tmp_path: Path) -> None:
    put(tmp_path / "a/x/tmp/1", 1)
    assert sweep(tmp_path, 2 * HOUR_S, now=NOW) == 0
    assert sweep(tmp_path, HOUR_S / 2, now=NOW) == 1


def test_symbolic_links_are_neither_followed_nor_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "mail"
    outside = put(tmp_path / "outside/x/tmp/1", 1000)
    (root / "a/x/tmp").mkdir(parents=True)
    (root / "a/x/tmp/link").symlink_to(outside)
    os.utime(root / "a/x/tmp/link", (0, 0), follow_symlinks=False)
    (root / "b").symlink_to(tmp_path / "outside")
    (root / "a/y").symlink_to(tmp_path / "outside/x")
    (root / "a/z").mkdir()
    (root / "a/z/tmp").symlink_to(outside.parent)
    before = tree(tmp_path)
    assert sweep(root, now=NOW) == 0
    assert tree(tmp_path) == before
    assert not caplog.records


def test_files_where_folders_should_be_do_not_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for place in ("file", "a/file", "a/x/tmp"):
        put(tmp_path / place, 1000)
    assert sweep(tmp_path, now=NOW) == 0
    assert sweep(tmp_path / "nowhere", now=NOW) == 0
    assert not caplog.records


def test_what_cannot_be_removed_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may remove everything")
    for mailbox in ("a/x", "a/y"):
        put(tmp_path / mailbox / "tmp" / "1", 1000)
        (tmp_path / mailbox / "tmp").chmod(0o500)
    put(tmp_path / "b/x/tmp/1", 1000)
    (tmp_path / "c").mkdir(0)
    (tmp_path / "lost+found").mkdir(0)
    with caplog.at_level(logging.DEBUG):
        assert sweep(tmp_path, now=NOW) == 1
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "in 3 places; the first: " in record.getMessage()
    assert "Permission denied" in record.getMessage()


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    put(tmp_path / "a/x/tmp/1", 1000)
    put(tmp_path / ".lost+found/tmp/1", 1)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - a list of numbers, no paths
    sweep(tmp_path, now=NOW)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - the same


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    for user in range(5):
        tmp = tmp_path / "example.test" / f"user{user}" / "tmp"
        tmp.mkdir(parents=True)
        (tmp / "stray").touch()
    answers = iter([False, False, True])
    assert sweep(tmp_path, older_than_s=-3600, now=time.time(), is_enough=lambda: next(answers)) == 2
