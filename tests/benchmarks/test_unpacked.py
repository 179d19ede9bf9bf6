import os
import subprocess
from pathlib import Path

import pytest

from bench.peers import unpacked


@pytest.fixture(autouse=True)
def own_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unpacked, "BUILD", tmp_path)
    return tmp_path


def test_what_is_installed_runs_as_it_is() -> None:
    assert not unpacked.is_unpacked("exim")
    assert unpacked.within("exim", ["exim4", "--version"]) == ["exim4", "--version"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_what_is_unpacked_is_seen_by_itself_only(own_build: Path) -> None:
    tree = own_build / "peers/debian/exim"
    (tree / "usr/share").mkdir(parents=True)
    (tree / "usr/share/only-here").write_text("seen")
    assert unpacked.is_unpacked("exim")
    command = unpacked.within("exim", ["cat", "/usr/share/only-here"])
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "mount:" in done.stderr:
        pytest.skip(f"no overlay here: {done.stderr}")
    assert done.stdout == "seen"
    assert not Path("/usr/share/only-here").exists()
