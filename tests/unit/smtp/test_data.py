"""DATA, and the questions about a message in their order."""

from driver import MESSAGE, NO, START, Driver

from fastsmtp.smtp import replies
from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.options import Room
from fastsmtp.smtp.transitions import State


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


def test_a_refusal_for_good_comes_before_one_for_want_of_room() -> None:
    driver = Driver({Stage.DATA: NO}, room=Room(-1))
    assert driver.envelope().say("DATA") == "550 5.7.1 no"
    driver = Driver(message_size=10, room=Room(0))
    assert driver.data().say(MESSAGE) == str(replies.MESSAGE_TOO_BIG)
