import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from click.testing import Result

from fastsmtp import __version__
from fastsmtp.cli import main

Command = Callable[..., Result]
HEAVY = ("aiohttp", "asyncio", "asyncpg", "orjson", "prometheus_client", "pydantic", "rich", "sqlite3", "uvloop")
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def leaves(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with what is typed for it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_help_lists_every_command_by_purpose(fastsmtp: Command) -> None:
    page = fastsmtp("--help").stdout

    for heading in ("Run\n", "Who exists\n", "Look\n"):
        assert f"\n{heading}" in page
    for name in main.commands:
        assert f"\n  {name} " in page
    looks = {"check", "plugins", "explain", "test-plugin"}
    assert set(main.commands) == {"init", "serve", "domain", "user", "alias", "block", "quota", "db", *looks}
    assert page.endswith("Exit codes: 0 fine, 1 configuration, 2 usage, 3 could not start.\n")
    assert max(map(len, page.splitlines())) <= 80


def test_version(fastsmtp: Command) -> None:
    assert fastsmtp("--version").stdout == f"fastsmtp {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom fastsmtp.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"assert not set({HEAVY!r}) & sys.modules.keys(), set({HEAVY!r}) & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_the_page_for_operators_has_every_command() -> None:
    page = OPERATIONS.read_text()

    assert [name for name, _ in leaves(main, "fastsmtp") if f"`{name}" not in page] == []


def test_every_list_and_show_has_json() -> None:
    lists = [(name, command) for name, command in leaves(main, "fastsmtp") if name.endswith((" list", " show"))]

    assert len(lists) == 6
    assert [name for name, command in lists if "as_json" not in {option.name for option in command.params}] == []


def test_no_argument_is_a_password() -> None:
    # `ps` shows arguments to everybody
    named = [
        (name, option)
        for name, command in leaves(main, "fastsmtp")
        for option in command.params
        if "passw" in str(option.name) or any("passw" in spelling for spelling in option.opts)
    ]
    assert [name for name, _ in named] == ["fastsmtp user add"]
    assert all(isinstance(option, click.Option) and option.is_flag for _, option in named)
