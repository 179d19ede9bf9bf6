"""The ends of transactions and of sessions."""

from collections.abc import Mapping

import pytest
from driver import LATER, MESSAGE, NO, START, STORED, WAIT, Driver

from fastsmtp.smtp.address import Address
from fastsmtp.smtp.effects import Ask, Stage
from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.options import AuthOptions
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import REFUSALS_KEPT
from fastsmtp.smtp.transitions import State


@pytest.mark.parametrize(("answer", "outcome"), [(NO, "refused"), (LATER, "deferred")])
@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.DATA, Stage.HEADERS, Stage.MESSAGE, Stage.QUEUE])
def test_a_refusal_of_the_whole_ends_the_transaction(stage: Stage, answer: Reply, outcome: str) -> None:
    driver = Driver({stage: answer})
    said = driver.greet().say("MAIL FROM:<>", "RCPT TO:<alice@example.test>", "DATA")
    if said.endswith(START):
        said = driver.say(MESSAGE)
    assert str(answer) in said.splitlines()
    assert driver.happened[-1] == outcome
    assert driver.ended[0].reply is answer
    assert driver.session.transaction is None
    assert driver.session.state is State.GREETED


@pytest.mark.parametrize("stage", [Stage.HELLO, Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.HEADERS, Stage.QUEUE])
def test_a_reply_that_hangs_up_ends_everything(stage: Stage) -> None:
    driver = Driver({stage: NO.hang_up()})
    driver.data().say(MESSAGE)
    assert driver.session.closing
    assert driver.session.state is State.CLOSED
    assert driver.session.transaction is None
    assert driver.say("NOOP") == ""


def test_reset_and_hello_and_quit_end_an_open_transaction() -> None:
    for command in ("RSET", "EHLO client.example", "HELO client.example", "QUIT"):
        driver = Driver()
        driver.envelope().say(command)
        assert driver.happened == [Stage.RCPT, "reset"]
        assert driver.ended[0].reply is None


def test_one_bad_command_more_than_permitted_ends_the_session() -> None:
    driver = Driver(errors=2)
    said = driver.greet().say("A", "B", "C", "D").splitlines()
    assert said == ["500 5.5.1 Command not recognized"] * 2 + ["421 4.7.0 Too many errors"]


# --- Limits -----------------------------------------------------------------------------------------------------------


def reached(driver: Driver) -> dict[str, int]:
    """Limits that the client has reached, and how often."""
    family = next(family for family in driver.stats.families() if family.name == "fastsmtp_limits_total")
    counts = {name: driver.stats.cells[cell] for (name,), cell in family.children.items()}
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize(
    ("limit", "lines"),
    [
        ("messages", ["MAIL FROM:<>", "RSET", "MAIL FROM:x", "MAIL FROM:<>"]),
        ("commands", ["NOOP", "HELP"]),
        ("nonmail_commands", ["NOOP", "RSET"]),
        ("unknown_commands", ["XYZZY", "", "MAILFROM:<>"]),
        ("errors", ["DATA", "XYZZY", "RSET x"]),
    ],
)
def test_the_one_behind_the_last_that_is_permitted_ends_the_session(limit: str, lines: list[str]) -> None:
    driver = Driver(None, **{limit: 2})
    driver.greet()
    for line in lines[:-1]:
        driver.say(line)
        assert not driver.session.closing
        assert reached(driver) == {}
    assert driver.say(lines[-1]).startswith("421 4.7.0 ")
    assert driver.session.closing
    assert reached(driver) == {limit: 1}


@pytest.mark.parametrize("limit", ["messages", "commands", "nonmail_commands"])
def test_where_the_limit_is_zero_there_is_none(limit: str) -> None:
    driver = Driver(None, **{"nonmail_commands": 0, limit: 0})
    driver.greet()
    for _ in range(200):
        assert driver.say("MAIL FROM:<>", "RSET", "NOOP").endswith("250 2.0.0 OK")


