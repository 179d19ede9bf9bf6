import json
from collections.abc import Callable

import pytest
from click.testing import Result

Command = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("site")


def test_add_list_and_remove(fastsmtp: Command) -> None:
    result = fastsmtp("user", "add", "Alice@Example.org", "bob@example.org")
    assert result.stdout == "alice@example.org has a mailbox now\nbob@example.org has a mailbox now\n"
    assert fastsmtp("user", "list").stdout.splitlines() == [
        "alice@example.org       yes  yes",
        "bob@example.org         yes  yes",
        "postmaster@example.org  yes  yes",
    ]

    assert fastsmtp("user", "remove", "alice@example.org", "bob@example.org").exit_code == 0
    assert json.loads(fastsmtp("user", "list", "--json").stdout) == [
        {
            "address": "postmaster@example.org",
            "domain": "example.org",
            "name": "postmaster",
            "can_receive": True,
            "can_login": True,
        }
    ]


def test_the_users_of_one_domain(fastsmtp: Command) -> None:
    fastsmtp("domain", "add", "example.net")
    fastsmtp("user", "add", "alice@example.net")

    assert fastsmtp("user", "list", "example.net").stdout == "alice@example.net  yes  yes\n"
    assert fastsmtp("user", "list", "example.com").exit_code == 1


def test_disable_and_enable(fastsmtp: Command) -> None:
    assert fastsmtp("user", "disable", "postmaster@example.org").stdout == "postmaster@example.org is disabled\n"
    assert fastsmtp("user", "list").stdout == "postmaster@example.org  no  yes\n"
    assert fastsmtp("user", "enable", "postmaster@example.org").stdout == "postmaster@example.org is enabled\n"
    assert fastsmtp("user", "list").stdout == "postmaster@example.org  yes  yes\n"


def test_nobody(fastsmtp: Command) -> None:
    fastsmtp("user", "remove", "postmaster@example.org")
    assert fastsmtp("user", "list").stdout == "No users yet: fastsmtp user add ADDRESS\n"
    assert fastsmtp("user", "list", "--json").stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["add", "postmaster@example.org"], 1, "the user postmaster@example.org is here already"),
        (["add", "alice"], 1, "'alice' is not of the form user@domain"),
        (["add", "alice@example.net"], 1, "the domain example.net is not in the directory"),
        (["add", '"../alice"@example.org'], 1, "a mailbox folder cannot be called '../alice'"),
        (["disable", "alice@example.org"], 1, "alice@example.org"),
        (["add"], 2, "Missing argument 'ADDRESS...'"),
    ],
)
def test_errors(fastsmtp: Command, arguments: list[str], exit_code: int, sentence: str) -> None:
    result = fastsmtp("user", *arguments)

    assert result.exit_code == exit_code
    assert sentence in result.stderr
