"""The session by itself: what it asks, what it tells, what it says, and where it stands afterwards.

What a client hears to every command is in tests/dialogs/.
"""

import pytest
from driver import LATER, MESSAGE, NO, STORED, WAIT, Driver

from fastsmtp.smtp import replies
from fastsmtp.smtp.effects import FLUSH, Stage
from fastsmtp.smtp.replies import START_DATA, Reply, accept

EVERYTHING = (
    Stage.CONNECT,
    Stage.HELLO,
    Stage.MAIL,
    Stage.DATA,
    Stage.HEADERS,
    Stage.MESSAGE,
    Stage.VERB,
)


def test_every_stage_is_asked_in_its_order() -> None:
    driver = Driver(dict.fromkeys(EVERYTHING))
    driver.data().say(MESSAGE)
    driver.say("QUIT")
    assert driver.happened == [
        Stage.CONNECT,
        Stage.HELLO,
        Stage.MAIL,
        Stage.RCPT,
        Stage.DATA,
        Stage.HEADERS,
        Stage.MESSAGE,
        Stage.QUEUE,
        "stored",
        Stage.VERB,
    ]


def test_nothing_is_asked_that_nobody_wants_to_be_asked() -> None:
    driver = Driver()
    driver.data().say(MESSAGE, "NOOP", "XYZZY", "QUIT")
    assert driver.happened == [Stage.RCPT, Stage.QUEUE, "stored"]


def test_what_a_transaction_knows_at_its_end() -> None:
    driver = Driver()
    driver.greet().say(
        "MAIL FROM:<ann@example.org> SIZE=100 BODY=8BITMIME SMTPUTF8", "RCPT TO:<alice@example.test>", "DATA", MESSAGE
    )
    transaction = driver.ended[0]
    assert (str(transaction.sender), transaction.declared_size, transaction.body) == (
        "ann@example.org",
        100,
        "8BITMIME",
    )
    assert (transaction.id, transaction.smtputf8, transaction.outcome) == ("T1", True, "stored")
    assert transaction.reply is STORED
    assert transaction.message.size == len("Subject: hello\r\n\r\ntext\r\n")
    assert transaction.message.header.raw == b"Subject: hello\n\n"
    assert driver.session.transaction is None


def test_replies_wait_for_the_answer_and_leave_together() -> None:
    driver = Driver({Stage.RCPT: WAIT})
    said = driver.greet().say("MAIL FROM:<>", "RCPT TO:<alice@example.test>", "NOOP", "QUIT")
    assert said == "250 2.1.0 Sender OK"
    assert driver.session.is_waiting
    assert driver.session.pending_input == len("NOOP\r\nQUIT\r\n")
    assert driver.resume(NO) == "550 5.7.1 no\r\n250 2.0.0 OK\r\n221 2.0.0 Bye"
    assert not driver.session.is_waiting


def test_after_many_replies_it_waits_until_they_are_taken() -> None:
    driver = Driver(nonmail_commands=0)
    driver.greet()
    session = driver.session
    session.feed(b"NOOP\r\n" * 300)
    said = []
    while session.advance() is FLUSH:
        assert session.advance() is FLUSH  # as long as nobody takes them
        said.append(session.take_output().count(b"\r\n"))
    said.append(session.take_output().count(b"\r\n"))
    assert said == [128, 128, 44]


def test_many_replies_do_not_keep_a_message_from_being_read() -> None:
    driver = Driver()
    driver.data()
    driver.session.feed(b"x\r\n" * 1_000 + b".\r\n")
    assert driver.run() == "250 2.0.0 stored"


def test_input_that_comes_while_a_question_is_out_is_kept() -> None:
    driver = Driver({Stage.RCPT: WAIT})
    driver.greet().say("MAIL FROM:<>", "RCPT TO:<alice@example.test>")
    assert driver.say("NOOP") == ""
    assert driver.resume(NO).splitlines() == ["550 5.7.1 no", "250 2.0.0 OK"]


def test_an_answer_without_a_question_is_a_bug_of_the_caller() -> None:
    with pytest.raises(RuntimeError, match="nothing was asked"):
        Driver().session.resume(None)


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (NO, "554 5.7.1 no"),
        (LATER, "421 4.7.1 later"),
        (accept(), "220 mx.example.test ESMTP fastsmtp"),
        (None, "220 mx.example.test ESMTP fastsmtp"),
    ],
)
def test_a_refusal_at_the_door_has_a_code_of_its_own_and_closes(answer: Reply | None, heard: str) -> None:
    driver = Driver({Stage.CONNECT: answer})
    assert driver.open() == heard
    assert driver.session.closing is heard.startswith(("554", "421"))