@pytest.mark.parametrize("answer", [STORED, NO])
def test_only_a_message_that_is_stored_buys_more_commands(answer: Reply) -> None:
    driver = Driver({Stage.QUEUE: answer}, commands=7, nonmail_commands=3)
    driver.envelope().say("NOOP", "NOOP", "DATA", MESSAGE)
    said = driver.say("NOOP", "NOOP")
    assert said.startswith("250 2.0.0 OK" if answer is STORED else "421 4.7.0 ")
    assert reached(driver) == ({} if answer is STORED else {"nonmail_commands": 1})


def test_other_limits_are_counted_where_they_are_told() -> None:
    driver = Driver(recipients=1, message_size=100, header_size=20, command_line=512)
    driver.envelope()
    driver.say("RCPT TO:<bob@example.test>", "x" * 600)
    assert driver.say("DATA", *["Subject: " + "x" * 30] * 4, ".").endswith(
        "552 5.3.4 The header of the message is too big"
    )
    assert reached(driver) == {"recipients": 1, "command_line": 1, "header_size": 1}
    driver.say("MAIL FROM:<ann@example.org>", "RCPT TO:<alice@example.test>")
    assert driver.say("DATA", "", *["x" * 30] * 4, ".").endswith("552 5.3.4 Message too big")
    assert reached(driver) == {"recipients": 1, "command_line": 1, "header_size": 1, "message_size": 1}
    assert driver.say("MAIL FROM:<> SIZE=101").startswith("552 ")
    assert reached(driver)["message_size"] == 2


def test_a_header_of_just_the_limit_is_no_longer_than_the_limit() -> None:
    for size, count in ((12, 1), (13, 0)):
        driver = Driver(header_size=size).data()
        assert driver.say("Subject: hi", "", "body", ".")[:3] == ("552" if count else "250")
        assert reached(driver).get("header_size", 0) == count


# --- Waiting for replies ----------------------------------------------------------------------------------------------


def pipelined(driver: Driver) -> int:
    family = next(family for family in driver.stats.families() if family.name == "fastsmtp_pipelined_too_much_total")
    return driver.stats.cells[family.children[()]]


def was_noticed(driver: Driver) -> bool:
    return driver.connection.pipelined_too_much


GROUPS = [
    (["EHLO client.example", "MAIL FROM:<>"], True),
    (["HELO client.example", "NOOP"], True),
    (["EHLO client.example"], False),
]


@pytest.mark.parametrize(("lines", "is_too_much"), GROUPS)
def test_who_does_not_wait_for_the_greeting_is_noticed(lines: list[str], *, is_too_much: bool) -> None:
    driver = Driver()
    driver.open()
    assert len(driver.say(*lines).splitlines()) > len(lines) - 1
    assert was_noticed(driver) is is_too_much
    assert pipelined(driver) == is_too_much
    strict = Driver(pipelining="strict")
    strict.open()
    said = strict.say(*lines)
    assert said.startswith("554 5.5.0 ") is is_too_much
    assert strict.session.closing is is_too_much


def test_who_does_not_wait_for_the_354_is_noticed() -> None:
    rcpt = "RCPT TO:<alice@example.test>"
    for strict in (False, True):
        driver = Driver(pipelining="strict" if strict else "lenient").greet()
        assert driver.say("MAIL FROM:<>", rcpt, "DATA").endswith(START)
        assert driver.say(MESSAGE) == str(STORED)
        assert not was_noticed(driver)
        said = driver.say("MAIL FROM:<>", rcpt, "DATA", MESSAGE).splitlines()
        assert said[-1].startswith("554 5.5.0 ") is strict
        assert driver.happened[-1] == ("lost" if strict else "stored")
        assert was_noticed(driver)
        assert pipelined(driver) == 1


AUTH_GROUPS = [
    # Complete by itself: what comes behind it need not wait (RFC 4954 section 4).
    ("AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAc2VjcmV0", False),
    ("AUTH PLAIN", True),
    ("AUTH LOGIN", True),
    ("AUTH LOGIN YW5uQGV4YW1wbGUudGVzdA==", True),
]


