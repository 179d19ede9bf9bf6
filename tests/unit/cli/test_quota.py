import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]


@pytest.fixture
def mail(any_site: Path, fastsmtp: Command) -> Path:
    """The mail root; alice has 3 KiB of mail of 4, the postmaster none and no limit."""
    root = any_site.parent / "mail"
    fastsmtp("user", "add", "alice@example.org", "--quota", "4KiB")
    for folder in ("tmp", "new", "cur"):
        (root / "example.org" / "alice" / folder).mkdir(parents=True)
    for number, folder in enumerate(["new", "new", "cur"]):
        (root / "example.org" / "alice" / folder / f"1.{number}.mx,S=1024").write_bytes(b"x" * 1024)
    return root


@pytest.mark.usefixtures("mail")
def test_show(fastsmtp: Command) -> None:
    assert fastsmtp("quota", "show", "example.org").stdout.splitlines() == [
        "alice@example.org       3 KiB  4 KiB  75 %  3",
        "postmaster@example.org  0 B    none   -     0",
    ]
    assert json.loads(fastsmtp("quota", "show", "Alice@example.org", "--json").stdout) == [
        {"address": "alice@example.org", "used_bytes": 3072, "quota_bytes": 4096, "percent": 75.0, "messages": 3}
    ]
    assert json.loads(fastsmtp("quota", "show", "postmaster@example.org", "--json").stdout) == [
        {"address": "postmaster@example.org", "used_bytes": 0, "quota_bytes": None, "percent": None, "messages": 0}
    ]


def test_a_mailbox_that_cannot_be_read(fastsmtp: Command, mail: Path) -> None:
    (mail / "example.org" / "postmaster").write_text("a file in the place of a folder")

    result = fastsmtp("quota", "show", "example.org")

    assert result.exit_code == 3
    assert result.stderr == "error: cannot read the mailbox of postmaster@example.org: Not a directory\n"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("bob@example.org", "the user bob@example.org is not in the directory"),
        ("example.net", "the domain example.net is not in the directory"),
    ],
)
@pytest.mark.usefixtures("site")
def test_errors(fastsmtp: Command, target: str, sentence: str) -> None:
    result = fastsmtp("quota", "show", target)

    assert result.exit_code == 1
    assert sentence in result.stderr


@pytest.mark.usefixtures("site")
def test_a_domain_without_users(fastsmtp: Command) -> None:
    fastsmtp("domain", "add", "example.net")
    assert fastsmtp("quota", "show", "example.net").stdout == (
        "No users in example.net yet: fastsmtp user add ADDRESS\n"
    )
