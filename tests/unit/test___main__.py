import subprocess
import sys

import pytest

from fastsmtp import __version__


def test_the_module_is_the_command() -> None:
    result = subprocess.run([sys.executable, "-m", "fastsmtp", "--version"], capture_output=True, text=True, check=True)

    assert result.stdout == f"fastsmtp {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(["--help"], 0), (["check", "-c", "/no/such/file.toml"], 1), (["no-such-command"], 2)],
)
def test_exit_codes_reach_the_shell(arguments: list[str], exit_code: int) -> None:
    result = subprocess.run([sys.executable, "-m", "fastsmtp", *arguments], capture_output=True, check=False)

    assert result.returncode == exit_code
