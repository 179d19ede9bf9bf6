"""The session by itself: what it asks, what it tells, what it says, and where it stands afterwards.

What a client hears to every command is in tests/dialogs/.
"""

import pytest
from driver import MESSAGE, STORED, WAIT, Driver
from spools import BrokenSpool, MemorySpool

from fastsmtp.smtp import replies
from fastsmtp.smtp.effects import Ask, Stage, VerbLine
from fastsmtp.smtp.options import Room
from fastsmtp.smtp.replies import Reply, accept, defer, reject
from fastsmtp.smtp.transaction import REFUSALS_KEPT, Hello
from fastsmtp.smtp.transitions import State

START = "354 End data with <CR><LF>.<CR><LF>"
NO = reject("5.7.1", "no")
LATER = defer("4.7.1", "later")
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


def test_a_refused_hello_leaves_things_as_they_were() -> None:
    driver = Driver({Stage.HELLO: LATER})
    driver.open()
    assert driver.say("EHLO client.example", "MAIL FROM:<>").splitlines() == [
        "450 4.7.1 later",
        "503 5.5.1 Say HELO or EHLO first",
    ]
    driver.answers[Stage.HELLO] = None
    driver.say("EHLO client.example", "MAIL FROM:<ann@example.org>")
    driver.answers[Stage.HELLO] = NO
    assert driver.say("HELO client.example") == "550 5.7.1 no"
    assert driver.session.state is State.SENDER
    assert driver.connection.hello_name == "client.example"


def test_a_plugin_changes_what_ehlo_offers_and_mail_permits() -> None:
    def change(ask: Ask) -> None:
        assert isinstance(ask.subject, Hello)
        ask.subject.withdraw("size")
        ask.subject.offer("x-fast", "1 2")

    driver = Driver({Stage.HELLO: change})
    driver.open()
    listed = driver.say("EHLO client.example").splitlines()
    assert "250 X-FAST 1 2" in listed
    assert not any("SIZE" in line for line in listed)
    assert driver.say("MAIL FROM:<> SIZE=1").startswith("555 ")
    assert driver.session.options.extensions["SIZE"] == "26214400"


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


def test_a_refused_recipient_ends_nothing() -> None:
    driver = Driver({Stage.RCPT: NO})
    driver.greet().say("MAIL FROM:<ann@example.org>", "RCPT TO:<alice@example.test>")
    transaction = driver.session.transaction
    assert transaction is not None
    assert [(str(address), reply) for address, reply in transaction.refusals] == [("alice@example.test", NO)]
    assert driver.session.state is State.SENDER


def test_only_so_many_refusals_are_kept() -> None:
    driver = Driver({Stage.RCPT: NO})
    driver.greet().say("MAIL FROM:<>", *["RCPT TO:<alice@example.test>"] * (REFUSALS_KEPT + 1))
    assert driver.session.transaction is not None
    assert len(driver.session.transaction.refusals) == REFUSALS_KEPT


def test_a_recipient_nobody_accepted_is_refused() -> None:
    for answer in (None, accept()):
        driver = Driver({Stage.RCPT: answer})
        assert driver.greet().say("MAIL FROM:<>", "RCPT TO:<a@b.c>").endswith(str(replies.RELAYING_DENIED))


def test_a_message_nobody_takes_is_deferred() -> None:
    driver = Driver({Stage.QUEUE: None})
    assert driver.data().say(MESSAGE) == str(replies.NOBODY_TOOK_IT)
    assert driver.happened[-1] == "deferred"


def test_a_refused_header_is_said_at_the_end_and_the_body_is_thrown_away() -> None:
    driver = Driver({Stage.HEADERS: NO, Stage.MESSAGE: None})
    assert driver.data().say("Subject: x", "", "body") == ""
    assert driver.say("QUIT", "DATA") == ""
    assert driver.say(".", "NOOP") == "550 5.7.1 no\r\n250 2.0.0 OK"
    assert Stage.MESSAGE not in driver.happened
    assert bytes(driver.ended[0].message) == b"Subject: x\n\n"


def test_a_header_without_a_body_is_asked_about_at_the_end() -> None:
    driver = Driver({Stage.HEADERS: NO})
    assert driver.data().say("Subject: x") == ""
    assert Stage.HEADERS not in driver.happened
    assert driver.say(".") == "550 5.7.1 no"


def test_a_header_that_is_asked_about_is_asked_about_once() -> None:
    for lines in (["Subject: x", "", "."], ["Subject: x", "."], ["", "body", "."], ["."]):
        driver = Driver({Stage.HEADERS: None})
        assert driver.data().say(*lines) == "250 2.0.0 stored"
        assert driver.happened.count(Stage.HEADERS) == 1


def test_a_message_that_is_too_big_is_read_to_its_end() -> None:
    driver = Driver({Stage.MESSAGE: None}, message_size=100)
    assert driver.data().say(*["RCPT TO:<mallory@example.org>"] * 20) == ""
    assert driver.say(".", "NOOP") == "552 5.3.4 Message too big\r\n250 2.0.0 OK"
    assert driver.happened[-1] == "refused"
    assert Stage.MESSAGE not in driver.happened
    assert driver.ended[0].message.size > 100


# --- Large messages ---------------------------------------------------------------------------------------------------


