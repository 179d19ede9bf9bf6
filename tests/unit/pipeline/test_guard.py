"""Whatever a hook does, an answer comes out, in time and counted."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.plugin import (
    Address,
    Connection,
    Hello,
    Message,
    NoOptions,
    Plugin,
    Reply,
    Stage,
    Transaction,
    accept,
    naughty,
    reject,
)
from fastsmtp.smtp.record import ANSWERS_KEPT, Answered, Result
from fastsmtp.stats import Stats
from fastsmtp.testing import Client, Heard, PluginSpec, SettableClock, Site

TOLD = (Stage.STORED, Stage.RESET, Stage.DISCONNECT, Stage.VERDICT)
ASKED = tuple(stage for stage in Stage if stage not in TOLD)
MESSAGE = b"Subject: hi\n\nHello\n"


def plugin_with(stage: Stage, hook: Callable[..., Any]) -> type[Plugin[NoOptions]]:
    return type("Sample", (Plugin,), {stage.value: hook})


def raises(*_: object) -> None:
    raise ZeroDivisionError("secret")


async def raises_later(*_: object) -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError("secret")


async def takes_too_long(*_: object) -> None:
    await asyncio.get_running_loop().create_future()


async def awaits_what_was_cancelled(*_: object) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def answers_nonsense(*_: object) -> str:
    return "secret"


async def answers_nonsense_later(*_: object) -> str:
    return "secret"


def talk(client: Client, stage: Stage) -> Heard:
    """Go on up to a stage; the reply that it decides."""
    steps: tuple[tuple[Stage, Callable[[], Heard]], ...] = (
        (Stage.CONNECT, lambda: client.greeting),
        (Stage.HELLO, client.hello),
        (Stage.AUTH, lambda: client.login("ann@example.test", "secret") if stage is Stage.AUTH else client.greeting),
        (Stage.VERB, lambda: client.command("NOOP")),
        (Stage.MAIL, lambda: client.mail("ann@example.org")),
        (Stage.RCPT, lambda: client.rcpt("user@example.test")),
    )
    for step, action in steps:
        reply = action()
        if step is stage:
            return reply
    return client.data(MESSAGE)


@pytest.mark.parametrize("stage", ASKED)
@pytest.mark.parametrize(
    "fault",
    [raises, raises_later, takes_too_long, awaits_what_was_cancelled, answers_nonsense, answers_nonsense_later],
)
@pytest.mark.parametrize(
    ("on_fault", "text"),
    [
        ("defer", "451 4.3.0 Trouble on our side, try again later"),
        ("reject", "554 5.3.0 Refused: a check of ours could not be made"),
        ("pass", None),
    ],
)
def test_every_fault_at_every_stage(
    stage: Stage, fault: Callable[..., Any], on_fault: str, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    table = {"use": plugin_with(stage, fault), "on_fault": on_fault, "timeout": 0.01}
    with Site([table], passwords={"ann@example.test": "secret"}) as site:
        client = site.connect()
        reply = talk(client, stage)
        if text is None:
            assert reply.code in (220, 235, 250)
        elif stage is Stage.CONNECT and on_fault == "defer":
            assert str(reply) == text.replace("451", "421")  # a banner has codes of its own
        else:
            assert str(reply) == text
        labels = {"plugin": "Sample", "stage": stage.label}
        assert site.count("fastsmtp_plugin_answers_total", answer="fault", **labels) == 1
        assert site.count("fastsmtp_plugin_answers_total", **labels) == 1
        results = client.connection.results + [result for txn in site.transactions for result in txn.results]
        client.disconnect()
        results = results or [result for txn in site.transactions for result in txn.results]
    assert [(result.plugin, result.outcome) for result in results] == [("Sample", "error")]
    (record,) = caplog.records
    assert (record.getMessage(), record.levelname) == ("plugin fault", "ERROR")
    assert record.exc_info is not None
    error, traceback = record.exc_info[1], record.exc_info[2]
    if fault is takes_too_long:
        assert isinstance(error, TimeoutError)
        assert error.__notes__ == ["no answer within 0.01 s"]
        # Its traceback shows what was waited for; Python 3.11.2 keeps it as the context only.
        assert isinstance(error.__cause__ or error.__context__, asyncio.CancelledError)
    elif "nonsense" not in fault.__name__:
        assert traceback is not None


@pytest.mark.parametrize("stage", TOLD)
@pytest.mark.parametrize("fault", [raises, raises_later, takes_too_long, answers_nonsense])
def test_who_is_told_can_do_no_harm(stage: Stage, fault: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    opinionated = plugin_with(Stage.DATA, lambda *_: accept())
    table = {"use": plugin_with(stage, fault), "on_fault": "reject", "timeout": 0.01, "name": "told"}
    with Site([table, opinionated]) as site:
        client = site.connect()
        assert client.send("", "user@example.test", MESSAGE).code == 250
        client.quit()
        assert site.count("fastsmtp_plugin_answers_total", plugin="told", answer="fault") == 1
    assert [record.getMessage() for record in caplog.records] == ["plugin fault"]


@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        (Stage.CONNECT, Address("a", "b")),
        (Stage.DATA, Address("a", "b")),
        (Stage.RCPT, {Address("a", "b"): accept()}),
        (Stage.MESSAGE, {"a@b": accept()}),
        (Stage.MESSAGE, {Address("a", "b"): None}),
        (Stage.QUEUE, True),
        (Stage.STORED, accept()),
    ],
)
def test_an_answer_at_the_wrong_stage_is_a_fault(stage: Stage, answer: object) -> None:
    with Site([plugin_with(stage, lambda *_: answer)]) as site:
        talk(site.connect(), stage)
        assert site.count("fastsmtp_plugin_answers_total", answer="fault") == 1


@pytest.mark.parametrize(
    ("stage", "answer", "label"),
    [
        (Stage.MAIL, None, "none"),
        (Stage.MAIL, accept(), "accept"),
        (Stage.MAIL, reject("5.7.1", "no"), "reject"),
        (Stage.DATA, Reply(450, "4.7.1", "later"), "defer"),
        (Stage.HELLO, naughty("no"), "naughty"),
        (Stage.RCPT, Address("user", "example.test"), "rewrite"),
        (Stage.MESSAGE, {Address("user", "example.test"): accept()}, "per_recipient"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_answers_are_counted_by_kind(stage: Stage, answer: object, label: str, is_async: bool) -> None:
    async def later(*_: object) -> object:
        await asyncio.sleep(0)
        return answer

    with Site([plugin_with(stage, later if is_async else lambda *_: answer)]) as site:
        talk(site.connect(), stage)
        assert site.count("fastsmtp_plugin_answers_total", stage=stage.label, answer=label, mode="active") == 1
        assert site.count("fastsmtp_plugin_answers_total") == 1


class Meddler(Plugin[NoOptions]):
    """Changes all that it is given."""

    def on_hello(self, connection: Connection, hello: Hello) -> None:
        hello.offer("XMEDDLE", "1")
        hello.withdraw("SIZE")

    async def on_mail(self, txn: Transaction, sender: Address) -> None:
        await asyncio.sleep(0)
        txn.message.add_header("X-Early", "1")

    def on_message(self, txn: Transaction, message: Message) -> None:
        message.add_header("X-Meddled", "1")
        message.remove_header("Subject")


@pytest.mark.parametrize("mode", ["active", "shadow"])
def test_what_a_shadow_did_is_taken_back(mode: str) -> None:
    is_active = mode == "active"
    after: PluginSpec = ("add_header", {"name": "X-After", "value": "1"})
    with Site([{"use": Meddler, "mode": mode}, after]) as site:
        client = site.connect()
        assert ("XMEDDLE 1" in client.hello().lines) is is_active
        assert client.mail("a@example.org", "SIZE=1").code == (555 if is_active else 250)
        client.say(b"RSET\r\n")
        client.send("", "user@example.test", MESSAGE)
        meddled = b"X-Meddled: 1\nX-Early: 1\n" if is_active else b""
        assert site.delivered["user@example.test"] == [
            b"X-After: 1\n" + meddled + (MESSAGE.partition(b"\n")[2] if is_active else MESSAGE)
        ]


def test_a_shadow_that_fails_is_recorded_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    with Site([{"use": plugin_with(Stage.MAIL, raises_later), "mode": "shadow"}]) as site:
        assert site.connect().send("", "user@example.test", MESSAGE).code == 250
        assert site.transactions[0].results == [
            Result("Sample", "error", "mail: ZeroDivisionError"),
            Result("Sample", "skip", "shadow mail: 451 4.3.0 Trouble on our side, try again later"),
        ]
    assert len(caplog.records) == 1


def said(answers: list[Answered] | None) -> list[tuple[str, str | None]]:
    """Who was asked at which stage, and the answer."""
    return [(f"{name} {stage}{' shadow' * shadow}", answer) for (name, stage, shadow), answer, _, _ in answers or ()]


def test_answers_are_remembered_where_somebody_keeps_records() -> None:
    class Says(Plugin[NoOptions]):
        def on_connect(self, connection: Connection) -> None:
            self.record(connection, "pass", "seen")

        async def on_mail(self, txn: Transaction, sender: Address) -> Address:
            return Address("other", "example.org")

        def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | None:
            self.record(txn, "fail", "known")
            return reject("5.7.1", "no") if recipient.local == "user" else None

        def on_message(self, txn: Transaction, message: Message) -> None:
            raise ZeroDivisionError("secret")

    stats, clock = Stats(), SettableClock()
    plugins = [{"use": Says, "name": "says", "mode": "shadow"}, {"use": Says, "name": "loud"}]
    with Site(plugins, users=["user@example.test", "ann@example.test"]) as site:
        site.pipeline = Pipeline(
            Chain(site.plugins, stats, clock, remembers=True), site.directory, site.store, site.stats
        )
        client = site.connect()
        client.send("ann@example.org", ["user@example.test", "ann@example.test"], MESSAGE)
        client.disconnect()
        [transaction] = site.transactions
    assert said(transaction.connection.answers) == [("says connect shadow", None), ("loud connect", None)]
    assert said(transaction.answers) == [
        ("says mail shadow", "rewrite to <other@example.org>"),
        ("loud mail", "rewrite to <other@example.org>"),
        ("says rcpt shadow", "550 5.7.1 no"),
        ("loud rcpt", "550 5.7.1 no"),
        ("says rcpt shadow", None),
        ("loud rcpt", None),
        ("says message shadow", "fault ZeroDivisionError"),
        ("loud message", "fault ZeroDivisionError"),
    ]
    assert transaction.answers is not None
    assert [count for *_, count in transaction.answers[2:4]] == [2, 4]  # what it came to is a result, too
    assert all(took >= 0 for _, _, took, _ in transaction.answers)


def test_without_records_nothing_is_remembered() -> None:
    with Site([plugin_with(Stage.MAIL, lambda *_: reject("5.7.1", "no"))]) as site:
        site.connect().send("ann@example.org", "user@example.test", MESSAGE)
    assert site.transactions[0].answers is None


def test_not_everything_is_remembered_of_who_goes_on_for_ever() -> None:
    hooks = {Stage.VERB.value: lambda *args: reject("5.7.1", "no") if args[2] == "HELP" else None}
    talker = type("Talker", (Plugin,), hooks)
    with Site([talker], errors=10_000, commands=0, nonmail_commands=0) as site:
        site.pipeline = Pipeline(
            Chain(site.plugins, Stats(), SettableClock(), remembers=True), site.directory, site.store, site.stats
        )
        client = site.connect()
        client.say(b"NOOP\r\n" * 1000)
        assert len(client.connection.answers or ()) == ANSWERS_KEPT // 2
        client.say(b"HELP\r\n" * 1000)
        assert len(client.connection.answers or ()) == ANSWERS_KEPT
