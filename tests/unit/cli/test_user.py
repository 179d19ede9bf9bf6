import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from fastsmtp.directory.schemes import SCHEMES, Scheme, matches

Command = Callable[..., Result]
in_both_databases = pytest.mark.usefixtures("any_site")

CSV = """\
address,can_receive,can_login,quota
alice@example.org,yes,no,1GiB
"""


@in_both_databases
def test_add_list_and_remove(fastsmtp: Command) -> None:
    result = fastsmtp("user", "add", "Alice@Example.org", "bob@example.org", "--quota", "1536MiB")
    assert result.stdout == "alice@example.org has a mailbox now\nbob@example.org has a mailbox now\n"
    assert fastsmtp("user", "list").stdout.splitlines() == [
        "alice@example.org       yes  yes  1.5 GiB",
        "bob@example.org         yes  yes  1.5 GiB",
        "postmaster@example.org  yes  yes  none",
    ]

    assert fastsmtp("user", "remove", "alice@example.org", "postmaster@example.org").exit_code == 0
    assert json.loads(fastsmtp("user", "list", "--json").stdout) == [
        {
            "address": "bob@example.org",
            "domain": "example.org",
            "name": "bob",
            "can_receive": True,
            "can_login": True,
            "quota_bytes": 1536 * 2**20,
            "has_password": False,
        }
    ]


@in_both_databases
def test_the_users_of_one_domain(fastsmtp: Command) -> None:
    fastsmtp("domain", "add", "example.net")
    fastsmtp("user", "add", "alice@example.net")

    assert fastsmtp("user", "list", "example.net").stdout == "alice@example.net  yes  yes  none\n"
    assert fastsmtp("user", "list", "example.com").exit_code == 1


@in_both_databases
def test_disable_and_enable(fastsmtp: Command) -> None:
    assert fastsmtp("user", "disable", "postmaster@example.org").stdout == "postmaster@example.org is disabled\n"
    assert fastsmtp("user", "list").stdout == "postmaster@example.org  no  yes  none\n"
    assert fastsmtp("user", "enable", "postmaster@example.org").stdout == "postmaster@example.org is enabled\n"
    assert fastsmtp("user", "list").stdout == "postmaster@example.org  yes  yes  none\n"


@in_both_databases
def test_quota(fastsmtp: Command) -> None:
    result = fastsmtp("user", "quota", "Postmaster@example.org", "500MB")
    assert result.stdout == "postmaster@example.org has this quota now: 476.8 MiB\n"
    result = fastsmtp("user", "quota", "postmaster@example.org", "none")
    assert result.stdout == "postmaster@example.org has this quota now: none\n"
    assert fastsmtp("user", "list").stdout == "postmaster@example.org  yes  yes  none\n"


@in_both_databases
def test_passwd(fastsmtp: Command) -> None:
    result = fastsmtp("user", "passwd", "Postmaster@example.org", stdin="secret\nsecret\n")
    assert result.stdout.splitlines()[-1] == "postmaster@example.org has a new password"
    assert "secret" not in result.output
    assert fastsmtp("user", "list").stdout == "postmaster@example.org  yes  yes  none  password\n"
    assert json.loads(fastsmtp("user", "list", "--json").stdout)[0]["has_password"] is True

    result = fastsmtp("user", "passwd", "postmaster@example.org", "--remove")
    assert result.stdout == "postmaster@example.org has no password now\n"
    assert fastsmtp("user", "list").stdout == "postmaster@example.org  yes  yes  none\n"


def stored_hash(site: Path, name: str) -> str:
    with closing(sqlite3.connect(site.parent / "directory.db")) as database:
        [(password_hash,)] = database.execute(
            'SELECT password_hash FROM mailbox JOIN "user" USING (user_id) WHERE username = ?', (name,)
        )
        return str(password_hash)


