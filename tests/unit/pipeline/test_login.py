"""Who is let in: by plugins, by the directory, and what is counted and logged of it."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import pytest

from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.errors import DirectoryAwayError, DirectoryError, PasswordsBusyError, UnknownSchemeError
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.login import LoginDesk
from fastsmtp.plugin import (
    Address,
    Connection,
    Credentials,
    Naughty,
    NoOptions,
    Opinion,
    Plugin,
    Reply,
    accept,
    defer,
    naughty,
    reject,
)
from fastsmtp.ports import Login
from fastsmtp.smtp.sasl import MECHANISMS, KeysWanted, MechanismName, ScramKeys
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock, Site

PASSWORD = "secret"  # noqa: S105 - of nobody
ANN = {"ann@example.test": PASSWORD}
MESSAGE = b"Subject: hi\n\nHello\n"
WRONG = "535 5.7.8 User or password is wrong"
TROUBLE = "454 4.7.0 Cannot check that now, try again later"


class Passwords:
    """Compares in plain text, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.is_busy = False
        self.fault: Exception | None = None

    def check(self, password: str, password_hash: str | None) -> Awaitable[bool]:
        self.asked.append((password, password_hash))
        if isinstance(self.fault, PasswordsBusyError):
            raise self.fault
        return self._check(password == password_hash)

    async def _check(self, is_right: bool) -> bool:
        if self.fault is not None:
            raise self.fault
        return is_right

    def scram_keys(self, user: str, password_hash: str | None) -> ScramKeys:
        self.asked.append((user, password_hash))
        return ScramKeys(b"", 4096, b"", b"")


class Directory(MemoryDirectory):
    """Answers later, or not at all."""

    fault: DirectoryError | None = None
    asked = 0

    def find_login(self, address: Address) -> Any:
        self.asked += 1
        return self._find(address)

    async def _find(self, address: Address) -> Login | None:
        if self.fault is not None:
            raise self.fault
        return super().find_login(address)


class Desk:
    """A desk with everything around it."""

    def __init__(self) -> None:
        self.passwords = Passwords()
        self.directory = Directory()
        self.directory.add_user("Ann@Example.test", password_hash=PASSWORD)
        self.directory.add_user("mute@example.test", password_hash=PASSWORD, can_login=False)
        self.directory.add_user("bare@example.test")
        self.directory.add_domain_alias("alias.test", "example.test")
        stats = Stats()
        chain = Chain([], stats, SettableClock())
        self.desk = LoginDesk(chain, self.directory, self.passwords, stats, MECHANISMS)
        self.connection = Connection("C1", "192.0.2.1", 1025, "192.0.2.25", 25)

    def answer(self, credentials: Credentials) -> str:
        return str(asyncio.run(self.desk.answer(self.connection, credentials)))

    def login(self, user: str, password: str = PASSWORD, mechanism: MechanismName = "PLAIN") -> str:
        return self.answer(Credentials(mechanism, user, password))

    def keys(self, user: str) -> ScramKeys | Reply:
        return asyncio.run(self.desk.keys(self.connection, KeysWanted(user)))


@pytest.mark.parametrize("name", ["ann@example.test", "ANN@EXAMPLE.TEST", '"ann"@example.test', "ann@alias.test"])
def test_who_is_let_in_has_one_name(name: str) -> None:
    credentials = Credentials("LOGIN", name, "secret")
    assert Desk().answer(credentials) == "235 2.7.0 Authentication successful"
    assert credentials.user == "ann@example.test"


@pytest.mark.parametrize(
    ("user", "password", "password_hash"),
    [
        ("ann@example.test", "Secret", "secret"),
        ("nobody@example.test", "secret", None),
        ("ann@elsewhere.test", "secret", None),
        ("mute@example.test", "secret", None),
        ("bare@example.test", "secret", None),
        ("ann+tag@example.test", "secret", None),
        ("ann", "secret", None),
        ("", "secret", None),
        ("ann@[192.0.2.1]", "secret", None),
    ],
)
def test_whoever_it_is_the_password_is_checked_once(user: str, password: str, password_hash: str | None) -> None:
    desk = Desk()
    assert desk.login(user, password) == WRONG
    assert desk.passwords.asked == [(password, password_hash)]


