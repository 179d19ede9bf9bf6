"""A site for every test that wants one, in either database, and the command."""

from collections.abc import Callable, Iterator
from pathlib import Path

import postgres
import pytest
from click.testing import CliRunner, Result
from zone import ZoneServer

from fastsmtp.cli import main

Command = Callable[..., Result]


@pytest.fixture
def fastsmtp(monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, in this process; an error that it does not translate fails the test."""
    monkeypatch.delenv("FASTSMTP_CONFIG", raising=False)

    def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope="session")
def dns() -> Iterator[ZoneServer]:
    """A DNS server for `fastsmtp check` to try, whatever the machine has."""
    with ZoneServer() as server:
        yield server


@pytest.fixture
def site(fastsmtp: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dns: ZoneServer) -> Path:
    """A new site for example.org; its configuration is the one that commands find."""
    assert fastsmtp("init", tmp_path / "site", "--domain", "example.org", "--hostname", "mx.example.org").exit_code == 0
    configuration = tmp_path / "site" / "fastsmtp.toml"
    configuration.write_text(
        configuration.read_text().replace("\nservers = []\n", f'\nservers = ["{dns.address}"]\n', 1)
    )
    monkeypatch.setenv("FASTSMTP_CONFIG", str(configuration))
    return configuration


@pytest.fixture(params=["sqlite", "postgres"])
def any_site(request: pytest.FixtureRequest, fastsmtp: Command, site: Path) -> Path:
    """The same, also with its directory in PostgreSQL."""
    if request.param == "postgres":
        url = postgres.shared_server().new_database()
        (site.parent / "directory.db").unlink()
        site.write_text(site.read_text().replace("sqlite:directory.db", url))
        assert fastsmtp("db", "migrate").exit_code == 0
        assert fastsmtp("domain", "add", "example.org").exit_code == 0
        assert fastsmtp("user", "add", "postmaster@example.org").exit_code == 0
    return site
