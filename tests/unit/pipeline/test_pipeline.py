"""Plugins first, then the directory at RCPT and the store at the end."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fastsmtp.config.model import MaildirSettings
from fastsmtp.delivery.maildir import MaildirStore
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.errors import DirectoryError
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.plugin import (
    Address,
    Connection,
    Header,
    Hello,
    Message,
    NoOptions,
    Opinion,
    PathOpinion,
    Plugin,
    Reply,
    Stage,
    Transaction,
    accept,
)
from fastsmtp.ports import Elsewhere, Found, Mailbox, NoDomain, NoUser, Quotas, Whereabouts
from fastsmtp.smtp.replies import MAILBOX_FULL
from fastsmtp.stats import Stats
from fastsmtp.testing import SettableClock, Site

MESSAGE = b"Subject: hi\n\nHello\n"


class TakesStrangers(Plugin[NoOptions]):
    """Accepts everybody at example.org and keeps their mail."""

    def __init__(self, options: NoOptions, name: str) -> None:
        super().__init__(options, name)
        self.taken: list[bytes] = []

    def on_rcpt(self, txn: Transaction, recipient: Address) -> PathOpinion:
        return accept("welcome", enhanced="2.1.5") if recipient.domain == "example.org" else None

    def on_queue(self, txn: Transaction, message: Message) -> Opinion:
        if any(recipient.mailboxes for recipient in txn.recipients):
            return None
        self.taken.append(bytes(message))
        return accept("taken elsewhere")


class Acceptor(Plugin[NoOptions]):
    """Accepts every recipient and does not say what becomes of them."""

    async def on_rcpt(self, txn: Transaction, recipient: Address) -> PathOpinion:
        await asyncio.sleep(0)
        return accept("sure", enhanced="2.1.5")


class Diary(Plugin[NoOptions]):
    """Writes down every hook that is called."""

    def __init__(self, options: NoOptions, name: str) -> None:
        super().__init__(options, name)
        self.lines: list[str] = []

    def on_connect(self, connection: Connection) -> None:
        self.lines.append(f"connect {connection.remote_address}")

    def on_hello(self, connection: Connection, hello: Hello) -> None:
        self.lines.append(f"hello {hello.verb} {hello.name}")

    def on_mail(self, txn: Transaction, sender: Address) -> None:
        self.lines.append(f"mail {sender}")

    def on_rcpt(self, txn: Transaction, recipient: Address) -> None:
        self.lines.append(f"rcpt {recipient}")

    def on_data(self, txn: Transaction) -> None:
        self.lines.append(f"data {len(txn.recipients)}")

    def on_headers(self, txn: Transaction, header: Header) -> None:
        self.lines.append(f"headers {header.get('Subject')!r}")

    def on_message(self, txn: Transaction, message: Message) -> None:
        self.lines.append(f"message {message.size}")

    def on_queue(self, txn: Transaction, message: Message) -> None:
        self.lines.append(f"queue {message.stored_size}")

    def on_stored(self, txn: Transaction, reply: Reply) -> None:
        self.lines.append(f"stored {reply.code}")

    def on_reset(self, txn: Transaction) -> None:
        self.lines.append(f"reset {txn.outcome}")

    def on_disconnect(self, connection: Connection) -> None:
        self.lines.append("disconnect")

    def on_verb(self, connection: Connection, verb: str, argument: str) -> None:
        self.lines.append(f"verb {verb} {argument}")


def diary_of(site: Site) -> list[str]:
    plugin = site.plugins[0].plugin
    assert isinstance(plugin, Diary)
    return plugin.lines


@dataclass
class Oracle:
    """A directory that answers what it is told to."""

    answer: Whereabouts | DirectoryError
    is_slow: bool
    asked: list[Address] = field(default_factory=list)

    def locate(self, address: Address) -> Whereabouts | Awaitable[Whereabouts]:
        self.asked.append(address)
        return self._later() if self.is_slow else self._now()

    def _now(self) -> Whereabouts:
        if isinstance(self.answer, DirectoryError):
            raise self.answer
        return self.answer

    async def _later(self) -> Whereabouts:
        await asyncio.sleep(0)
        return self._now()

    async def open(self) -> None: ...

    async def close(self) -> None: ...


def test_every_hook_in_the_order_of_a_connection() -> None:
    with Site([Diary]) as site:
        client = site.connect(ip="2001:db8::1")
        client.hello("me.example")
        client.command("NOOP x y")
        client.send("ann@example.org", "user@example.test", MESSAGE)
        client.mail("bob@example.org")
        client.command("RSET")
        client.quit()
        assert diary_of(site) == [
            "connect 2001:db8::1",
            "hello EHLO me.example",
            "verb NOOP x y",
            "mail ann@example.org",
            "rcpt user@example.test",
            "data 1",
            "headers b'hi'",
            "message 22",
            "queue 19",
            "stored 250",
            "reset stored",
            "mail bob@example.org",
            "reset reset",
            "verb QUIT ",
            "disconnect",
        ]


def test_whoever_vanishes_is_told_about() -> None:
    with Site([Diary]) as site:
        client = site.connect()
        client.hello()
        client.mail()
        client.disconnect()
        assert diary_of(site)[-2:] == ["reset lost", "disconnect"]


def test_a_session_asks_only_where_somebody_has_a_hook() -> None:
    assert Site().pipeline.asks == {Stage.RCPT, Stage.QUEUE}
    assert Site(["loop"]).pipeline.asks == {Stage.RCPT, Stage.QUEUE, Stage.HEADERS}
    assert Site(passwords={}).pipeline.asks == {Stage.RCPT, Stage.QUEUE, Stage.AUTH}


def test_who_is_accepted_by_a_plugin_needs_nobody_who_knows_them() -> None:
    with Site([TakesStrangers]) as site:
        client = site.connect()
        client.hello()
        client.mail()
        assert str(client.rcpt("stranger@example.org")) == "250 2.1.5 welcome"
        assert str(client.rcpt("nobody@example.test")) == "550 5.1.1 No such user here"
        assert str(client.rcpt("other@elsewhere.test")) == "550 5.7.1 Relaying denied"
        assert str(client.data(MESSAGE)) == "250 2.0.0 taken elsewhere"
        plugin = site.plugins[0].plugin
        assert isinstance(plugin, TakesStrangers)
        assert plugin.taken == [MESSAGE]
        assert site.delivered == {}
        assert site.transactions[0].recipients[0].mailboxes == ()
        assert site.transactions[0].outcome == "stored"


def test_mail_that_no_plugin_takes_goes_to_the_store() -> None:
    with Site([TakesStrangers]) as site:
        assert site.connect().send("", "user@example.test", MESSAGE).lines == ("kept as T1",)
        assert site.delivered == {"user@example.test": [MESSAGE]}


def test_an_accepted_recipient_whom_nobody_takes_is_no_lost_mail() -> None:
    with Site([Acceptor]) as site:
        client = site.connect()
        assert client.send("", ["user@example.test", "stranger@example.org"], MESSAGE).code == 451
        assert site.delivered == {}
        assert str(client.send("", "user@example.test", MESSAGE)) == "250 2.0.0 kept as T2"


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("plugins", [[], [Diary], [Acceptor]])
@pytest.mark.parametrize(
    ("answer", "text", "count"),
    [
        (Found((Mailbox("example.test", "user"),)), "250 2.1.5 Recipient OK", "found"),
        (NoUser(), "550 5.1.1 No such user here", "no_user"),
        (NoDomain(), "550 5.7.1 Relaying denied", "no_domain"),
        (
            Elsewhere(("friend@elsewhere.test",)),
            "550 5.4.4 This address leads to another server, and nothing is sent on here",
            "elsewhere",
        ),
        (DirectoryError("database away"), "451 4.4.3 Cannot look up recipients now, try again later", "trouble"),
    ],
)
def test_what_the_directory_says_is_what_the_client_hears(
    *,
    is_slow: bool,
    plugins: list[type[Plugin[NoOptions]]],
    answer: Whereabouts | DirectoryError,
    text: str,
    count: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = Oracle(answer, is_slow)
    with Site(plugins, directory=directory) as site:
        client = site.connect()
        client.hello()
        client.mail()
        accepted = plugins == [Acceptor] and count != "trouble"
        assert str(client.rcpt("user@example.test")) == ("250 2.1.5 sure" if accepted else text)
        assert directory.asked == [Address("user", "example.test")]
        assert site.count("fastsmtp_lookups_total", result=count) == 1
    assert [record.getMessage() for record in caplog.records] == (["directory trouble"] if count == "trouble" else [])


class SlowStore:
    """Answers later."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def store(self, transaction: Transaction) -> Awaitable[Reply]:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, self.reply)
        return future

    async def open(self) -> None: ...

    async def close(self) -> None: ...


