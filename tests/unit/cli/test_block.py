import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]
in_both_databases = pytest.mark.usefixtures("any_site")

WARNING = "warning: no plugin reads this list: block_{} does, with `directory = true` in its options\n"


@in_both_databases
def test_add_list_and_remove(fastsmtp: Command) -> None:
    assert fastsmtp("block", "list").stdout == "No entries yet: fastsmtp block add sender|recipient ENTRY\n"
    result = fastsmtp("block", "add", "sender", "Spam.example", "--reason", "We know you")
    assert (result.stdout, result.stderr) == ("Spam.example is on the list sender\n", WARNING.format("sender"))
    result = fastsmtp("block", "add", "recipient", "sales@")
    assert (result.stdout, result.stderr) == ("sales@ is on the list recipient\n", WARNING.format("recipient"))
    assert fastsmtp("block", "list").stdout.splitlines() == [
        "sender     Spam.example  We know you",
        "recipient  sales@",
    ]
    assert json.loads(fastsmtp("block", "list", "sender", "--json").stdout) == [
        {"list": "sender", "entry": "Spam.example", "reason": "We know you"}
    ]
    result = fastsmtp("block", "remove", "sender", "spam.example")
    assert (result.exit_code, result.stdout) == (0, "spam.example is not on the list sender any more\n")
    assert fastsmtp("block", "list", "sender").stdout.startswith("No entries yet")


def test_nobody_is_warned_of_a_list_that_is_read(fastsmtp: Command, site: Path) -> None:
    site.write_text(
        site.read_text() + '\n[[plugin]]\nuse = "block_sender"\nname = "b"\noptions = { directory = true }\n'
    )
    assert fastsmtp("block", "add", "sender", "spam.example").stderr == ""
    assert fastsmtp("block", "add", "recipient", "sales@").stderr == WARNING.format("recipient")


@pytest.mark.usefixtures("site")
def test_what_cannot_be_done(fastsmtp: Command) -> None:
    fastsmtp("block", "add", "sender", "spam.example")
    for arguments, code, problem in (
        (("add", "sender", "SPAM.example"), 1, "error: spam.example is on the list sender already\n"),
        (("add", "sender", "*.example"), 1, "is no pattern for addresses"),
        (("remove", "recipient", "spam.example"), 1, "error: spam.example is not on the list recipient\n"),
        (("add", "senders", "spam.example"), 2, "'senders' is not one of 'sender', 'recipient'"),
    ):
        result = fastsmtp("block", *arguments)
        assert result.exit_code == code
        assert problem in result.stderr


def test_a_table_that_is_not_there(fastsmtp: Command, site: Path) -> None:
    with closing(sqlite3.connect(site.parent / "directory.db")) as database:
        database.execute("DROP TABLE block_entry")
    result = fastsmtp("block", "add", "sender", "spam.example")
    assert result.exit_code == 3
    assert result.stderr.endswith("no such table: block_entry; to make what is missing: fastsmtp db migrate\n")
