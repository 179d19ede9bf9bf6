import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from fastsmtp.config.load import load
from fastsmtp.config.model import Settings
from fastsmtp.config.starter import LISTS, starter_plugins
from fastsmtp.directory.admin import SqliteAdmin

Command = Callable[..., Result]


def test_a_site_is_complete_and_valid(fastsmtp: Command, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "my mx"
    result = fastsmtp("init", folder, "--domain", "Example.ORG", "--hostname", "mx.example.org")

    assert result.exit_code == 0
    settings = load(folder / "fastsmtp.toml")
    expected = {
        "hostname": "mx.example.org",
        "directory": {"postmaster": "postmaster@example.org"},
        **tomllib.loads(starter_plugins()),
    }
    assert settings == Settings.model_validate(expected, context={"base": folder})
    assert all((folder / "lists" / name).exists() for name in LISTS)
    assert stat.S_IMODE((folder / "mail").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "directory.db").stat().st_mode) & 0o137 == 0
    with SqliteAdmin(folder / "directory.db") as admin:
        assert [row.address for row in admin.list_users()] == ["postmaster@example.org"]
    assert f"fastsmtp serve -c '{folder / 'fastsmtp.toml'}'" in result.stdout


def test_without_a_domain_the_next_step_is_a_domain(fastsmtp: Command, tmp_path: Path) -> None:
    result = fastsmtp("init", tmp_path / "site")

    assert result.exit_code == 0
    assert "fastsmtp domain add example.org -c" in result.stdout
    assert fastsmtp("domain", "list", "-c", tmp_path / "site" / "fastsmtp.toml").stdout.startswith("No domains yet")


def test_nothing_is_overwritten(fastsmtp: Command, site: Path) -> None:
    before = {path: path.read_bytes() for path in site.parent.iterdir() if path.is_file()}

    result = fastsmtp("init", site.parent, "--domain", "example.net")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"error: {site} is there already; nothing was changed",
        f"error: {site.parent / 'directory.db'} is there already; nothing was changed",
    ]
    assert {path: path.read_bytes() for path in site.parent.iterdir() if path.is_file()} == before


def test_a_name_that_is_none_is_a_usage_error(fastsmtp: Command, tmp_path: Path) -> None:
    result = fastsmtp("init", tmp_path / "site", "--domain", "not a domain")

    assert result.exit_code == 2
    assert "is not a domain name" in result.stderr
    assert not (tmp_path / "site").exists()


def test_a_folder_that_cannot_be_made(fastsmtp: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = fastsmtp("init", tmp_path / "file" / "site")

    assert result.exit_code == 3
    assert result.stderr == f"error: cannot write {tmp_path / 'file' / 'site'}: Not a directory\n"
