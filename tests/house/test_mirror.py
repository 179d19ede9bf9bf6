"""Unit tests mirror the sources: fastsmtp/a/b.py is tested in tests/unit/a/test_b.py, and there is nothing else."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"

NEEDS_NONE = {
    "fastsmtp/__main__.py": "two lines that call the command line",
    "fastsmtp/ports.py": "protocols and plain records: there is nothing to run",
}


def modules() -> list[Path]:
    """Every module, but for those that only make a package."""
    found = [path for suffix in ("*.py", "*.pyx") for path in (ROOT / "fastsmtp").rglob(suffix)]
    found += (ROOT / "plugins").rglob("*.py")
    return sorted(path for path in found if path.stem != "__init__")


def mirror(module: Path) -> Path:
    inner = module.relative_to(ROOT)
    if inner.parts[0] == "fastsmtp":
        inner = inner.relative_to("fastsmtp")
    return UNIT / inner.parent / f"test_{module.stem}.py"


def test_every_module_has_its_test() -> None:
    missing = [
        f"{module.relative_to(ROOT)}: no {mirror(module).relative_to(ROOT)}"
        for module in modules()
        if not mirror(module).exists() and str(module.relative_to(ROOT)) not in NEEDS_NONE
    ]
    if missing:
        pytest.fail("\n".join(["", *missing]), pytrace=False)


def test_every_unit_test_has_its_module() -> None:
    mirrors = {mirror(module) for module in modules()}
    stray = [str(test.relative_to(ROOT)) for test in sorted(UNIT.rglob("test_*.py")) if test not in mirrors]
    if stray:
        pytest.fail("\n".join(["", "tests of no module:", *stray]), pytrace=False)


@pytest.mark.parametrize("module", NEEDS_NONE)
def test_the_exceptions_are_needed(module: str) -> None:
    assert (ROOT / module).exists()
