"""Chunks by themselves: what is asked, what is left behind, and when.

What a client hears is in tests/dialogs/chunking_*.txt.
"""

import pytest
from driver import LATER, NO, STORED, WAIT, Driver
from spools import BrokenSpool, MemorySpool

from fastsmtp.smtp import replies
from fastsmtp.smtp.effects import Ask, Stage
from fastsmtp.smtp.options import Room
from fastsmtp.smtp.transaction import Hello
from fastsmtp.smtp.transitions import State

HEADER = b"Subject: x\r\n\r\n"


def bdat(data: bytes, *, last: bool = False) -> bytes:
    return b"BDAT %d%s\r\n%s" % (len(data), b" LAST" * last, data)


def ok(octets: int) -> str:
    return f"250 2.0.0 {octets} octets received"


def test_a_message_in_chunks_is_asked_about_like_any_other() -> None:
    stages = (Stage.DATA, Stage.HEADERS, Stage.MESSAGE)
    driver = Driver(dict.fromkeys(stages)).envelope()
    driver.happened.clear()
    assert driver.feed(bdat(HEADER[:5])) == ok(5)
    assert driver.happened == [Stage.DATA]
    assert driver.feed(bdat(HEADER[5:] + b"bo")) == ok(len(HEADER) - 3)
    assert driver.happened == [Stage.DATA, Stage.HEADERS]
    assert driver.feed(bdat(b"dy\r\n", last=True)) == "250 2.0.0 stored"
    assert driver.happened == [*stages, Stage.QUEUE, "stored"]
    message = driver.ended[0].message
    assert bytes(message) == b"Subject: x\n\nbody\n"
    assert message.header.raw == b"Subject: x\n\n"
    assert message.size == len(HEADER + b"body\r\n")
    assert driver.session.reception.message is not message


def test_replies_are_counted_by_what_they_answer() -> None:
    driver = Driver().envelope()
    driver.feed(bdat(HEADER) + bdat(b"", last=True) + bdat(b"x", last=True))
    assert (driver.count("BDAT", "2xx"), driver.count("message", "2xx"), driver.count("BDAT", "5xx")) == (1, 1, 1)


@pytest.mark.parametrize("answer", [NO, LATER])
def test_a_no_to_data_is_said_when_the_chunk_is_gone(answer: replies.Reply) -> None:
    driver = Driver({Stage.DATA: answer}).envelope()
    assert driver.feed(b"BDAT 10\r\nQUIT\r\n") == ""
    assert driver.ended == []
    assert driver.feed(b"NOOPNOOP\r\n").splitlines() == [str(answer), "250 2.0.0 OK"]
    assert driver.happened[-1] == ("refused" if answer is NO else "deferred")
    assert driver.ended[0].reply is answer
    assert driver.session.state is State.REFUSED


def test_data_is_asked_about_once_and_the_chunk_waits_for_the_answer() -> None:
    driver = Driver({Stage.DATA: WAIT}).envelope()
    assert driver.feed(bdat(HEADER) + bdat(b"x\r\n", last=True)) == ""
    assert driver.session.pending_input > len(HEADER)
    assert driver.resume(None).splitlines() == [ok(len(HEADER)), "250 2.0.0 stored"]
    assert driver.happened.count(Stage.DATA) == 1


@pytest.mark.parametrize("last", [False, True])
def test_a_refused_header_is_said_at_the_end_of_its_chunk(last: bool) -> None:
    driver = Driver({Stage.HEADERS: NO, Stage.MESSAGE: None}).envelope()
    assert driver.feed(bdat(HEADER + b"body", last=last)[:-1]) == ""
    assert driver.feed(b"x") == "550 5.7.1 no"
    assert Stage.MESSAGE not in driver.happened
    assert bytes(driver.ended[0].message) == b"Subject: x\n\n"
    assert driver.session.state is (State.GREETED if last else State.REFUSED)


