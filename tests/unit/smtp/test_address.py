"""Paths and mailboxes; the rows are in tests/vectors/addresses.toml."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fastsmtp.smtp.address import (
    DOMAIN_OCTETS,
    NULL_SENDER,
    PATH_OCTETS,
    Address,
    AddressError,
    canonical_domain,
    fold,
    parse_forward_path,
    parse_mailbox,
    parse_reverse_path,
    unicode_domain,
)

Parse = Callable[..., tuple[Address, bytes]]
SENDER: Parse = parse_reverse_path
RECIPIENT: Parse = parse_forward_path


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    path: str = ""
    raw: str = ""
    repeat: dict[str, tuple[str, int]] = field(default_factory=dict)
    smtputf8: bool = False
    local: str = ""
    domain: str = ""
    rest: str = ""
    needs_smtputf8: bool = False

    def __str__(self) -> str:
        return ascii(self.raw or self.path)[1:-1]

    @property
    def argument(self) -> bytes:
        return self.fill(self.raw).encode("latin-1") if self.raw else self.fill(self.path).encode()

    @property
    def address(self) -> Address:
        return Address(self.fill(self.local), self.fill(self.domain))

    def fill(self, text: str) -> str:
        for mark, (repeated, count) in self.repeat.items():
            text = text.replace(f"{{{mark}}}", repeated * count)
        return text


TABLE = tomllib.loads((Path(__file__).parents[2] / "vectors" / "addresses.toml").read_text())


def rows(kind: str) -> list[Row]:
    return [Row(**row) for row in TABLE[kind]]


def cases(kind: str) -> list[tuple[Parse, Row]]:
    """Every row of this kind with the parsers that it concerns."""
    return [(SENDER, row) for row in rows(kind) + rows(f"{kind}_sender")] + [
        (RECIPIENT, row) for row in rows(kind) + rows(f"{kind}_recipient")
    ]


def label(value: Row | Parse) -> str:
    return str(value) if isinstance(value, Row) else value.__name__


@pytest.mark.parametrize(("parse", "row"), cases("valid"), ids=label)
def test_valid_path(parse: Parse, row: Row) -> None:
    assert parse(row.argument, smtputf8=row.smtputf8) == (row.address, row.rest.encode())


@pytest.mark.parametrize(("parse", "row"), cases("invalid"), ids=label)
def test_invalid_path(parse: Parse, row: Row) -> None:
    with pytest.raises(AddressError) as caught:
        parse(row.argument, smtputf8=row.smtputf8)
    assert caught.value.needs_smtputf8 is row.needs_smtputf8


def test_an_8_bit_row_needs_nothing_but_smtputf8() -> None:
    needing = [row for row in rows("invalid") if row.needs_smtputf8]
    assert needing
    for row in needing:
        for parse in (SENDER, RECIPIENT):
            address, rest = parse(row.argument, smtputf8=True)
            assert address.local
            assert rest == b""


def test_smtputf8_changes_nothing_for_ascii() -> None:
    for row in rows("valid"):
        if row.argument.isascii():
            assert parse_forward_path(row.argument, smtputf8=True) == parse_forward_path(row.argument)


def test_the_table_is_big_enough() -> None:
    assert len(rows("invalid") + rows("invalid_recipient")) >= 32
    assert len(rows("invalid") + rows("invalid_sender")) >= 14
    assert len(rows("valid")) >= 24


def test_every_valid_row_comes_back_from_its_text() -> None:
    for row in rows("valid"):
        assert parse_mailbox(str(row.address)) == row.address


# --- What an address says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address("user", "example.org"), "user@example.org"),
        (Address("with space", "example.org"), '"with space"@example.org'),
        (Address('q"b\\s', "example.org"), '"q\\"b\\\\s"@example.org'),
        (Address("", "example.org"), '""@example.org'),
        (Address(".a", "example.org"), '".a"@example.org'),
        (Address("ü", "xn--bcher-kva.example"), "ü@xn--bcher-kva.example"),
        (Address("user", "[192.0.2.1]"), "user@[192.0.2.1]"),
        (Address("postmaster", ""), "postmaster"),
        (NULL_SENDER, ""),
    ],
)
def test_text(address: Address, text: str) -> None:
    assert str(address) == text


def test_null() -> None:
    assert NULL_SENDER.is_null
    assert not Address("", "example.org").is_null
    assert not Address("postmaster", "").is_null


@pytest.mark.parametrize("local", ["postmaster", "Postmaster", "POSTMASTER"])
def test_postmaster_in_any_case_and_any_domain(local: str) -> None:
    assert Address(local, "").is_postmaster
    assert Address(local, "example.org").is_postmaster


@pytest.mark.parametrize("local", ["postmaste", "postmasters", "p\u043estmaster", "po\u017ftmaster", ""])
def test_not_postmaster(local: str) -> None:
    assert not Address(local, "example.org").is_postmaster


def test_ascii_is_about_the_local_part() -> None:
    assert parse_mailbox("user@bücher.example").is_ascii
    assert not parse_mailbox("usér@example.org").is_ascii


def test_unicode_domain() -> None:
    assert parse_mailbox("user@XN--BCHER-KVA.example").unicode_domain == "bücher.example"
    assert Address("user", "example.org").unicode_domain == "example.org"
    assert unicode_domain("xn--a.example") == "xn--a.example"


def test_folded_local() -> None:
    assert Address("John.DOE", "example.org").folded_local == "john.doe"


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ABCxyz-0_[]@`{}", "abcxyz-0_[]@`{}"),
        ("jose\u0301", "jos\u00e9"),
        ("\u00c9", "\u00c9"),  # only ASCII letters have a case here
        ("Straße", "straße"),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize("look_alike", ["\u212a", "\u037e", "\u1fef", "\uff21", "\u0430", "\u017f", "\u0130", "\ufb00"])
def test_fold_makes_no_ascii_out_of_anything(look_alike: str) -> None:
    for text in (look_alike, f"a{look_alike}b", f"{look_alike}\u0301", f"e\u0301{look_alike}"):
        assert not any(char.isascii() for char in fold(text).replace("a", "").replace("b", ""))
        assert fold(fold(text)) == fold(text)


# --- Domains ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "domain", ["bücher.example", "BÜCHER.EXAMPLE", "bu\u0308cher.example", "XN--bcher-KVA.example"]
)
def test_a_domain_has_one_spelling(domain: str) -> None:
    assert canonical_domain(domain) == "xn--bcher-kva.example"


def test_a_domain_has_at_most_255_octets() -> None:
    longest = ".".join(["x" * 63] * 3 + ["x" * 61, "x"])
    assert len(longest) == DOMAIN_OCTETS
    assert canonical_domain(longest) == longest
    with pytest.raises(AddressError, match="too long"):
        canonical_domain(f"{longest}x")


@pytest.mark.parametrize(
    "domain", ["", ".", "a..b", "a.", "[192.0.2.1]", "a b", "a\n", "a/b", "\udc80.example", "a\ud800.example"]
)
def test_not_a_domain(domain: str) -> None:
    with pytest.raises(AddressError):
        canonical_domain(domain)


# --- What an operator types -------------------------------------------------------------------------------------------


def test_a_mailbox_has_no_brackets() -> None:
    assert parse_mailbox("User@Example.ORG") == Address("User", "example.org")
    assert parse_mailbox("usér@bücher.example") == Address("usér", "xn--bcher-kva.example")


@pytest.mark.parametrize(
    "text",
    ["", "user", "<user@example.org>", "user@example.org ", "user@", "@example.org", "a@b\n", "a\ud800@b", "a@b\udcff"],
)
def test_not_a_mailbox(text: str) -> None:
    with pytest.raises(AddressError):
        parse_mailbox(text)


def test_a_mailbox_fits_into_a_path() -> None:
    longest = "a" * (PATH_OCTETS - len("<@example.org>")) + "@example.org"
    assert str(parse_mailbox(longest)) == longest
    with pytest.raises(AddressError, match="too long"):
        parse_mailbox(f"a{longest}")


# --- Hostile input ----------------------------------------------------------------------------------------------------

HOSTILE = r"""
from fastsmtp.smtp.address import AddressError, parse_forward_path, parse_reverse_path, parse_mailbox, canonical_domain

def fill(unit, size=2048):
    return (unit * size)[:size]

UNITS = r'''
    @a, @a. @a- @a: @ a- a. a - . a.a- a@ a@a. " \" \ "a" < > [ ] [a a@[1. a@[IPv6: xn-- xn--a. _
    é é. é- @é,
'''.split() + ["\u0301", "e\u0301", "\ufdfa", "\u0660"]
STARTS = ["", "<", "<@", "<@a", "<a@", '<"', "<a@[", "<@a,@"]
ENDS = ["", ">", ":a@b>", "!>", "@a>", '"@a>', "->", ".>", ",>"]
tried = 0
for unit in UNITS:
    for start in STARTS:
        for end in ENDS:
            text = start + fill(unit) + end
            for parse in (parse_forward_path, parse_reverse_path):
                try:
                    parse(text.encode(), smtputf8=True)
                except AddressError:
                    tried += 1
            for parse in (parse_mailbox, canonical_domain):
                try:
                    parse(text)
                except AddressError:
                    tried += 1
print(tried)
"""


def test_hostile_input_is_refused_in_bounded_steps() -> None:
    """Backtracking would take hours; in a process of its own it can be ended."""
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) > 5_000
