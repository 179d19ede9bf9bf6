"""Who may log in: every backend gives the same answers; the questions are asked once, of each of them."""

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from worlds import BACKENDS, Alias, Town, World

from fastsmtp.directory.logins import LoginRow, login_of, login_question
from fastsmtp.ports import Login
from fastsmtp.smtp.address import Address, parse_mailbox

HASH = "$argon2id$one"
OTHER = "$argon2id$another"

LOGINS: Mapping[tuple[str, str], tuple[bool | None, str | None]] = {
    ("example.test", "joe"): (True, HASH),
    ("example.test", "Mixed.Case"): (True, HASH),
    ("example.test", "joe+exact"): (True, OTHER),
    ("example.test", "locked"): (False, HASH),
    ("example.test", "null"): (None, HASH),
    ("example.test", "bare"): (True, None),
    ("example.test", "empty"): (True, ""),
    ("example.test", "mute"): (True, HASH),
    ("example.test", "two words"): (True, HASH),
    ("example.test", ".hidden"): (True, HASH),
    ("example.test", unicodedata.normalize("NFD", "Zoë")): (True, HASH),
    ("closed.test", "joe"): (True, HASH),
    ("Österreich.TEST", "joe"): (True, HASH),
    ("both.test", "joe"): (True, OTHER),
}
WORLD = World(
    domains={"example.test": True, "closed.test": False, "Österreich.TEST": True, "both.test": True},
    users={user: user[1] != "mute" for user in LOGINS},
    logins=LOGINS,
    quotas={("example.test", "joe"): 1000},
    aliases=[
        Alias("example.test", "sales", "joe@example.test"),
        Alias("example.test", "*", "joe@example.test"),
    ],
    domain_aliases={
        "alias.test": ("example.test", True),
        "off.test": ("example.test", False),
        "both.test": ("example.test", True),
    },
)


@pytest.fixture(params=list(BACKENDS))
def build(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def town(build: str, tmp_path: Path) -> Iterator[Town]:
    with Town(BACKENDS[build](tmp_path, WORLD)) as town:
        yield town


@pytest.mark.parametrize(
    ("name", "canonical", "password_hash"),
    [
        ("joe@example.test", "joe@example.test", HASH),
        ("JOE@EXAMPLE.TEST", "joe@example.test", HASH),
        ('"joe"@example.test', "joe@example.test", HASH),
        ("mixed.case@example.test", "mixed.case@example.test", HASH),
        ("joe+exact@example.test", "joe+exact@example.test", OTHER),
        ('"two words"@example.test', '"two words"@example.test', HASH),
        ("zoë@example.test", "zoë@example.test", HASH),
        ("joe@österreich.test", "joe@xn--sterreich-z7a.test", HASH),
        ("joe@xn--sterreich-z7a.test", "joe@xn--sterreich-z7a.test", HASH),
        # who cannot receive may still log in
        ("mute@example.test", "mute@example.test", HASH),
        # a domain alias comes before a domain of the same name, as for mail
        ("joe@alias.test", "joe@example.test", HASH),
        ("joe@both.test", "joe@example.test", HASH),
    ],
)
def test_who_may_log_in(town: Town, name: str, canonical: str, password_hash: str) -> None:
    login = town.find_login(parse_mailbox(name))
    assert login is not None
    assert (str(login.address), login.password_hash) == (canonical, password_hash)


@pytest.mark.parametrize(
    "name",
    [
        "nobody@example.test",
        "joe@elsewhere.test",
        "joe@closed.test",
        "joe@off.test",
        "locked@example.test",
        "null@example.test",
        "bare@example.test",
        "empty@example.test",
        "joe+tag@example.test",
        "sales@example.test",
        "anybody@example.test",
        "anybody@both.test",
        ".hidden@example.test",
        '".hidden"@example.test',
        "joe@[192.0.2.1]",
        "%@example.test",
        '"\' OR 1=1 --"@example.test',
    ],
)
def test_who_may_not(town: Town, name: str) -> None:
    try:
        address = parse_mailbox(name)
    except ValueError:
        address = Address(*name.split("@"))
    assert town.find_login(address) is None


def test_without_passwords_nobody_may(build: str, tmp_path: Path) -> None:
    with Town(BACKENDS[build](tmp_path, World({"example.test": True}, {("example.test", "joe"): True}))) as town:
        assert town.find_login(parse_mailbox("joe@example.test")) is None


def test_a_hash_is_not_shown() -> None:
    assert HASH not in repr(Login(Address("joe", "example.test"), HASH))


@pytest.mark.parametrize("domain", ["", "Example.Test", "[192.0.2.1]", "bücher.test"])
def test_no_question_about_what_is_no_domain_in_its_form(domain: str) -> None:
    assert login_question(Address("joe", domain)) is None


def row(name: str | None, *, can_login: int | None = 1, password_hash: str | None = HASH) -> LoginRow:
    return LoginRow("example.test", "example.test", 1, name, can_login, password_hash)


def test_of_several_rows_the_one_counts_that_lets_in() -> None:
    question = login_question(Address("joe", "example.test"))
    assert question is not None
    rows = [row("joe", can_login=0), row(None), row("joe", password_hash=None), row("ann"), row("JOE")]
    assert login_of(rows, question) == Login(Address("joe", "example.test"), HASH)
    assert login_of(rows[:4], question) is None
    stranger = LoginRow("other.test", "other.test", 1, "joe", 1, HASH)
    assert login_of([stranger, LoginRow(None, None, 1, "joe", 1, HASH)], question) is None
