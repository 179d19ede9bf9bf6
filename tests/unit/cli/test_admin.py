from pathlib import Path

import click
import postgres
import pytest

from fastsmtp.cli.admin import QUOTA, limit, open_admin, yes_no
from fastsmtp.cli.site import create_site
from fastsmtp.errors import ConfigurationError, DirectoryError


def test_the_directory_of_the_configuration(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["alice"])

    with open_admin(configuration) as admin:
        assert [row.address for row in admin.list_users()] == ["alice@example.org"]


def test_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"), open_admin(tmp_path / "fastsmtp.toml"):
        raise AssertionError("it must not get here")


def test_words() -> None:
    assert (yes_no(True), yes_no(False)) == ("yes", "no")


def test_a_directory_in_postgres(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["alice"])
    text = configuration.read_text()
    configuration.write_text(text.replace("sqlite:directory.db", postgres.shared_server().new_database()))

    with open_admin(configuration) as admin, pytest.raises(DirectoryError, match="fastsmtp db migrate"):
        admin.list_users()


@pytest.mark.parametrize("table", ["tables", "queries"])
def test_tables_of_another_program_are_left_alone(tmp_path: Path, table: str) -> None:
    configuration = tmp_path / "fastsmtp.toml"
    configuration.write_text(f'[directory.{table}]\ndomain = "domains"\n')

    with pytest.raises(ConfigurationError, match="belongs to another program"), open_admin(configuration):
        raise AssertionError("it must not get here")


def test_quotas() -> None:
    assert [limit(QUOTA.convert(text, None, None)) for text in ("none", "1KiB", "5")] == [None, 1024, 5]
    with pytest.raises(click.BadParameter, match="'much' is not a quota"):
        QUOTA.convert("much", None, None)
