"""Before the greeting."""

import pytest
from driver import WAIT, Driver

from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.replies import Reply, accept, defer, reject

GREETING = "220 mx.example.test ESMTP fastsmtp"


def test_nobody_is_asked_where_nobody_wants_to_be() -> None:
    driver = Driver()
    assert driver.open() == GREETING
    assert driver.happened == []


@pytest.mark.parametrize("answer", [None, accept("come in")])
def test_who_is_let_in_is_greeted(answer: Reply | None) -> None:
    driver = Driver({Stage.CONNECT: answer})
    assert driver.open() == GREETING
    assert driver.happened == [Stage.CONNECT]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(reject("5.7.1", "not you"), "554 5.7.1 not you"), (defer("4.7.1", "not now"), "421 4.7.1 not now")],
)
def test_there_are_two_ways_to_say_no(answer: Reply, said: str) -> None:
    driver = Driver({Stage.CONNECT: answer})
    assert driver.open() == said
    assert driver.session.closing


def test_nothing_is_said_before_the_answer() -> None:
    driver = Driver({Stage.CONNECT: WAIT})
    assert driver.open() == ""
    assert driver.say("EHLO client.example") == ""
    assert driver.resume(None).startswith(f"{GREETING}\r\n250-")