@pytest.mark.parametrize(("line", "is_too_much"), AUTH_GROUPS)
def test_auth_is_the_last_of_its_group(line: str, *, is_too_much: bool) -> None:
    options = AuthOptions(mechanisms(("PLAIN", "LOGIN")), require_tls=False)
    for strict in (False, True):
        for behind in ((), ("AGFubkBleGFtcGxlLnRlc3QAc2VjcmV0",)):
            driver = Driver({Stage.AUTH: NO}, auth=options, pipelining="strict" if strict else "lenient").greet()
            said = driver.say(line, *behind).splitlines()
            assert was_noticed(driver) is (is_too_much and bool(behind))
            assert said[-1].startswith("554 5.5.0 ") is (was_noticed(driver) and strict)
            assert driver.session.closing is (was_noticed(driver) and strict)


def test_chunks_and_other_commands_may_come_together_where_nobody_waits() -> None:
    driver = Driver(pipelining="strict").greet()
    driver.say(
        "MAIL FROM:<>", "RCPT TO:<alice@example.test>", "BDAT 2 LAST\r\n", "RSET", "MAIL FROM:<>", "NOOP", "QUIT"
    )
    assert driver.happened[-2:] == ["stored", "reset"]
    assert not was_noticed(driver)


# --- LMTP: each recipient hears his own reply -------------------------------------------------------------------------


def lmtp(*users: str, stage: Stage = Stage.QUEUE) -> Driver:
    """A message to these users of example.test that has come, and about which the question is out."""
    driver = Driver({stage: WAIT}, protocol="lmtp")
    driver.open()
    rcpts = [f"RCPT TO:<{user}@example.test>" for user in users]
    assert driver.say("LHLO client.example", "MAIL FROM:<>", *rcpts, "DATA").endswith(START)
    assert driver.say(MESSAGE) == ""
    return driver


def refuse(driver: Driver, refusals: Mapping[str, Reply]) -> Reply | None:
    """Refuse some of the users one by one."""
    transaction = driver.session.transaction
    assert transaction is not None
    return transaction.refuse_each({Address(user, "example.test"): reply for user, reply in refusals.items()})


def test_each_recipient_hears_his_own_reply_in_the_order_of_rcpt() -> None:
    driver = lmtp("ann", "bob", "carol", "bob")
    assert refuse(driver, {"bob": NO, "dave": NO}) is None
    assert driver.resume(STORED).splitlines() == [str(reply) for reply in (STORED, NO, STORED, NO)]
    [transaction] = driver.ended
    assert (transaction.outcome, transaction.reply) == ("stored", STORED)
    assert [str(recipient.address) for recipient in transaction.remaining] == ["ann@example.test", "carol@example.test"]
    assert [reply for _, reply in transaction.refusals] == [NO, NO]
    assert (driver.count("message", "2xx"), driver.count("message", "5xx")) == (2, 2)
    assert driver.session.state is State.GREETED


@pytest.mark.parametrize(
    ("refusals", "answer", "outcome", "codes"),
    [
        ({"ann": NO}, LATER, "deferred", [550, 450]),
        ({"ann": NO}, NO, "refused", [550, 550]),
        ({"ann": LATER}, NO, "deferred", [450, 550]),
        ({}, LATER, "deferred", [450, 450]),
        ({"bob": LATER}, None, "deferred", [451, 450]),
    ],
)
def test_a_message_that_nobody_gets_is_deferred_where_somebody_may_get_it_yet(
    refusals: dict[str, Reply], answer: Reply | None, outcome: str, codes: list[int]
) -> None:
    driver = lmtp("ann", "bob")
    refuse(driver, refusals)
    assert [int(line[:3]) for line in driver.resume(answer).splitlines()] == codes
    assert driver.happened[-1] == outcome


def test_when_each_was_refused_nobody_is_asked_to_take_the_message() -> None:
    driver = lmtp("ann", "bob", stage=Stage.MESSAGE)
    everybody = refuse(driver, {"ann": NO, "bob": LATER})
    assert everybody is NO
    assert driver.resume(everybody).splitlines() == [str(NO), str(LATER)]
    assert Stage.QUEUE not in driver.happened
    assert driver.happened[-1] == "deferred"


