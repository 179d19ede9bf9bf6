"""docs/plugins.md has every hook, every plugin that ships with every option, and code that works."""

import dataclasses
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import pytest

from fastsmtp.pipeline.loader import ENTRY_POINTS
from fastsmtp.plugin import Stage

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
SHIPPED = sorted(path.stem for path in (ROOT / "plugins").glob("*.py") if path.stem != "__init__")


def plugin_class(name: str) -> Any:
    (point,) = entry_points(group=ENTRY_POINTS, name=name)
    return point.load()


@pytest.mark.parametrize("hook", ["start", *(stage.value for stage in Stage), "stop"])
def test_every_hook_has_its_row(hook: str) -> None:
    assert re.search(rf"^\| `{hook}` \|(?:[^|\n]*\|){{5}}$", PAGE, re.MULTILINE)


def test_every_plugin_is_installed_and_every_installed_plugin_is_here() -> None:
    ours = [point.name for point in entry_points(group=ENTRY_POINTS) if point.module.startswith("fastsmtp_plugins.")]
    assert sorted(ours) == SHIPPED
    assert sorted(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_every_option_has_its_row_and_its_default(name: str) -> None:
    section = PAGE.split(f"### {name}\n")[1].split("\n### ")[0]
    rows = {
        option: default.strip() for option, default in re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.MULTILINE)
    }
    made = plugin_class(name)
    options = dataclasses.fields(get_args(made.__orig_bases__[0])[0])
    assert sorted(rows) == sorted(option.name for option in options)
    for option in options:
        assert f"`{option.name}`" in made.__doc__, f"{name} does not say what {option.name} is"
        if option.default is dataclasses.MISSING:
            assert rows[option.name] == "", option.name
        elif isinstance(option.default, bool):
            assert rows[option.name] == f"`{str(option.default).lower()}`", option.name
        elif isinstance(option.default, str):
            assert rows[option.name] == f'`"{option.default}"`', option.name


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, test = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[:2]
    (tmp_path / "office_hours.py").write_text(plugin)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {}
    try:
        exec(compile(test, "docs/plugins.md", "exec"), names)  # noqa: S102 - it is our own page
        names["test_nobody_is_there_at_night"]()
    finally:
        sys.modules.pop("office_hours", None)
