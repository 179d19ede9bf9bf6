"""docs/plugins/ has every hook, every plugin that ships with every option, and code that works."""

import dataclasses
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import pytest

from fastsmtp.pipeline.loader import ENTRY_POINTS
from fastsmtp.plugin import Stage

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "plugins"
README = (FOLDER / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in FOLDER.glob("*.md") if path.name not in ("README.md", "tutorial.md")}
SHIPPED = sorted(path.stem for path in (ROOT / "plugins").glob("*.py") if path.stem != "__init__")


def plugin_class(name: str) -> Any:
    (point,) = entry_points(group=ENTRY_POINTS, name=name)
    return point.load()


def options_of(name: str) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(get_args(plugin_class(name).__orig_bases__[0])[0])


def row(name: str) -> tuple[str, ...]:
    """The cells of its row in the table of all: plugin, stage, what it does, options, replies, counterparts."""
    (line,) = re.findall(rf"^\| \[{name}\]\(.*$", README, re.MULTILINE)
    cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
    assert len(cells) == 7, line
    return cells


@pytest.mark.parametrize("hook", ["start", *(stage.value for stage in Stage), "stop"])
def test_every_hook_has_its_row(hook: str) -> None:
    assert re.search(rf"^\| `{hook}` \|(?:[^|\n]*\|){{5}}$", README, re.MULTILINE)


def test_every_plugin_is_installed_and_every_installed_plugin_is_here() -> None:
    ours = [point.name for point in entry_points(group=ENTRY_POINTS) if point.module.startswith("fastsmtp_plugins.")]
    assert sorted(ours) == SHIPPED


def test_every_plugin_has_a_section_on_one_page_and_a_row_in_the_table() -> None:
    sections = Counter(name for page in PAGES.values() for name in re.findall(r"^## (\w+)$", page, re.MULTILINE))
    assert sections == Counter(SHIPPED)
    assert Counter(re.findall(r"^\| \[(\w+)\]\(", README, re.MULTILINE)) == Counter(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_table_has_its_page_its_stages_and_its_options(name: str) -> None:
    link, stages, _, options, *_ = row(name)
    (page,) = (file for file, text in PAGES.items() if f"\n## {name}\n" in text)
    assert link == f"[{name}]({page}#{name})"
    made = plugin_class(name)
    assert stages.split(", ") == [stage.label for stage in Stage if stage.value in vars(made)]
    assert re.findall(r"`(\w+)`", options) == [option.name for option in options_of(name)]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_option_has_its_row_and_its_default(name: str) -> None:
    (page,) = (text for text in PAGES.values() if f"\n## {name}\n" in text)
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    rows = {
        option: default.strip() for option, default in re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.MULTILINE)
    }
    made = plugin_class(name)
    options = options_of(name)
    assert sorted(rows) == sorted(option.name for option in options)
    for option in options:
        assert f"`{option.name}`" in made.__doc__, f"{name} does not say what {option.name} is"
        if option.default is dataclasses.MISSING:
            assert rows[option.name] == "", option.name
        elif isinstance(option.default, bool):
            assert rows[option.name] == f"`{str(option.default).lower()}`", option.name
        elif isinstance(option.default, str):
            assert rows[option.name] == f'`"{option.default}"`', option.name


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Every block of code: its language, the file that the text before it names at its end, and what stands in it."""
    parts = re.split(r"^```(\w*)\n", page, flags=re.MULTILINE)  # text, language, content, "", text, language, ...
    return [
        (language, (re.findall(r"`([\w/.]+)`:\s*\Z", before) or [""])[0], content)
        for before, language, content in zip(parts[::4], parts[1::4], parts[2::4], strict=False)
    ]


def commands(console: str) -> list[tuple[str, list[str]]]:
    """The commands of a console, each with the lines that have to be in its output, in this order."""
    listed: list[tuple[str, list[str]]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            listed.append((line[2:], []))
        else:
            listed[-1][1].append(line)
    return listed


def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    bin_folder, installed = Path(sys.executable).parent, tmp_path / "installed"
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "COLUMNS": "200",
        # As in a virtual environment of one's own, without the network.
        "PIP_TARGET": str(installed),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": str(installed),
    }
    folder = tmp_path
    ran = 0
    for language, file, content in blocks((FOLDER / "tutorial.md").read_text()):
        if file:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(content)
        elif language == "toml":
            with (folder / "fastsmtp.toml").open("a") as configuration:
                configuration.write(f"\n{content}")
        for command, expected in commands(content) if language == "console" else ():
            ran += 1
            if command.startswith("cd "):
                folder /= command[3:]
                continue
            shell = ["sh", "-c", command]
            done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            output = done.stdout + done.stderr
            assert done.returncode == 0, f"{command}\n{output}"
            position = 0
            for line in expected:
                assert line in output[position:], f"{command}: {line!r} is not in\n{output}"
                position = output.index(line, position) + len(line)
    assert ran >= 10


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in FOLDER.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+\.md)[)#]", page.read_text()):
            assert (FOLDER / target).is_file(), f"{page.name}: {target}"
