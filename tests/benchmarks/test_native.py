import subprocess
import time
from pathlib import Path

import pytest

from bench import native


@pytest.fixture(autouse=True)
def own_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "BUILD", tmp_path / "build")


@pytest.mark.parametrize("name", ["load", "floor", "limits"])
def test_builds_what_is_missing_once(name: str) -> None:
    path = native.program(name)
    made = path.stat().st_mtime_ns
    assert native.program(name).stat().st_mtime_ns == made
    assert subprocess.run([path, "--no-such-option"], check=False, capture_output=True).returncode == 2


def test_builds_again_what_is_older_than_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "sources" / "a.c"
    source.parent.mkdir()
    source.write_text("int main(void) { return 3; }\n")
    monkeypatch.setattr(native, "ROOT", tmp_path)
    monkeypatch.setattr(native, "_SOURCES", {"a": "sources"})
    assert subprocess.run([native.program("a")], check=False).returncode == 3
    source.write_text("int main(void) { return 4; }\n")
    deadline = time.monotonic() + 10
    while subprocess.run([native.program("a")], check=False).returncode != 4:
        assert time.monotonic() < deadline
        source.touch()  # file systems count in steps


def test_a_mistake_in_a_source_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "sources" / "a.c"
    source.parent.mkdir()
    source.write_text("int main(void) { return nothing; }\n")
    monkeypatch.setattr(native, "ROOT", tmp_path)
    monkeypatch.setattr(native, "_SOURCES", {"a": "sources"})
    with pytest.raises(SystemExit, match=r"(?s)a cannot be built.*nothing"):
        native.program("a")


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(SystemExit, match="no compiler no-such-compiler"):
        native.program("floor")