@pytest.mark.parametrize("plugins", [[], [Diary], [{"use": Diary}, TakesStrangers]])
@pytest.mark.parametrize(("reply", "outcome"), [(accept("kept"), "stored"), (Reply(452, "4.3.1", "full"), "deferred")])
def test_the_store_has_the_last_word(plugins: list[type[Plugin[NoOptions]]], reply: Reply, outcome: str) -> None:
    with Site(plugins, store=SlowStore(reply)) as site:
        assert str(site.connect().send("", "user@example.test", MESSAGE)) == str(reply)
        assert site.transactions[0].outcome == outcome
        if plugins:
            assert ("stored 250" in diary_of(site)) is (outcome == "stored")


LIMITED = Mailbox("example.test", "user", 1000)
UNLIMITED = Mailbox("example.test", "other")


@dataclass
class Limits:
    """Quotas that answer what they are told to."""

    answer: Reply | None
    is_slow: bool = False
    asked: list[tuple[Sequence[Mailbox], int | None]] = field(default_factory=list)

    def admits(self, mailboxes: Sequence[Mailbox], size: int | None) -> Reply | Awaitable[Reply | None] | None:
        self.asked.append((mailboxes, size))
        return self._later() if self.is_slow else self.answer

    async def _later(self) -> Reply | None:
        await asyncio.sleep(0)
        return self.answer