@pytest.mark.parametrize(
    "lines", [[], ["EHLO x"], ["EHLO x", "MAIL FROM:<>"], ["EHLO x", "MAIL FROM:<>", "RCPT TO:<a@b.c>"]]
)
def test_drain_turns_away_between_commands(lines: list[str]) -> None:
    driver = Driver()
    driver.open()
    driver.say(*lines)
    driver.session.drain()
    assert driver.run() == "421 4.3.2 Shutting down, come again soon"
    assert driver.session.closing
    assert driver.happened[-1:] == (["lost"] if len(lines) > 1 else [])


def test_drain_lets_a_message_finish() -> None:
    driver = Driver().data()
    driver.session.drain()
    assert driver.run() == ""
    assert driver.say(MESSAGE, "MAIL FROM:<>") == "250 2.0.0 stored\r\n421 4.3.2 Shutting down, come again soon"
    assert driver.happened[-1] == "stored"


def test_drain_may_let_a_transaction_finish() -> None:
    driver = Driver().envelope()
    driver.session.drain(finishing=True)
    assert driver.run() == ""
    assert driver.say("NOOP", "RCPT TO:<bob@example.test>") == "250 2.0.0 OK\r\n250 2.1.5 Recipient OK"
    assert driver.say("DATA") == str(START_DATA)
    assert driver.say(MESSAGE, "MAIL FROM:<>") == "250 2.0.0 stored\r\n421 4.3.2 Shutting down, come again soon"
    assert driver.happened[-1] == "stored"


@pytest.mark.parametrize("lines", [["EHLO x"], ["EHLO x", "MAIL FROM:<>", "RSET"]])
def test_drain_has_nothing_to_finish_between_transactions(lines: list[str]) -> None:
    driver = Driver()
    driver.open()
    driver.say(*lines)
    driver.session.drain(finishing=True)
    assert driver.run() == "421 4.3.2 Shutting down, come again soon"


def test_drain_lets_a_question_be_answered() -> None:
    driver = Driver({Stage.QUEUE: WAIT}).data()
    driver.say(MESSAGE)
    driver.session.drain()
    assert driver.run() == ""
    assert driver.resume(STORED) == "250 2.0.0 stored\r\n421 4.3.2 Shutting down, come again soon"


def test_time_out_says_so_and_forgets() -> None:
    for driver in (Driver().greet(), Driver().envelope(), Driver().data()):
        had_transaction = driver.session.transaction is not None
        driver.session.time_out()
        assert driver.run() == "421 4.4.2 Waited too long for you"
        assert driver.session.closing
        assert [transaction.outcome for transaction in driver.ended] == ["lost"] * had_transaction
        assert driver.say(MESSAGE) == ""


def test_a_client_that_goes_loses_what_is_incomplete() -> None:
    assert Driver().greet().lose() == ""
    for driver in (Driver().envelope(), Driver().data()):
        driver.feed(b"Subject: x\r\n\r\ntext\r\n.")
        driver.lose()
        assert driver.happened[-1] == "lost"
        assert driver.ended[0].reply is None


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.HELLO, Stage.VERB])
def test_a_client_that_goes_while_a_question_is_out_is_no_trouble(stage: Stage) -> None:
    driver = Driver({stage: WAIT})
    driver.open()
    if stage is not Stage.CONNECT:
        driver.say("EHLO client.example" if stage is Stage.HELLO else "NOOP", "NOOP")
    driver.lose()
    driver.resume(None)
    assert not driver.session.is_waiting
    assert driver.happened == [stage]


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.HEADERS])
def test_a_transaction_is_lost_when_the_client_goes_while_a_question_is_out(stage: Stage) -> None:
    driver = Driver({stage: WAIT})
    driver.greet().say("MAIL FROM:<>", "RCPT TO:<alice@example.test>", "DATA", MESSAGE)
    driver.lose()
    assert driver.ended == []
    driver.resume(None)
    assert driver.happened[-2:] == [stage, "lost"]
    assert driver.session.transaction is None


@pytest.mark.parametrize("stage", [Stage.MESSAGE, Stage.QUEUE])
def test_a_complete_message_is_finished_although_the_client_has_gone(stage: Stage) -> None:
    driver = Driver({stage: WAIT}).data()
    driver.say(MESSAGE, "MAIL FROM:<>")
    driver.lose()
    driver.resume(STORED if stage is Stage.QUEUE else None)
    assert driver.happened[-1] == "stored"
    assert len(driver.ended) == 1


def test_turn_away_is_possible_before_anything_was_said() -> None:
    driver = Driver()
    driver.session.turn_away(replies.TOO_MANY_CONNECTIONS)
    assert driver.run() == "421 4.3.2 Too many connections, come again later"
    assert driver.session.closing


def test_input_is_message_only_in_the_message() -> None:
    driver = Driver().envelope()
    seen = [driver.session.in_message]
    for said in ("DATA", "text", "."):
        driver.say(said)
        seen.append(driver.session.in_message)
    assert seen == [False, True, True, False]
