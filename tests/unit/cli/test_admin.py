from pathlib import Path

import pytest

from fastsmtp.cli.admin import open_admin, yes_no
from fastsmtp.cli.site import create_site
from fastsmtp.errors import ConfigurationError


def test_the_directory_of_the_configuration(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["alice"])

    with open_admin(configuration) as admin:
        assert [row.address for row in admin.list_users()] == ["alice@example.org"]


def test_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"), open_admin(tmp_path / "fastsmtp.toml"):
        raise AssertionError("it must not get here")


def test_words() -> None:
    assert (yes_no(True), yes_no(False)) == ("yes", "no")
