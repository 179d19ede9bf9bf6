import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]
in_both_databases = pytest.mark.usefixtures("any_site")


@in_both_databases
def test_add_list_and_remove(fastsmtp: Command) -> None:
    result = fastsmtp("alias", "add", "Info@Example.org", "postmaster@example.org")
    assert (result.stdout, result.stderr) == ("info@example.org leads to postmaster@example.org\n", "")
    result = fastsmtp("alias", "add", "*@example.org", "info@example.org", "Joe@example.net")
    assert result.stdout == "*@example.org leads to info@example.org, Joe@example.net\n"
    assert result.stderr == (
        "warning: not a domain of ours: Joe@example.net;"
        " as long as there is no relay, mail for *@example.org is refused (550 5.4.4)\n"
    )
    assert fastsmtp("alias", "list").stdout.splitlines() == [
        "*@example.org     yes  info@example.org",
        "*@example.org     yes  Joe@example.net",
        "info@example.org  yes  postmaster@example.org",
    ]
    result = fastsmtp("alias", "remove", "*@example.org", "joe@EXAMPLE.net")
    assert result.stdout == "*@example.org leads to info@example.org\n"
    assert fastsmtp("alias", "remove", "info@example.org").stdout == "info@example.org is removed\n"
    assert json.loads(fastsmtp("alias", "list", "example.org", "--json").stdout) == [
        {
            "address": "*@example.org",
            "domain": "example.org",
            "name": "*",
            "is_active": True,
            "targets": ["info@example.org"],
        }
    ]


@in_both_databases
def test_warnings(fastsmtp: Command) -> None:
    result = fastsmtp("alias", "add", "a@example.org", "b@example.org", "postmaster@example.org")
    assert (result.exit_code, result.stderr) == (0, "warning: nobody is called b@example.org yet\n")
    result = fastsmtp("alias", "add", "b@example.org", "a@example.org")
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: the alias leads back to itself: b@example.org -> a@example.org -> b@example.org\n"
    )


@in_both_databases
def test_disable_and_enable(fastsmtp: Command) -> None:
    fastsmtp("alias", "add", "info@example.org", "postmaster@example.org")
    assert fastsmtp("alias", "disable", "INFO@example.org").stdout == "info@example.org is disabled\n"
    assert fastsmtp("alias", "list").stdout == "info@example.org  no  postmaster@example.org\n"
    assert fastsmtp("alias", "enable", "info@example.org").stdout == "info@example.org is enabled\n"
    assert fastsmtp("alias", "list").stdout == "info@example.org  yes  postmaster@example.org\n"


@in_both_databases
def test_import_and_export(fastsmtp: Command, tmp_path: Path) -> None:
    text = "address,target\n*@example.org,joe@example.net\ninfo@example.org,postmaster@example.org\n"
    assert fastsmtp("alias", "import", "-", stdin=text).stdout == "targets added: 2\n"
    assert fastsmtp("alias", "export").stdout == text
    assert fastsmtp("alias", "export", tmp_path / "aliases.csv", "--domain", "example.org").exit_code == 0
    assert (tmp_path / "aliases.csv").read_text() == text
    result = fastsmtp("alias", "import", tmp_path / "aliases.csv")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1,
        "error: line 2: the alias *@example.org leads to joe@example.net already",
    )
    result = fastsmtp("alias", "import", tmp_path / "aliases.csv", "--update")
    assert result.stdout == "targets added: 0, updated: 2\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["list"], 0, ""),
        (["list", "example.net"], 1, "the domain example.net is not in the directory"),
        (["add", "info@example.net", "joe@example.org"], 1, "the domain example.net is not in the directory"),
        (["add", "info@example.org", "joe"], 1, "'joe' is not of the form user@domain"),
        (["add", "info@example.org"], 2, "Missing argument 'TARGET...'"),
        (["remove", "info@example.org"], 1, "the alias info@example.org is not in the directory"),
        (["disable", "info@example.org"], 1, "the alias info@example.org is not in the directory"),
    ],
)
@pytest.mark.usefixtures("site")
def test_errors(fastsmtp: Command, arguments: list[str], exit_code: int, sentence: str) -> None:
    result = fastsmtp("alias", *arguments)

    assert result.exit_code == exit_code
    assert sentence in result.stderr


@pytest.mark.usefixtures("site")
def test_none(fastsmtp: Command) -> None:
    assert fastsmtp("alias", "list").stdout == "No aliases yet: fastsmtp alias add ADDRESS TARGET\n"
    assert fastsmtp("alias", "list", "--json").stdout == "[]\n"