def test_keys_are_asked_for_once_and_by_the_name_that_counts() -> None:
    desk = Desk()
    for user in ("Ann@Example.Test", "Nobody@Example.test", "nobody"):
        assert isinstance(desk.keys(user), ScramKeys)
    assert desk.passwords.asked == [("ann@example.test", "secret"), ("nobody@example.test", None), ("nobody", None)]


def test_what_was_proven_needs_no_password_but_still_a_user() -> None:
    desk = Desk()
    assert desk.answer(Credentials("SCRAM-SHA-256", "Ann@example.test", is_proven=True)).startswith("235 ")
    assert desk.answer(Credentials("SCRAM-SHA-256", "mute@example.test", is_proven=True)) == WRONG
    assert desk.answer(Credentials("SCRAM-SHA-256", "ann@example.test", is_proven=False)) == WRONG
    assert desk.passwords.asked == []


@pytest.mark.parametrize(
    ("fault", "logged"), [(DirectoryError("it is locked"), 1), (DirectoryAwayError("it is away, as the log knows"), 0)]
)
def test_a_directory_in_trouble_refuses_nobody(
    fault: DirectoryError, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    desk.directory.fault = fault
    assert desk.login("ann@example.test") == TROUBLE
    assert str(desk.keys("ann@example.test")) == TROUBLE
    assert desk.passwords.asked == []
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2 * logged


def test_a_hash_that_nobody_can_read_is_our_trouble(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.passwords.fault = UnknownSchemeError("of no scheme that is known")
    assert desk.login("ann@example.test") == TROUBLE
    assert [record.getMessage() for record in caplog.records] == ["login trouble"]


def test_a_flood_reaches_neither_password_nor_database() -> None:
    desk = Desk()
    desk.passwords.is_busy = True
    assert desk.login("ann@example.test") == TROUBLE
    assert (desk.directory.asked, desk.passwords.asked) == (0, [])
    assert desk.answer(Credentials("SCRAM-SHA-256", "ann@example.test", is_proven=True)).startswith("235 ")
    desk.passwords.is_busy = False
    desk.passwords.fault = PasswordsBusyError("too many")
    assert desk.login("ann@example.test") == TROUBLE


def test_one_line_and_one_count_for_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastsmtp.auth")
    with Site(passwords=ANN) as site:
        client = site.connect("192.0.2.7")
        client.login("nobody@example.test", "guess")
        client.login("my-password", "guess", "LOGIN")
        client.login("Ann@example.test", "secret", "LOGIN")
        assert site.count("fastsmtp_auth_total", mechanism="PLAIN", result="refused") == 1
        assert site.count("fastsmtp_auth_total", mechanism="LOGIN", result="refused") == 1
        assert site.count("fastsmtp_auth_total", mechanism="LOGIN", result="accepted") == 1
        assert site.count("fastsmtp_auth_total") == 3
    lines = [
        (record.__dict__["event"], record.__dict__["remote"], record.__dict__["mechanism"], record.__dict__["user"])
        for record in caplog.records
    ]
    assert lines == [
        ("auth", "192.0.2.7", "PLAIN", "nobody@example.test"),
        ("auth", "192.0.2.7", "LOGIN", ""),  # it may be a password in the wrong place
        ("auth", "192.0.2.7", "LOGIN", "ann@example.test"),
    ]
    assert [record.__dict__["result"] for record in caplog.records] == ["refused", "refused", "accepted"]
    said = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert not any(secret in said for secret in ("guess", "secret", "my-password"))


# --- plugins ---------------------------------------------------------------------------------------------------------


class Decides(Plugin[NoOptions]):
    """Lets `in` in, `out` not, and so on; remembers nothing but users."""

    opinions: dict[str, Opinion] = {  # noqa: RUF012 - nobody changes it
        "in@example.test": accept(),
        "IN": accept(),
        "out@example.test": reject("5.7.8", "not you", code=535),
        "later@example.test": defer("4.7.0", "not now", code=454),
        "bad@example.test": naughty("bad user"),
    }

    def on_auth(self, connection: Connection, credentials: Credentials) -> Opinion:
        return self.opinions.get(credentials.user)


class DecidesLater(Decides):
    async def on_auth(self, connection: Connection, credentials: Credentials) -> Opinion:  # type: ignore[override] # it may be async
        await asyncio.sleep(0)
        return self.opinions.get(credentials.user)


@pytest.mark.parametrize("plugin", [Decides, DecidesLater])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_plugins_come_first(plugin: type[Decides], mechanism: MechanismName) -> None:
    with Site([plugin], passwords={**ANN, "out@example.test": "secret"}) as site:

        def heard(user: str, password: str = PASSWORD) -> tuple[str, str]:
            client = site.connect()
            return str(client.login(user, password, mechanism)), client.connection.user

        yes = "235 2.7.0 Authentication successful"
        assert heard("in@example.test", "whatever") == (yes, "in@example.test")
        assert heard("IN", "whatever") == (yes, "IN")
        assert heard("out@example.test") == ("535 5.7.8 not you", "")
        assert heard("later@example.test") == ("454 4.7.0 not now", "")
        assert heard("ann@example.test") == (yes, "ann@example.test")
        assert heard("bad@example.test") == (WRONG, "")
        assert site.count("fastsmtp_auth_total", result="deferred") == 1


def test_plugins_see_whom_scram_has_proven() -> None:
    seen: list[Credentials] = []

    class Sees(Plugin[NoOptions]):
        def on_auth(self, connection: Connection, credentials: Credentials) -> Opinion:
            seen.append(
                Credentials(credentials.mechanism, credentials.user, credentials.password, credentials.is_proven)
            )
            return reject("5.7.1", "not by this road") if len(seen) == 2 else None

    with Site([Sees], passwords=ANN) as site:
        assert site.connect().login("ann@example.test", "secret", "SCRAM-SHA-256").code == 235
        assert site.connect().login("ann@example.test", "secret", "SCRAM-SHA-256").code == 550
        assert site.connect().login("ann@example.test", "wrong", "SCRAM-SHA-256").code == 535  # nobody is asked
    assert seen == [Credentials("SCRAM-SHA-256", "ann@example.test", is_proven=True)] * 2


def test_a_shadow_changes_nothing() -> None:
    class Meddles(Plugin[NoOptions]):
        def on_auth(self, connection: Connection, credentials: Credentials) -> Opinion:
            credentials.user, credentials.password, credentials.is_proven = "root", "x", True
            return reject("5.7.1", "no")

    with Site([{"use": Meddles, "mode": "shadow"}], passwords=ANN) as site:
        client = site.connect()
        assert client.login("ann@example.test", "secret").code == 235
        assert client.connection.user == "ann@example.test"
        [result] = client.connection.results
        assert (result.outcome, result.evidence) == ("skip", "shadow auth: 550 5.7.1 no")


@pytest.mark.parametrize("hook", ["on_connect", "on_hello", "on_auth", "on_mail", "on_rcpt", "on_data", "on_message"])
def test_who_has_logged_in_is_not_naughty(hook: str) -> None:
    def bad(*_: object) -> Naughty:
        return naughty("bad neighbourhood")

    plugin: type[Plugin[NoOptions]] = type("Bad", (Plugin,), {hook: bad})
    with Site([plugin], ["bob@example.test"], passwords=ANN) as site:
        stranger = site.connect()
        if hook != "on_auth":
            assert str(stranger.send("x@example.org", "bob@example.test", MESSAGE)) == "550 5.7.1 bad neighbourhood"
        user = site.connect()
        assert user.login("ann@example.test", "secret").code == 235
        assert user.send("ann@example.test", "bob@example.test", MESSAGE).code == 250
        assert str(user.send("ann@example.test", "x@elsewhere.test", MESSAGE)) == "550 5.7.1 Relaying denied"
