"""The order of opinions, and what becomes of them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fastsmtp.config.model import PluginEntry
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.loader import load_plugins
from fastsmtp.plugin import (
    Address,
    Connection,
    Hello,
    Message,
    Naughty,
    NoOptions,
    PathOpinion,
    Plugin,
    Reply,
    Stage,
    Transaction,
    Verdict,
    accept,
    defer,
    naughty,
    reject,
)
from fastsmtp.smtp.record import Result
from fastsmtp.stats import Stats
from fastsmtp.testing import PluginSpec, SettableClock, Site

MESSAGE = b"Subject: hi\n\nHello\n"
USERS = ("user@example.test", "other@example.test", "postmaster@example.test")
NO, LATER = reject("5.7.1", "no"), defer("4.7.1", "later")
USER, OTHER = Address("user", "example.test"), Address("other", "example.test")


def plugin_with(stage: Stage, hook: Callable[..., Any]) -> type[Plugin[NoOptions]]:
    return type("Sample", (Plugin,), {stage.value: hook})


def says(stage: Stage, answer: object, name: str = "Sample", **table: object) -> dict[str, Any]:
    """A plugin that always says this."""
    return {"use": plugin_with(stage, lambda *_: answer), "name": name, **table}


def says_later(stage: Stage, answer: object, name: str = "Sample", **table: object) -> dict[str, Any]:
    async def hook(*_: object) -> object:
        await asyncio.sleep(0)
        return answer

    return {"use": plugin_with(stage, hook), "name": name, **table}


def send(*plugins: dict[str, Any], to: str = "user@example.test") -> str:
    with Site(plugins, USERS) as site:
        return str(site.connect().send("ann@example.org", to, MESSAGE))


@pytest.mark.parametrize("first", [says, says_later])
@pytest.mark.parametrize("second", [says, says_later])
def test_the_first_opinion_wins(first: Callable[..., dict[str, Any]], second: Callable[..., dict[str, Any]]) -> None:
    silent, no, later = first(Stage.MAIL, None, "a"), second(Stage.MAIL, NO, "b"), first(Stage.MAIL, LATER, "c")
    assert send(silent, no, later) == "550 5.7.1 no"
    assert send(later, silent, no) == "450 4.7.1 later"
    assert send(silent, second(Stage.MAIL, accept("fine"), "b"), no | {"name": "c"}) == "250 2.0.0 kept as T1"


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.HEADERS, Stage.MESSAGE, Stage.QUEUE])
def test_refusals_at_every_stage_of_a_transaction(stage: Stage) -> None:
    assert send(says(stage, NO)) == "550 5.7.1 no"
    assert send(says(stage, LATER)) == "450 4.7.1 later"


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.HEADERS, Stage.MESSAGE, Stage.QUEUE])
def test_hanging_up(stage: Stage) -> None:
    with Site([says(stage, NO.hang_up())]) as site:
        client = site.connect()
        assert str(client.send("", "user@example.test", MESSAGE)) == "550 5.7.1 no"
        assert not client.is_open


def test_greetings_are_refused_with_the_codes_of_greetings() -> None:
    for answer, text in ((NO, "554 5.7.1 no"), (LATER, "421 4.7.1 later")):
        with Site([says(Stage.CONNECT, answer)]) as site:
            client = site.connect()
            assert str(client.greeting) == text
            assert not client.is_open


def test_verbs_of_plugins() -> None:
    class Help(Plugin[NoOptions]):
        def on_verb(self, connection: Connection, verb: str, argument: str) -> Reply | None:
            return accept(f"{argument}!", enhanced="", code=214) if verb in ("XECHO", "QUIT") else None

    with Site([Help]) as site:
        client = site.connect()
        assert str(client.command("xecho a b")) == "214 a b!"
        assert client.command("XOTHER").code == 500
        assert client.quit().code == 221


class Rewriter(Plugin[NoOptions]):
    """Takes tags off senders and recipients."""

    def on_mail(self, txn: Transaction, sender: Address) -> Address | None:
        return Address(sender.local.upper(), sender.domain)

    async def on_rcpt(self, txn: Transaction, recipient: Address) -> Address | None:
        await asyncio.sleep(0)
        return Address(recipient.local + "r", recipient.domain)


@dataclass(slots=True)
class Seen:
    addresses: list[str]


class Witness(Plugin[NoOptions]):
    """Remembers the addresses that it is asked about."""

    def on_mail(self, txn: Transaction, sender: Address) -> PathOpinion:
        txn.notes.put(Seen([str(sender)]))
        return None

    def on_rcpt(self, txn: Transaction, recipient: Address) -> PathOpinion:
        seen = txn.notes.get(Seen)
        assert seen is not None
        seen.addresses.append(str(recipient))
        return None


def test_rewritten_addresses_are_what_the_next_one_sees() -> None:
    plugins: list[PluginSpec] = [Witness, Rewriter, {"use": Rewriter, "name": "again"}]
    with Site(plugins, USERS) as site:
        site.connect().send("ann@example.org", "us@example.test", MESSAGE)
        site.connect().send("ann@example.org", "use@example.test", MESSAGE)
        assert site.transactions[0].sender == Address("ANN", "example.org")
        assert [str(address) for address, _ in site.transactions[0].refusals] == ["us@example.test"]
    plugins = [Rewriter, {"use": Rewriter, "name": "again"}, Witness]
    with Site(plugins, ["userr@example.test"]) as site:
        assert site.connect().send("ann@example.org", "use@example.test", MESSAGE).code == 250
        seen = site.transactions[0].notes.get(Seen)
        assert seen == Seen(["ANN@example.org", "userr@example.test"])
        assert site.transactions[0].recipients[0].address == Address("userr", "example.test")
        assert list(site.delivered) == ["userr@example.test"]


def test_notes_belong_to_one_connection_or_transaction() -> None:
    with Site([Witness], USERS) as site:
        client = site.connect()
        client.send("a@example.org", "user@example.test", MESSAGE)
        client.send("b@example.org", "other@example.test", MESSAGE)
        assert [txn.notes.get(Seen) for txn in site.transactions] == [
            Seen(["a@example.org", "user@example.test"]),
            Seen(["b@example.org", "other@example.test"]),
        ]
        assert client.connection.notes.get(Seen) is None


def test_shadows_are_recorded_and_never_act() -> None:
    answers = {
        Stage.MAIL: (Address("x", "y.example"), "shadow mail: rewrite to <x@y.example>"),
        Stage.RCPT: (naughty("bad"), "shadow rcpt: naughty 550 5.7.1 bad"),
        Stage.DATA: (LATER.hang_up(), "shadow data: 450 4.7.1 later"),
        Stage.HEADERS: (NO, "shadow headers: 550 5.7.1 no"),
        Stage.MESSAGE: ({USER: NO, OTHER: accept()}, None),
        Stage.QUEUE: (accept(), "shadow queue: 250 2.0.0 OK"),
    }
    shadows = [says(stage, answer, stage.label, mode="shadow") for stage, (answer, _) in answers.items()]
    shadows += [says_later(Stage.HELLO, naughty("bad"), "hello", mode="shadow")]
    shadows += [says(Stage.CONNECT, NO, "connect", mode="shadow")]
    with Site(shadows, USERS) as site:
        client = site.connect()
        assert str(client.send("ann@example.org", "user@example.test", MESSAGE)) == "250 2.0.0 kept as T1"
        assert site.delivered == {"user@example.test": [MESSAGE]}
        (txn,) = site.transactions
        assert txn.sender == Address("ann", "example.org")
        assert client.connection.naughty is None
        assert client.connection.results == [
            Result("connect", "skip", "shadow connect: 550 5.7.1 no"),
            Result("hello", "skip", "shadow hello: naughty 550 5.7.1 bad"),
        ]
        per_recipient = "shadow message: user@example.test: 550 5.7.1 no; other@example.test: 250 2.0.0 OK"
        assert [result.outcome for result in txn.results] == ["skip"] * 6
        assert [result.evidence for result in txn.results] == [
            evidence or per_recipient for _, evidence in answers.values()
        ]
        assert site.count("fastsmtp_plugin_answers_total", mode="active") == 0
        assert site.count("fastsmtp_plugin_answers_total", mode="shadow", answer="reject") == 2


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.HELLO, Stage.VERB, Stage.MAIL])
def test_who_is_naughty_early_can_still_write_to_postmaster(stage: Stage) -> None:
    with Site([says(stage, naughty("bad neighbourhood")), says(stage, naughty("late"), "later")], USERS) as site:
        client = site.connect()
        client.hello()
        client.command("NOOP")
        assert client.mail("ann@example.org").code == 250
        assert client.connection.naughty_by == "Sample"
        assert str(client.rcpt("user@example.test")) == "550 5.7.1 bad neighbourhood"
        assert client.rcpt("Postmaster@example.test").code == 250
        assert client.data(MESSAGE).code == 250
        assert list(site.delivered) == ["postmaster@example.test"]
        assert site.transactions[0].refusals == [(USER, naughty("bad neighbourhood").reply)]


@pytest.mark.parametrize(
    ("marks", "left"),
    [
        ([says(Stage.CONNECT, naughty("address"), "a")], "address"),
        ([says(Stage.HELLO, naughty("name"), "a")], ""),
        ([says(Stage.HELLO, naughty("manners", is_observed=True), "a")], "manners"),
        # The first mark counts, but for one that TLS would make forget.
        ([says(Stage.HELLO, naughty("name"), "a"), says(Stage.HELLO, naughty("m", is_observed=True), "b")], "m"),
        (
            [says(Stage.CONNECT, naughty("address"), "a"), says(Stage.HELLO, naughty("m", is_observed=True), "b")],
            "address",
        ),
        ([says(Stage.DATA, naughty("manners", is_observed=True), "a")], "manners"),
        ([says(Stage.DATA, naughty("no mark"), "a")], ""),
    ],
)
def test_what_was_seen_of_a_client_outlives_starttls(marks: list[dict[str, Any]], left: str) -> None:
    with Site(marks, USERS, starttls=True) as site:
        client = site.connect()
        client.hello()
        client.send("", "user@example.test", MESSAGE)
        client.starttls()
        reply = client.connection.naughty
        assert (reply.text if reply else "") == left


@pytest.mark.parametrize("stage", [Stage.RCPT, Stage.DATA, Stage.HEADERS, Stage.MESSAGE, Stage.QUEUE])
def test_who_is_naughty_late_is_refused_at_once_but_for_postmaster(stage: Stage) -> None:
    bad = says(stage, naughty("bad"))
    assert send(bad) == "550 5.7.1 bad"
    assert send(bad, to="postmaster@example.test") == "250 2.0.0 kept as T1"
    with Site([bad], USERS) as site:
        recipients = ["postmaster@example.test", "user@example.test"]
        reply = site.connect().send("", recipients, MESSAGE)
        assert reply.code == (250 if stage is Stage.RCPT else 550)


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({USER: accept(), OTHER: accept()}, "250 2.0.0 kept as T1"),
        ({}, "250 2.0.0 kept as T1"),
        ({USER: LATER}, "450 4.7.1 later"),
        ({USER: LATER, OTHER: NO}, "550 5.7.1 no"),
        ({USER: accept(), OTHER: LATER}, "450 4.7.1 later"),
    ],
)
@pytest.mark.parametrize("how", [says, says_later])
def test_one_refusal_of_a_recipient_refuses_the_message(
    how: Callable[..., dict[str, Any]], answers: dict[Address, Reply], text: str
) -> None:
    with Site([how(Stage.MESSAGE, answers)], USERS) as site:
        reply = site.connect().send("", ["user@example.test", "other@example.test"], MESSAGE)
        assert str(reply) == text
        assert bool(site.delivered) is text.startswith("250")
        results = [(result.outcome, result.evidence) for result in site.transactions[0].results]
        refused = not text.startswith("250")
        assert results == (
            [("fail", "message: " + "; ".join(f"{a}: {r}" for a, r in answers.items()))] if refused else []
        )


@pytest.mark.parametrize(
    ("answers", "codes", "delivered"),
    [
        ({USER: accept(), OTHER: accept()}, [250, 250], ["user@example.test", "other@example.test"]),
        ({USER: LATER}, [450, 250], ["other@example.test"]),
        ({OTHER: NO, Address("nobody", "example.test"): NO}, [250, 550], ["user@example.test"]),
        ({USER: LATER, OTHER: NO}, [450, 550], []),
    ],
)
@pytest.mark.parametrize("how", [says, says_later])
def test_in_lmtp_each_recipient_is_refused_for_himself(
    how: Callable[..., dict[str, Any]], answers: dict[Address, Reply], codes: list[int], delivered: list[str]
) -> None:
    with Site([how(Stage.MESSAGE, answers)], USERS, protocol="lmtp") as site:
        assert lmtp_codes(site, "user@example.test", "other@example.test") == codes
        assert list(site.delivered) == delivered
        results = [result.outcome for result in site.transactions[0].results]
        assert results == ([] if codes == [250, 250] else ["fail"])


def test_in_lmtp_two_plugins_refuse_one_each() -> None:
    plugins = [says(Stage.MESSAGE, {USER: NO}, "First"), says(Stage.MESSAGE, {USER: LATER, OTHER: LATER}, "Second")]
    with Site(plugins, USERS, protocol="lmtp") as site:
        assert lmtp_codes(site, "user@example.test", "other@example.test") == [550, 450]


@pytest.mark.parametrize("stage", [Stage.DATA, Stage.HEADERS, Stage.MESSAGE, Stage.QUEUE])
def test_in_lmtp_who_is_naughty_late_is_refused_but_for_postmaster(stage: Stage) -> None:
    with Site([says(stage, naughty("not you"))], USERS, protocol="lmtp") as site:
        assert lmtp_codes(site, "user@example.test", "postmaster@example.test") == [550, 250]
        assert list(site.delivered) == ["postmaster@example.test"]


def lmtp_codes(site: Site, *recipients: str) -> list[int]:
    """The codes of the replies to a message, one for each recipient."""
    client = site.connect()
    client.lhlo()
    client.mail()
    for recipient in recipients:
        client.rcpt(recipient)
    return [heard.code for heard in client.data_each(MESSAGE)]


class Observer(Plugin[NoOptions]):
    """Writes down every answer of the others."""

    def __init__(self, options: NoOptions, name: str) -> None:
        super().__init__(options, name)
        self.seen: list[tuple[str, str, str, bool, str | None]] = []

    def on_verdict(self, verdict: Verdict) -> Awaitable[None] | None:
        kind = type(verdict.opinion).__name__
        transaction = verdict.transaction.id if verdict.transaction else None
        self.seen.append((verdict.plugin, verdict.stage.label, kind, verdict.shadow, transaction))
        return asyncio.sleep(0) if verdict.stage is Stage.MAIL else None


def test_every_answer_is_told_to_who_wants_to_know() -> None:
    plugins: list[PluginSpec] = [
        Observer,
        says(Stage.HELLO, naughty("bad"), "a", mode="shadow"),
        says(Stage.CONNECT, None, "silent"),
        says(Stage.MAIL, Address("x", "y.example"), "b"),
        says_later(Stage.RCPT, accept(), "c"),
        says(Stage.MESSAGE, {USER: accept()}, "d"),
    ]
    with Site(plugins, USERS) as site:
        site.connect().send("", "user@example.test", MESSAGE)
        observer = site.plugins[0].plugin
        assert isinstance(observer, Observer)
        assert observer.seen == [
            ("a", "hello", "Naughty", True, None),
            ("b", "mail", "Address", False, "T1"),
            ("c", "rcpt", "Reply", False, "T1"),
            ("d", "message", "dict", False, "T1"),
        ]


def chain_of(*tables: dict[str, Any]) -> Chain:
    classes = {table["name"]: table["use"] for table in tables}
    entries = [PluginEntry(**{**table, "use": "given"}) for table in tables]
    return Chain(load_plugins(entries, classes=classes), Stats(), SettableClock())


def fixture_transaction() -> Transaction:
    return Transaction("T1", Connection("C1", "192.0.2.1", 1, "192.0.2.25", 25))


@pytest.mark.parametrize("answer", [None, NO, Address("x", "y.example"), naughty("bad")])
def test_an_answer_that_is_ready_needs_no_task_and_no_loop(answer: Reply | Naughty | Address | None) -> None:
    chain = chain_of(says(Stage.MAIL, answer, "a"), says(Stage.MAIL, None, "b"), says(Stage.VERDICT, None, "c"))
    decision = chain.ask(Stage.MAIL, fixture_transaction(), USER)
    assert decision == (
        answer if isinstance(answer, Reply) else None,
        answer if isinstance(answer, Address) else USER,
    )


def test_an_answer_that_has_to_wait_makes_no_task_either() -> None:
    def no_tasks(_: asyncio.AbstractEventLoop, coroutine: object) -> Any:
        raise AssertionError(f"a task was made of {coroutine}")

    chain = chain_of(says_later(Stage.MAIL, None, "a"), says(Stage.MAIL, None, "b"), says_later(Stage.MAIL, LATER, "c"))

    async def ask() -> object:
        asyncio.get_running_loop().set_task_factory(no_tasks)
        try:
            decision = chain.ask(Stage.MAIL, fixture_transaction(), USER)
            assert isinstance(decision, Awaitable)
            return await decision
        finally:
            asyncio.get_running_loop().set_task_factory(None)

    assert asyncio.run(ask()) == (LATER, USER)


def test_stages_are_those_with_a_hook() -> None:
    chain = chain_of(says(Stage.MAIL, None, "a"), says(Stage.QUEUE, None, "b"), {"use": Rewriter, "name": "c"})
    assert chain.stages == {Stage.MAIL, Stage.QUEUE, Stage.RCPT}
    assert chain.ask(Stage.DATA, fixture_transaction()) == (None, None)


def test_settling_waits_for_who_was_told() -> None:
    finished: list[str] = []

    async def slowly(_: object, txn: Transaction) -> None:
        for _turn in range(3):
            await asyncio.sleep(0)
        finished.append(txn.id)

    chain = chain_of({"use": plugin_with(Stage.RESET, slowly), "name": "a"})

    async def tell() -> list[str]:
        chain.tell(Stage.RESET, fixture_transaction())
        before = list(finished)
        await chain.settle()
        return before

    assert asyncio.run(tell()) == []
    assert finished == ["T1"]


def test_extensions_of_a_greeting() -> None:
    class Quiet(Plugin[NoOptions]):
        def on_hello(self, connection: Connection, hello: Hello) -> None:
            hello.withdraw("pipelining")
            hello.offer("xnews", "today")

    with Site([Quiet]) as site:
        lines = site.connect().hello().lines
        assert "XNEWS today" in lines
        assert "PIPELINING" not in lines


def test_fields_are_added_in_the_order_of_plugins() -> None:
    def adding(name: str) -> dict[str, Any]:
        def hook(_: object, txn: Transaction, message: Message) -> None:
            message.add_header(name, "1")

        return {"use": plugin_with(Stage.MESSAGE, hook), "name": name}

    with Site([adding("X-First"), adding("X-Last")]) as site:
        site.connect().send("", "user@example.test", MESSAGE)
        assert site.delivered["user@example.test"][0].startswith(b"X-Last: 1\nX-First: 1\nSubject")


def spares(stage: Stage, answer: object, name: str = "Sparing", **table: object) -> dict[str, Any]:
    """A plugin that says this to strangers only."""
    sparing = says(stage, answer, name, **table)
    sparing["use"].spares_exempt = True
    return sparing


@pytest.mark.parametrize("trusting", [says, says_later])
def test_who_is_trusted_is_spared_from_the_next_plugin_on(trusting: Callable[..., dict[str, Any]]) -> None:
    trusted = trusting(Stage.CONNECT, None, "Trusting")
    hook = trusted["use"].on_connect

    def trust(plugin: object, connection: Connection) -> object:
        connection.is_trusted = connection.remote_address == "192.0.2.1"
        return hook(plugin, connection)

    trusted["use"].on_connect = trust
    with Site([trusted, spares(Stage.CONNECT, NO, "Door"), spares(Stage.RCPT, NO)], USERS) as site:
        assert site.connect("192.0.2.1").send("", "user@example.test", MESSAGE).code == 250
        assert not site.connect("192.0.2.2").is_open
        assert site.count("fastsmtp_plugin_answers_total", plugin="Sparing") == 0


def test_who_has_logged_in_is_spared_and_a_mark_before_does_nothing() -> None:
    plugins = [says(Stage.CONNECT, naughty("bad neighbours")), spares(Stage.DATA, NO)]
    with Site(plugins, USERS, passwords={"ann@example.test": "secret"}) as site:
        stranger, ann = site.connect(), site.connect()
        assert str(stranger.send("", "user@example.test", MESSAGE)) == "550 5.7.1 bad neighbours"
        assert ann.login("ann@example.test", "secret").code == 235
        assert ann.send("ann@example.test", "user@example.test", MESSAGE).code == 250


def test_who_is_trusted_is_not_naughty_either() -> None:
    def trust(_: object, connection: Connection, hello: Hello) -> None:
        connection.is_trusted = True

    plugins = [says(Stage.CONNECT, naughty("no")), {"use": plugin_with(Stage.HELLO, trust), "name": "Trusting"}]
    with Site(plugins, USERS) as site:
        assert site.connect().send("", "user@example.test", MESSAGE).code == 250


def test_who_is_spared_is_told_all_the_same() -> None:
    told: list[str] = []

    def trust(_: object, connection: Connection) -> None:
        connection.is_trusted = True

    curious = spares(Stage.RESET, None)
    curious["use"].on_reset = lambda _, txn: told.append(txn.outcome)
    with Site([{"use": plugin_with(Stage.CONNECT, trust), "name": "Trusting"}, curious], USERS) as site:
        site.connect().send("", "user@example.test", MESSAGE)
    assert told == ["stored"]