def test_a_header_without_a_body_is_asked_about_at_the_end() -> None:
    driver = Driver({Stage.HEADERS: NO}).envelope()
    assert driver.feed(bdat(b"Subject: x\r\n")) == ok(12)
    assert Stage.HEADERS not in driver.happened
    assert driver.feed(bdat(b"", last=True)) == "550 5.7.1 no"


def test_a_message_that_will_be_too_big_is_refused_before_any_of_it_is_kept() -> None:
    driver = Driver({Stage.HEADERS: None}, message_size=100).envelope()
    assert driver.feed(b"BDAT 101 LAST\r\n" + HEADER * 7) == ""
    assert driver.feed(b"x" * 3) == str(replies.MESSAGE_TOO_BIG)
    assert driver.ended[0].message.stored_size == 0
    assert Stage.HEADERS not in driver.happened


def test_bare_line_ends_count_as_in_data_and_may_make_a_message_too_big() -> None:
    driver = Driver(message_size=10).envelope()
    assert driver.feed(bdat(b"\n" * 6)) == str(replies.MESSAGE_TOO_BIG)
    assert driver.envelope().feed(bdat(b"\n" * 5, last=True)).endswith("250 2.0.0 stored")


def test_room_is_looked_at_for_every_recipient_and_all_chunks() -> None:
    room = Room(100)
    driver = Driver(room=room).envelope()
    driver.say("RCPT TO:<bob@example.test>")
    assert driver.feed(bdat(b"x" * 50)) == ok(50)
    assert driver.feed(bdat(b"x")) == str(replies.STORE_FULL)
    assert driver.happened[-1] == "deferred"


def test_a_spool_that_fails_is_told_at_the_end_of_the_chunk() -> None:
    driver = Driver({Stage.MESSAGE: None}, spool_above=10, make_spool=lambda: BrokenSpool(0)).envelope()
    assert driver.feed(bdat(HEADER + b"more than ten octets" * 2)) == str(replies.STORE_FULL)
    assert driver.happened == [Stage.RCPT, "deferred"]
    assert driver.feed(bdat(b"x", last=True)) == str(replies.STORE_FULL)


def test_a_large_body_in_chunks_goes_to_its_spool() -> None:
    driver = Driver({Stage.QUEUE: WAIT}, spool_above=10, make_spool=MemorySpool).envelope()
    driver.feed(bdat(HEADER + b"x" * 9) + bdat(b"y" * 9) + bdat(b"z", last=True))
    transaction = driver.session.transaction
    assert transaction is not None
    assert transaction.message.memory == [b"Subject: x\n\n"]
    assert bytes(transaction.message) == b"Subject: x\n\n" + b"x" * 9 + b"y" * 9 + b"z\n"
    assert driver.resume(STORED) == "250 2.0.0 stored"


def test_a_binary_body_is_kept_to_the_octet() -> None:
    octets = bytes(range(256)) + b"\r\n\n\r.\r\n"
    driver = Driver().greet()
    driver.say("MAIL FROM:<ann@example.org> BODY=BINARYMIME", "RCPT TO:<alice@example.test>")
    driver.feed(bdat(HEADER) + bdat(octets[:100]) + bdat(octets[100:], last=True))
    assert bytes(driver.ended[0].message) == b"Subject: x\n\n" + octets
    assert driver.ended[0].body == "BINARYMIME"


def test_chunks_need_to_be_on_offer_and_binary_bodies_need_chunks() -> None:
    def change(ask: Ask) -> None:
        assert isinstance(ask.subject, Hello)
        ask.subject.withdraw("chunking")

    driver = Driver({Stage.HELLO: change})
    driver.open()
    listed = driver.say("EHLO client.example")
    assert "CHUNKING" not in listed
    assert "BINARYMIME" not in listed
    driver.say("MAIL FROM:<ann@example.org>", "RCPT TO:<alice@example.test>")
    assert driver.feed(bdat(b"QUIT\r\n", last=True)) == str(replies.NOT_OFFERED)
    assert driver.session.state is State.GREETED