def test_a_large_body_is_all_in_its_spool_when_somebody_is_asked() -> None:
    driver = Driver({Stage.MESSAGE: None, Stage.QUEUE: WAIT}, spool_above=1_000, make_spool=MemorySpool)
    driver.data().say("Subject: x", "", *["x" * 99] * 20)
    transaction = driver.session.transaction
    assert transaction is not None
    assert driver.say("tail", ".") == ""
    assert transaction.message.memory == [b"Subject: x\n\n"]
    assert bytes(transaction.message) == b"Subject: x\n\n" + (b"x" * 99 + b"\n") * 20 + b"tail\n"
    assert driver.resume(STORED) == "250 2.0.0 stored"


def test_a_small_body_needs_no_spool() -> None:
    driver = Driver(spool_above=6, make_spool=MemorySpool)
    driver.data().say("Subject: x", "", "small", ".")
    assert driver.ended[0].message.spool is None
    driver.envelope().say("DATA", "Subject: x", "", "larger", ".")
    assert driver.ended[1].message.spool is not None


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_spool_that_fails_is_told_at_the_true_end_and_nothing_is_asked_or_stored(room: int) -> None:
    driver = Driver({Stage.MESSAGE: None}, spool_above=10, make_spool=lambda: BrokenSpool(room))
    assert driver.data().say("Subject: x", "", "this is more than ten") == ""
    assert driver.say("MAIL FROM:<>", "x" * 70_000, "QUIT") == ""
    assert driver.say(".", "NOOP") == f"{replies.STORE_FULL}\r\n250 2.0.0 OK"
    assert driver.happened == [Stage.RCPT, "deferred"]
    assert driver.ended[0].message.spool is None
    assert bytes(driver.ended[0].message) == b"Subject: x\n\n"
    # The next one is as welcome as ever.
    assert driver.envelope().say("DATA", "Subject: y", "", "small", ".").endswith("250 2.0.0 stored")


def test_a_spool_that_fails_at_the_last_bytes_is_told_too() -> None:
    driver = Driver({Stage.MESSAGE: None}, spool_above=10, make_spool=lambda: BrokenSpool(20))
    assert driver.data().say("Subject: x", "", "more than ten") == ""
    assert driver.say("and the rest is too much", ".") == str(replies.STORE_FULL)
    assert driver.happened == [Stage.RCPT, "deferred"]


def test_a_message_that_is_announced_and_does_not_fit_is_refused_before_it_is_sent() -> None:
    room = Room(2_000)
    driver = Driver({Stage.DATA: None}, room=room)
    rcpt = "RCPT TO:<alice@example.test>"
    driver.greet()
    assert driver.say("MAIL FROM:<> SIZE=1001", rcpt, rcpt, "DATA").splitlines()[-1] == str(replies.STORE_FULL)
    assert driver.happened[-1] == "deferred"
    assert driver.session.state is State.GREETED
    assert driver.say("MAIL FROM:<> SIZE=1000", rcpt, rcpt, "DATA").endswith(START)
    room.octets = 0
    assert driver.say(MESSAGE) == str(replies.STORE_FULL)


def test_a_message_that_is_not_announced_and_does_not_fit_is_refused_at_its_end() -> None:
    size = len("Subject: hello\r\n\r\ntext\r\n")
    for octets, said in ((size - 1, replies.STORE_FULL), (size, STORED)):
        driver = Driver({Stage.MESSAGE: None}, room=Room(octets))
        driver.data()
        assert driver.session.in_message
        assert driver.say(MESSAGE) == str(said)
        assert (Stage.MESSAGE in driver.happened) is (said is STORED)


def test_a_refusal_for_good_comes_before_one_for_want_of_room() -> None:
    driver = Driver({Stage.DATA: NO}, room=Room(-1))
    assert driver.envelope().say("DATA") == "550 5.7.1 no"
    driver = Driver(message_size=10, room=Room(0))
    assert driver.data().say(MESSAGE) == str(replies.MESSAGE_TOO_BIG)


# --- Plugins and the end ----------------------------------------------------------------------------------------------


def test_a_plugin_answers_verbs_but_cannot_keep_anybody_from_leaving() -> None:
    driver = Driver(
        {Stage.VERB: lambda ask: accept(str(ask.subject.verb)) if isinstance(ask.subject, VerbLine) else None}
    )
    said = driver.greet().say("NOOP", "HELP", "VRFY", "XYZZY a b", "QUIT").splitlines()
    assert said == ["250 2.0.0 NOOP", "250 2.0.0 HELP", "250 2.0.0 VRFY", "250 2.0.0 XYZZY", "221 2.0.0 Bye"]


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


def test_one_bad_command_more_than_permitted_ends_the_session() -> None:
    driver = Driver(errors=2)
    said = driver.greet().say("A", "B", "C", "D").splitlines()
    assert said == ["500 5.5.1 Command not recognized"] * 2 + ["421 4.7.0 Too many errors"]


def test_input_is_message_only_in_the_message() -> None:
    driver = Driver().envelope()
    seen = [driver.session.in_message]
    for said in ("DATA", "text", "."):
        driver.say(said)
        seen.append(driver.session.in_message)
    assert seen == [False, True, True, False]
