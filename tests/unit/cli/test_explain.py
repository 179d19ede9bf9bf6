"""`fastsmtp explain`: one story, or a list of those that fit."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from records import identifier, record, write

Command = Callable[..., Result]

SOME_TIME = 1_790_000_000.0


@pytest.fixture
def now() -> float:
    """The beginning of this second: of a test, and not of all of them, which may be long ago."""
    return float(int(time.time()))


@pytest.fixture
def records(site: Path, now: float) -> Path:
    """Three transactions: of now, of an hour ago, of three days ago."""
    path = site.parent / "records.db"
    write(path, record(now - 3 * 86_400, sender="", outcome="refused", reply="550 5.7.1 no"), now_s=now - 3 * 86_400)
    write(
        path,
        record(
            now - 3600,
            sender="bob@b.example",
            remote="198.51.100.7",
            refused=[{"recipient": "x@example.test", "reply": "550 5.1.1 No such user here"}],
        ),
        now_s=now - 3600,
    )
    write(path, record(now), now_s=now)
    return path  # fmt: skip


def listed(result: Result) -> list[str]:
    """The senders of a list."""
    assert result.exit_code == 0, result.stderr
    return [re.split(" {2,}", line)[4] for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("records")
def test_the_story_of_an_id(fastsmtp: Command, now: float) -> None:
    result = fastsmtp("explain", f"({identifier(now).lower()})")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Transaction {identifier(now)}  stored\n  ended ")
    assert "  sender        <ann@example.net>\n" in result.stdout
    [story] = json.loads(fastsmtp("explain", identifier(now), "--json").stdout)
    assert story["recipients"] == [
        {"address": "alice@example.test", "accepted": True, "reply": "250 2.1.5 Recipient OK"}
    ]


@pytest.mark.usefixtures("records")
def test_the_list(fastsmtp: Command, now: float) -> None:
    assert listed(fastsmtp("explain")) == ["<ann@example.net>", "<bob@b.example>", "<>"]
    assert listed(fastsmtp("explain", "--sender", "<>")) == ["<>"]
    assert listed(fastsmtp("explain", "--sender", "@b.example")) == ["<bob@b.example>"]
    assert listed(fastsmtp("explain", "--recipient", "x@example.test")) == ["<bob@b.example>"]
    assert listed(fastsmtp("explain", "--address", "198.51.100.0/24")) == ["<bob@b.example>"]
    assert listed(fastsmtp("explain", "--outcome", "refused")) == ["<>"]
    assert listed(fastsmtp("explain", "--since", "2h")) == ["<ann@example.net>", "<bob@b.example>"]
    assert listed(fastsmtp("explain", "--until", "30m")) == ["<bob@b.example>", "<>"]
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 1800))
    assert listed(fastsmtp("explain", "--since", moment)) == ["<ann@example.net>"]
    result = fastsmtp("explain", "--limit", "2")
    assert listed(result) == ["<ann@example.net>", "<bob@b.example>"]
    assert result.stderr == "The latest 2; --limit shows more.\n"
    assert [one["sender"] for one in json.loads(fastsmtp("explain", "--json", "--limit", "1").stdout)] == [
        "ann@example.net"
    ]
    assert fastsmtp("explain", "--plugin", "judge").stdout == "Nothing of that kind is recorded.\n"


@pytest.mark.parametrize(
    ("ago_s", "why"),
    [
        (30 * 86_400, "and what is kept begins at"),
        (-3600, "which is still to come"),
        (1, "yet: it is written when the transaction is over"),
        (7200, "of another server"),
    ],
)
@pytest.mark.usefixtures("records")
def test_why_nothing_is_found(fastsmtp: Command, now: float, ago_s: float, why: str) -> None:
    when = now - ago_s
    result = fastsmtp("explain", identifier(when, "00ZZZZ"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: there is no record of {identifier(when, '00ZZZZ')}")
    assert why in result.stderr


def test_where_nothing_is_kept(fastsmtp: Command, site: Path, now: float) -> None:
    result = fastsmtp("explain")
    assert (result.exit_code, result.stderr) == (
        1, f"error: there are no records in {site.parent / 'records.db'}: no server has written any yet\n",
    )  # fmt: skip
    write(site.parent / "records.db", record(now), now_s=now)
    site.write_text("[records]\nenabled = false\n")
    assert "[records] enabled is false" in fastsmtp("explain", identifier(now - 7200)).stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["xx"], "is not an id"),
        (["--since", "yesterday"], "is no time"),
        (["--since", "2 weeks"], "is not a duration"),
        (["--since", "2y"], "is not a duration"),
        (["--address", "example.org"], "is no address and no network"),
        (["--outcome", "fine"], "is not one of"),
        ([identifier(SOME_TIME), "--since", "2h"], "an ID stands by itself"),
    ],
)
@pytest.mark.usefixtures("records")
def test_what_makes_no_sense(fastsmtp: Command, arguments: list[str], why: str) -> None:
    result = fastsmtp("explain", *arguments)
    assert result.exit_code in (1, 2)
    assert why in result.stderr
