"""A site for every test that wants one, and the command."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fastsmtp.cli import main

Command = Callable[..., Result]


@pytest.fixture
def fastsmtp(monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, in this process; an error that it does not translate fails the test."""
    monkeypatch.delenv("FASTSMTP_CONFIG", raising=False)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def site(fastsmtp: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new site for example.org; its configuration is the one that commands find."""
    assert fastsmtp("init", tmp_path / "site", "--domain", "example.org", "--hostname", "mx.example.org").exit_code == 0
    configuration = tmp_path / "site" / "fastsmtp.toml"
    monkeypatch.setenv("FASTSMTP_CONFIG", str(configuration))
    return configuration
