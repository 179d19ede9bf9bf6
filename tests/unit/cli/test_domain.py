import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]
in_both_databases = pytest.mark.usefixtures("any_site")


@in_both_databases
def test_add_list_and_remove(fastsmtp: Command) -> None:
    assert fastsmtp("domain", "add", "Example.net", "bücher.example").exit_code == 0
    assert fastsmtp("domain", "list").stdout.splitlines() == [
        "example.net            yes  0",
        "example.org            yes  1",
        "xn--bcher-kva.example  yes  0",
    ]

    assert fastsmtp("domain", "remove", "example.net", "xn--bcher-kva.example").exit_code == 0
    assert json.loads(fastsmtp("domain", "list", "--json").stdout) == [
        {"name": "example.org", "is_active": True, "users": 1}
    ]


@in_both_databases
def test_disable_and_enable(fastsmtp: Command) -> None:
    assert fastsmtp("domain", "disable", "example.org").stdout == "example.org is disabled\n"
    assert fastsmtp("domain", "list").stdout == "example.org  no  1\n"
    assert fastsmtp("domain", "enable", "example.org").stdout == "example.org is enabled\n"
    assert fastsmtp("domain", "list").stdout == "example.org  yes  1\n"


@in_both_databases
def test_a_domain_with_users_is_removed_by_force_only(fastsmtp: Command) -> None:
    result = fastsmtp("domain", "remove", "example.org")
    assert (result.exit_code, result.stderr) == (1, "error: the domain example.org still has users: 1\n")

    assert fastsmtp("domain", "remove", "--force", "example.org").stdout == "example.org is removed, users: 1\n"
    assert fastsmtp("domain", "list").stdout == "No domains yet: fastsmtp domain add DOMAIN\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["add", "example.org"], 1, "the domain example.org is here already"),
        (["add", "not a domain"], 1, "cannot be in a domain name"),
        (["disable", "example.net"], 1, "the domain example.net is not in the directory"),
        (["add"], 2, "Missing argument 'DOMAIN...'"),
        (["rename", "example.org"], 2, "No such command 'rename'"),
    ],
)
@pytest.mark.usefixtures("site")
def test_errors(fastsmtp: Command, arguments: list[str], exit_code: int, sentence: str) -> None:
    result = fastsmtp("domain", *arguments)

    assert result.exit_code == exit_code
    assert sentence in result.stderr


@in_both_databases
def test_other_names(fastsmtp: Command) -> None:
    result = fastsmtp("domain", "alias", "add", "Example.net", "example.org")
    assert result.stdout == "example.net is another name of example.org now\n"
    fastsmtp("domain", "alias", "add", "bücher.example", "example.org")
    assert fastsmtp("domain", "alias", "list").stdout.splitlines() == [
        "example.net            example.org",
        "xn--bcher-kva.example  example.org",
    ]
    assert fastsmtp("domain", "alias", "remove", "bücher.example").stdout == "bücher.example is removed\n"
    assert json.loads(fastsmtp("domain", "alias", "list", "--json").stdout) == [
        {"name": "example.net", "domain": "example.org"}
    ]
    result = fastsmtp("user", "add", "alice@example.net")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: the domain example.net is not in the directory; it is another name of example.org, use that\n",
    )
    fastsmtp("domain", "alias", "remove", "example.net")
    assert fastsmtp("domain", "alias", "list").stdout == (
        "No other names yet: fastsmtp domain alias add ALIAS DOMAIN\n"
    )
    assert fastsmtp("domain", "alias", "remove", "example.net").exit_code == 1


def test_a_directory_that_cannot_be_opened(fastsmtp: Command, site: Path) -> None:
    (site.parent / "directory.db").unlink()
    result = fastsmtp("domain", "list")

    assert result.exit_code == 3
    assert str(site.parent / "directory.db") in result.stderr


def test_the_first_domain_makes_the_directory_of_a_configuration_written_by_hand(
    fastsmtp: Command, tmp_path: Path
) -> None:
    configuration = tmp_path / "fastsmtp.toml"
    configuration.write_text('hostname = "mx.example.org"\n')
    assert fastsmtp("user", "add", "alice@example.org", "-c", configuration).exit_code == 3
    assert not (tmp_path / "directory.db").exists()
    assert fastsmtp("domain", "add", "example.org", "-c", configuration).exit_code == 0
    assert fastsmtp("user", "add", "alice@example.org", "-c", configuration).exit_code == 0
    assert "alice@example.org" in fastsmtp("user", "list", "-c", configuration).stdout