@pytest.mark.parametrize(
    ("line", "password"), [("secret\n", "secret"), (" a b \r\nmore\n", " a b "), ("Zo\u00eb", "Zo\u00eb")]
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_first_line_of_standard_input_is_the_password(
    fastsmtp: Command, site: Path, line: str, password: str, scheme: Scheme
) -> None:
    fastsmtp("user", "passwd", "postmaster@example.org", "--stdin", "--scheme", scheme, stdin=line)
    stored = stored_hash(site, "postmaster")
    assert stored.lower().lstrip("$").startswith(scheme)
    assert matches(password, stored)
    assert not matches("another", stored)


def test_a_user_with_a_password(fastsmtp: Command, site: Path) -> None:
    result = fastsmtp("user", "add", "alice@example.org", "--quota", "1GiB", "--password-stdin", stdin="secret\n")
    assert result.stdout == "alice@example.org has a mailbox now\n"
    assert matches("secret", stored_hash(site, "alice"))
    assert fastsmtp("user", "list").stdout.splitlines()[0] == "alice@example.org       yes  yes  1 GiB  password"
    fastsmtp("user", "quota", "alice@example.org", "none")
    assert matches("secret", stored_hash(site, "alice"))


@pytest.mark.usefixtures("site")
def test_nobody(fastsmtp: Command) -> None:
    fastsmtp("user", "remove", "postmaster@example.org")
    assert fastsmtp("user", "list").stdout == "No users yet: fastsmtp user add ADDRESS\n"
    assert fastsmtp("user", "list", "--json").stdout == "[]\n"


@in_both_databases
def test_import_and_export(fastsmtp: Command, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text(CSV)
    assert fastsmtp("user", "import", file).stdout == "users added: 1\n"
    exported = fastsmtp("user", "export").stdout
    assert exported == (
        "address,can_receive,can_login,quota\n"
        "alice@example.org,yes,no,1073741824\npostmaster@example.org,yes,yes,none\n"
    )
    assert fastsmtp("user", "export", file, "--domain", "example.org").exit_code == 0
    assert file.read_text() == exported

    fastsmtp("user", "remove", "alice@example.org")
    result = fastsmtp("user", "import", "-", "--update", stdin=f"\ufeff{exported}")
    assert result.stdout == "users added: 1, updated: 1\n"
    assert fastsmtp("user", "export").stdout == exported


@in_both_databases
def test_an_import_with_wrong_lines(fastsmtp: Command) -> None:
    wrong = f"{CSV}postmaster@example.org,no,,\na b@example.org,,,\n"
    result = fastsmtp("user", "import", "-", stdin=wrong)
    assert (result.exit_code, result.stdout) == (1, "")
    complaint = "'a b@example.org': ' ' (U+0020 SPACE) cannot be in a user name"
    assert result.stderr.splitlines() == [
        "error: line 3: the user postmaster@example.org is here already",
        f"error: line 4: {complaint}",
        "error: nothing was imported",
    ]
    assert fastsmtp("user", "list").stdout == "postmaster@example.org  yes  yes  none\n"

    result = fastsmtp("user", "import", "-", "--skip-errors", "--update", stdin=wrong)
    assert (result.exit_code, result.stdout) == (0, "users added: 1, updated: 1, left out: 1\n")
    assert result.stderr == f"warning: line 4: {complaint}; left out\n"
    assert fastsmtp("user", "list").stdout.splitlines() == [
        "alice@example.org       yes  no   1 GiB",
        "postmaster@example.org  no   yes  none",
    ]


@pytest.mark.usefixtures("site")
def test_an_import_that_is_no_csv(fastsmtp: Command, tmp_path: Path) -> None:
    assert "the file is empty; its first line is a header" in fastsmtp("user", "import", "-", stdin="").stderr
    result = fastsmtp("user", "import", "-", stdin=b"address\nj\xfc@example.org\n")
    assert "line 2: 'j\\udcfc@example.org': '\\udcfc' (U+DCFC unnamed) cannot be in a user name" in result.stderr
    result = fastsmtp("user", "import", tmp_path / "missing.csv")
    assert (result.exit_code, "No such file" in result.stderr) == (2, True)


def test_an_export_that_fails_leaves_the_file(fastsmtp: Command, site: Path, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text(CSV)
    (site.parent / "directory.db").unlink()
    assert fastsmtp("user", "export", file).exit_code == 3
    assert file.read_text() == CSV


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["add", "postmaster@example.org"], 1, "the user postmaster@example.org is here already"),
        (["add", "alice"], 1, "'alice' is not of the form user@domain"),
        (["add", "alice@example.net"], 1, "the domain example.net is not in the directory"),
        (["add", '"../alice"@example.org'], 1, "a mailbox folder cannot be called '../alice'"),
        (["add", "alice@example.org", "--quota", "much"], 2, "'much' is not a quota; write a size"),
        (["disable", "alice@example.org"], 1, "alice@example.org"),
        (["quota", "alice@example.org", "1GiB"], 1, "the user alice@example.org is not in the directory"),
        (["quota", "postmaster@example.org", "0"], 2, "a quota of 0 makes no sense"),
        (["add"], 2, "Missing argument 'ADDRESS...'"),
        (["add", "a@example.org", "b@example.org", "--password-stdin"], 2, "--password-stdin is for one ADDRESS"),
        (["passwd", "alice@example.org"], 1, "the user alice@example.org is not in the directory"),
        (["passwd", "postmaster@example.org", "--stdin"], 2, "the password is empty"),
        (["passwd", "postmaster@example.org", "--stdin", "--remove"], 2, "do not go together"),
    ],
)
@pytest.mark.usefixtures("site")
def test_errors(fastsmtp: Command, arguments: list[str], exit_code: int, sentence: str) -> None:
    result = fastsmtp("user", *arguments)

    assert result.exit_code == exit_code
    assert sentence in result.stderr
