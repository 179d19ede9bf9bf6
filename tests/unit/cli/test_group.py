import subprocess
import sys
from collections.abc import Callable

from click.testing import Result

from fastsmtp import __version__
from fastsmtp.cli import main

Command = Callable[..., Result]
HEAVY = ("aiohttp", "asyncio", "orjson", "prometheus_client", "pydantic", "rich", "sqlite3", "uvloop")


def test_help_lists_every_command_by_purpose(fastsmtp: Command) -> None:
    page = fastsmtp("--help").stdout

    for heading in ("Run\n", "Who exists\n", "Look\n"):
        assert f"\n{heading}" in page
    for name in main.commands:
        assert f"\n  {name} " in page
    assert set(main.commands) == {"init", "serve", "check", "domain", "user", "plugins"}
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
