"""The stubs say what the Cython modules are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def cython_modules() -> list[str]:
    return sorted(f"fastsmtp.{path.stem}" for path in (ROOT / "fastsmtp").glob("*.pyx"))


def test_they_are_found() -> None:
    names = ("_buckets", "_clients", "_header", "_maildir", "_parser", "_process", "_salvage")
    assert cython_modules() == [f"fastsmtp.{name}" for name in names]


@pytest.mark.parametrize("module", cython_modules())
def test_the_stub_is_true(module: str) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", module], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