def test_in_lmtp_the_last_chunk_has_a_reply_for_each_and_others_have_one() -> None:
    driver = Driver({Stage.DATA: None}, protocol="lmtp", message_size=50)
    driver.open()
    driver.say("LHLO client.example")
    envelope = ("MAIL FROM:<>", "RCPT TO:<ann@example.test>", "RCPT TO:<bob@example.test>")
    driver.say(*envelope)
    assert driver.feed(bdat(HEADER)) == ok(len(HEADER))
    assert driver.feed(bdat(b"", last=True)).splitlines() == [str(STORED)] * 2
    for chunks in ([b"x" * 51, b"x"], [b"x", b"x" * 50]):
        driver.say(*envelope)
        said = [driver.feed(bdat(chunks[0])), driver.feed(bdat(chunks[1], last=True))]
        assert said[-1].splitlines() == [str(replies.MESSAGE_TOO_BIG)] * 2
        assert driver.session.state is State.GREETED
    assert driver.feed(bdat(b"x", last=True)) == str(replies.MAIL_FIRST)
    driver.answers[Stage.DATA] = LATER
    driver.say(*envelope)
    assert driver.feed(bdat(b"x", last=True)).splitlines() == [str(LATER)] * 2


@pytest.mark.parametrize("wire", [b"BDAT 100\r\nx", b"BDAT 100 LAST\r\nx", bdat(b"x"), bdat(b"x") + b"BDAT 1 LAST\r\n"])
def test_a_client_that_goes_before_the_last_octet_has_sent_nothing(wire: bytes) -> None:
    driver = Driver().envelope()
    driver.feed(wire)
    driver.lose()
    assert driver.happened == [Stage.RCPT, "lost"]


def test_drain_lets_a_message_in_chunks_finish() -> None:
    driver = Driver().envelope()
    driver.feed(bdat(HEADER))
    driver.session.drain()
    assert driver.run() == ""
    assert driver.feed(bdat(b"x")) == ok(1)
    said = driver.feed(bdat(b"", last=True))
    assert said == "250 2.0.0 stored\r\n421 4.3.2 Shutting down, come again soon"


def test_drain_waits_for_no_other_command() -> None:
    for wire in (b"RSET\r\n", bdat(b"x" * 300)):
        driver = Driver(message_size=200).envelope()
        driver.feed(bdat(HEADER))
        driver.session.drain()
        assert driver.feed(wire).endswith("421 4.3.2 Shutting down, come again soon")


def test_a_reply_that_hangs_up_waits_for_the_chunk_and_hangs_up() -> None:
    driver = Driver({Stage.DATA: NO.hang_up()}).envelope()
    assert driver.feed(bdat(b"x" * 10)) == "550 5.7.1 no"
    assert driver.session.closing
    assert [transaction.outcome for transaction in driver.ended] == ["refused"]


def test_input_is_message_in_a_chunk_only() -> None:
    driver = Driver().envelope()
    seen = []
    for wire in (b"", b"BDAT 2\r\n", b"x", b"y", b"BDAT 1 NOT\r\n", b"x"):
        driver.feed(wire)
        seen.append(driver.session.in_message)
    assert seen == [False, True, True, False, True, False]


def test_chunks_behind_a_refused_one_hear_of_the_same_transaction() -> None:
    driver = Driver({Stage.DATA: NO}).envelope()
    driver.session.feed(bdat(HEADER) + bdat(b"x") + bdat(b"y", last=True) + b"BDAT 1\r\nz")
    driver.session.advance()
    driver.session.resume(NO)
    said = b""
    while driver.session.advance() is not None:
        said += driver.session.take_output()
    said += driver.session.take_output()
    assert said.splitlines() == [b"550 5.7.1 no (T1)"] * 3 + [b"503 5.5.1 Need MAIL first (C1)"]
    assert driver.session.connection.refused_commands == [(b"BDAT", replies.MAIL_FIRST)]