def limit(site: Site, quotas: Quotas) -> Site:
    """The same site, where mailboxes may be full."""
    chain = Chain(site.plugins, site.stats, site.clock)
    site.pipeline = Pipeline(chain, site.directory, site.store, site.stats, quotas)
    return site


@pytest.mark.parametrize("plugins", [[], [Acceptor]])
@pytest.mark.parametrize("is_slow_directory", [False, True])
@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("answer", [None, MAILBOX_FULL])
def test_a_full_mailbox_is_refused_at_rcpt(
    *, plugins: list[type[Plugin[NoOptions]]], is_slow_directory: bool, is_slow: bool, answer: Reply | None
) -> None:
    quotas = Limits(answer, is_slow)
    mailboxes = (UNLIMITED, LIMITED)
    with limit(Site(plugins, directory=Oracle(Found(mailboxes), is_slow_directory)), quotas) as site:
        client = site.connect()
        client.hello()
        client.mail("", "SIZE=700")
        accepted = "250 2.1.5 sure" if plugins else "250 2.1.5 Recipient OK"
        assert str(client.rcpt("user@example.test")) == (accepted if answer is None else str(MAILBOX_FULL))
        client.command("RSET")
        client.mail()
        client.rcpt("user@example.test")
        assert quotas.asked == [(mailboxes, 700), (mailboxes, None)]
        assert site.count("fastsmtp_lookups_total", result="found") == 2
        refused = [] if answer is None else [(Address("user", "example.test"), answer)]
        assert site.transactions[0].refusals == refused


def test_nobody_is_asked_about_mailboxes_without_a_quota() -> None:
    quotas = Limits(MAILBOX_FULL)
    with limit(Site(directory=Oracle(Found((UNLIMITED,)), is_slow=False)), quotas) as site:
        assert site.connect().send("", "user@example.test", MESSAGE).code == 250
    assert quotas.asked == []


def test_without_quotas_everybody_has_room() -> None:
    with Site(directory=Oracle(Found((LIMITED,)), is_slow=False)) as site:
        assert site.connect().send("", "user@example.test", MESSAGE).code == 250


def test_quotas_from_the_directory_to_the_maildir(tmp_path: Path) -> None:
    directory = MemoryDirectory(["free@example.test"])
    directory.add_user("ann@example.test", quota_bytes=2000)
    directory.add_user("bob@example.test", quota_bytes=100_000)
    for target in ("ann@example.test", "bob@example.test"):
        directory.add_alias("both@example.test", target)
    options = {"root": str(tmp_path), "durability": "none", "over_quota": "reject"}
    settings = MaildirSettings.model_validate(options, context={"base": tmp_path})
    store = MaildirStore(settings, "mx.example.test", SettableClock(), Stats())
    big = b"Subject: x\n\n" + b"x" * 70 + b"\n"
    folder = tmp_path / "example.test"
    with limit(Site(directory=directory, store=store), store.quotas) as site:
        client = site.connect()
        while (reply := client.send("", "ann@example.test", big)).code == 250:
            stored = len(list((folder / "ann" / "new").iterdir()))
            assert stored < 20
        # It did not fit, though there was room for something: that was heard at the end.
        assert str(reply) == "552 5.2.2 Mailbox is over its quota"
        assert site.transactions[-1].refusals == []
        assert len(list((folder / "ann" / "new").iterdir())) == stored

        # Who announces that much hears it at RCPT, and the others get their mail.
        client.mail("", "SIZE=1000")
        assert str(client.rcpt("ann@example.test")) == "552 5.2.2 Mailbox is over its quota"
        assert str(client.rcpt("both@example.test")) == "452 4.2.2 Mailbox full, try again later"
        assert client.rcpt("bob@example.test").code == 250
        assert client.rcpt("free@example.test").code == 250
        assert client.data(big).code == 250

        # One reply for all: nobody gets what one has no room for.
        everybody = ["free@example.test", "ann@example.test", "bob@example.test"]
        assert str(client.send("", everybody, big)) == "452 4.2.2 Mailbox full, try again later"
        assert [len(list((folder / user / "new").iterdir())) for user in ("ann", "bob", "free")] == [stored, 1, 1]

        # Ann tidies up, and her IMAP server says so.
        for message in (folder / "ann" / "new").iterdir():
            with (folder / "ann" / "maildirsize").open("a") as file:
                file.write(f"-{message.stat().st_size} -1\n")
            message.unlink()
        assert client.send("", everybody, big).code == 250
    assert [len(list((folder / user / "new").iterdir())) for user in ("ann", "bob", "free")] == [1, 2, 2]
