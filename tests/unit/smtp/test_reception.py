"""What becomes of the pieces of a message, and of one that cannot be kept."""

import pytest
from driver import MESSAGE, STORED, WAIT, Driver
from spools import BrokenSpool, MemorySpool

from fastsmtp.smtp import replies
from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.load import Load
from fastsmtp.smtp.options import Room
from fastsmtp.stats import Stats


def test_a_message_that_is_too_big_is_read_to_its_end() -> None:
    driver = Driver({Stage.MESSAGE: None}, message_size=100)
    assert driver.data().say(*["RCPT TO:<mallory@example.org>"] * 20) == ""
    assert driver.say(".", "NOOP") == "552 5.3.4 Message too big\r\n250 2.0.0 OK"
    assert driver.happened[-1] == "refused"
    assert Stage.MESSAGE not in driver.happened
    assert driver.ended[0].message.size > 100


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


def test_a_message_that_is_not_announced_and_does_not_fit_is_refused_at_its_end() -> None:
    size = len("Subject: hello\r\n\r\ntext\r\n")
    for octets, said in ((size - 1, replies.STORE_FULL), (size, STORED)):
        driver = Driver({Stage.MESSAGE: None}, room=Room(octets))
        driver.data()
        assert driver.session.in_message
        assert driver.say(MESSAGE) == str(said)
        assert (Stage.MESSAGE in driver.happened) is (said is STORED)


def test_what_is_in_memory_is_counted_until_the_last_word() -> None:
    load = Load(Stats())
    driver = Driver({Stage.QUEUE: WAIT}, load=load, spool_above=1_000, make_spool=MemorySpool)
    header = len("Subject: x\n\n")
    driver.data().say("Subject: x", "")
    assert load.octets == header
    driver.say("x" * 499)
    assert load.octets == header + 500
    driver.say("x" * 500)
    assert load.octets == header  # the body is in its spool
    driver.say("tail")
    assert load.octets == header + 5
    driver.say(".")
    assert load.octets == header
    driver.resume(STORED)
    assert load.octets == 0


def test_an_unfinished_message_weighs_nothing_once_its_client_is_gone() -> None:
    load = Load(Stats())
    driver = Driver(load=load)
    driver.data().say("Subject: x", "", "not the end")
    assert load.octets == len("Subject: x\n\nnot the end\n")
    driver.lose()
    assert load.octets == 0


def test_a_spool_that_fails_leaves_no_weight() -> None:
    load = Load(Stats())
    driver = Driver(load=load, spool_above=10, make_spool=lambda: BrokenSpool(0))
    driver.data().say("Subject: x", "", "this is more than ten")
    assert load.octets == len("Subject: x\n\n")
    driver.say(".")
    assert load.octets == 0


def test_far_above_the_limit_the_message_that_grows_is_refused_at_its_end() -> None:
    load = Load(Stats(), limit=1_000)
    large, small = Driver(load=load), Driver(load=load)
    large.data().say("Subject: large", "")
    small.data().say("Subject: small", "")
    assert large.say("x" * 1_600) == ""
    transaction = large.session.transaction
    assert transaction is not None
    assert bytes(transaction.message) == b""
    assert load.octets == len("Subject: small\n\n")
    assert large.say("still the message", ".", "NOOP") == f"{replies.MEMORY_FULL}\r\n250 2.0.0 OK"
    assert large.happened == [Stage.RCPT, "deferred"]
    assert small.say(".").startswith("250 ")
    assert load.octets == 0


def test_a_message_can_be_shed_from_outside() -> None:
    load = Load(Stats())
    driver = Driver({Stage.HEADERS: None}, load=load, spool_above=10, make_spool=MemorySpool)
    driver.data().say("Subject: x", "", "more than ten")
    driver.session.shed_message()
    assert load.octets == 0
    assert driver.say("more", ".") == str(replies.MEMORY_FULL)
    assert driver.ended[0].message.spool is None
    assert driver.envelope().say("DATA", "Subject: y", "", "small", ".").endswith("250 2.0.0 stored")


@pytest.mark.parametrize("last", ["", " LAST"])
def test_a_message_in_chunks_can_be_shed_between_two_of_them(last: str) -> None:
    load = Load(Stats())
    driver = Driver(load=load)
    driver.envelope().feed(b"BDAT 14\r\nSubject: x\r\n\r\n")
    assert load.octets == len("Subject: x\n\n")
    driver.session.shed_message()
    assert load.octets == 0
    assert driver.feed(b"BDAT 4%s\r\nabcd" % last.encode()) == str(replies.MEMORY_FULL)
    assert driver.happened[-1] == "deferred"
    assert load.octets == 0
