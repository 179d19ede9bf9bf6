import logging
import os
import stat
from pathlib import Path

import pytest

from fastsmtp.errors import StartError
from fastsmtp.server.processes.pid_file import PidFile


def test_it_is_there_until_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    file = PidFile(path)
    before = os.umask(0o077)
    file.write()
    os.umask(before)
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]
    file.remove()
    assert list(tmp_path.iterdir()) == []
    file.remove()


def test_a_stale_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("4194304\n")
    PidFile(path).write()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Started by root, in a folder of somebody else."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "pid").symlink_to(tmp_path / "precious")
    PidFile(tmp_path / "pid").write()
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "pid").is_symlink()


def test_that_of_another_process_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    file = PidFile(path)
    file.write()
    path.write_text("1\n")
    file.remove()
    assert path.read_text() == "1\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"cannot write .*/nowhere/pid: No such file or directory; change process.pid"):
        PidFile(tmp_path / "nowhere" / "pid").write()


def test_who_may_not_remove_it_empties_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "pid"
    file = PidFile(path)
    file.write()
    monkeypatch.setattr(Path, "unlink", forbidden)
    file.remove()
    assert path.read_bytes() == b""
    file.write()
    monkeypatch.setattr(os, "truncate", forbidden)
    with caplog.at_level(logging.WARNING):
        file.remove()
    assert "cannot be removed: Operation not permitted" in caplog.text


def test_it_may_belong_to_somebody_else(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a file away")
    PidFile(tmp_path / "pid").write((65_534, 65_534))
    status = (tmp_path / "pid").stat()
    assert (status.st_uid, status.st_gid) == (65_534, 65_534)