def test_a_reply_that_hangs_up_hangs_up_when_everybody_has_heard() -> None:
    driver = lmtp("ann", "bob")
    assert driver.resume(NO.hang_up()).splitlines() == [str(NO)] * 2
    assert driver.session.closing
    assert driver.session.transaction is None


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.DATA])
def test_before_the_message_there_is_one_reply(stage: Stage) -> None:
    driver = Driver({stage: LATER}, protocol="lmtp")
    driver.open()
    rcpts = ["RCPT TO:<ann@example.test>", "RCPT TO:<bob@example.test>"]
    said = driver.say("LHLO client.example", "MAIL FROM:<>", *rcpts, "DATA").splitlines()
    assert said.count(str(LATER)) == 1
    assert driver.ended[0].outcome == "deferred"


def test_in_smtp_there_is_one_reply_whatever_is_in_the_recipients() -> None:
    driver = Driver({Stage.QUEUE: WAIT}).data()
    driver.say(MESSAGE)
    refuse(driver, {"alice": NO})
    assert driver.resume(STORED) == str(STORED)


def raw(driver: Driver, *lines: str) -> list[str]:
    """What is said, with the ids."""
    driver.session.feed("".join(f"{line}\r\n" for line in lines).encode())
    said = b""
    while (effect := driver.session.advance()) is not None:
        if isinstance(effect, Ask):
            answer = driver.answers[effect.stage]
            driver.session.resume(answer(effect) if callable(answer) else answer)
        said += driver.session.take_output()
    return (said + driver.session.take_output()).decode().splitlines()


def test_a_refusal_names_its_transaction_or_else_the_connection() -> None:
    driver = Driver({Stage.RCPT: NO}).greet()
    assert raw(
        driver, "RCPT TO:<a@b.example>", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "RCPT TO:<", "DATA", "DATA"
    ) == [
        "503 5.5.1 Need MAIL first (C1)",
        "250 2.1.0 Sender OK",
        "550 5.7.1 no (T1)",
        "501 5.1.3 Bad recipient address syntax (T1)",
        "554 5.5.1 No valid recipients (T1)",
        "554 5.5.1 No valid recipients (T1)",
    ]
    assert raw(driver, "RSET", "DATA") == ["250 2.0.0 Flushed", "503 5.5.1 Need MAIL first (C1)"]


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.DATA, Stage.HEADERS, Stage.MESSAGE, Stage.QUEUE])
def test_the_last_word_on_a_transaction_names_it(stage: Stage) -> None:
    driver = Driver({stage: NO}).greet()
    said = raw(driver, "MAIL FROM:<>", "RCPT TO:<alice@example.test>", "DATA", MESSAGE)
    assert "550 5.7.1 no (T1)" in said


def test_each_recipient_hears_the_name_of_the_transaction() -> None:
    driver = lmtp("ann", "bob")
    driver.session.resume(NO)
    driver.session.advance()
    assert driver.session.take_output() == b"550 5.7.1 no (T1)\r\n" * 2


def test_refused_commands_are_remembered_where_they_belong() -> None:
    driver = Driver({Stage.RCPT: NO}, errors=1000, unknown_commands=1000).greet()
    driver.say("NONSENSE", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "NONSENSE", *["DATA"] * 200, "RSET")
    unknown, no_recipients = Reply(500, "5.5.1", "Command not recognized"), Reply(554, "5.5.1", "No valid recipients")
    assert driver.session.connection.refused_commands == [(b"NONSENSE", unknown)]
    [transaction] = driver.ended
    assert transaction.refused_commands == [
        (b"RCPT", NO), (b"NONSENSE", unknown), *[(b"DATA", no_recipients)] * (REFUSALS_KEPT - 2),
    ]  # fmt: skip


def test_where_nothing_was_refused_nothing_is_remembered() -> None:
    driver = Driver().data()
    driver.say(MESSAGE)
    assert driver.ended[0].refused_commands is None
    assert driver.session.connection.refused_commands is None
