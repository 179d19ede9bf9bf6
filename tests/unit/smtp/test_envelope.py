"""What HELO, EHLO, MAIL, RCPT and RSET leave behind; what a client hears to them is in tests/dialogs/."""

from driver import LATER, NO, Driver

from fastsmtp.smtp import replies
from fastsmtp.smtp.effects import Ask, Stage
from fastsmtp.smtp.replies import accept
from fastsmtp.smtp.transaction import REFUSALS_KEPT, Hello
from fastsmtp.smtp.transitions import State


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
