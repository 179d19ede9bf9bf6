"""The ends of transactions and of sessions."""

import pytest
from driver import LATER, MESSAGE, NO, START, Driver

from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.replies import Reply
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
