"""Replies on the wire. The table of all of them is examined in tests/house/test_replies_table.py."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.replies import REPLY_LINE_BYTES, Reply, accept, defer, reject, stored_as


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply(250, "2.1.0", "Sender OK"), b"250 2.1.0 Sender OK\r\n"),
        (Reply(354, "", "Go on"), b"354 Go on\r\n"),
        (
            Reply(250, "", "mx.example.org\nPIPELINING\nSIZE 1000"),
            b"250-mx.example.org\r\n250-PIPELINING\r\n250 SIZE 1000\r\n",
        ),
        (Reply(550, "5.7.1", "one\ntwo"), b"550-5.7.1 one\r\n550 5.7.1 two\r\n"),  # each line has it (RFC 2034)
        (Reply(250, "2.0.0", ""), b"250 2.0.0\r\n"),
        (Reply(250, "", "one\n"), b"250-one\r\n250 \r\n"),
        (Reply(250, "2.0.0", "blank at the end  "), b"250 2.0.0 blank at the end\r\n"),
    ],
)
def test_wire(reply: Reply, wire: bytes) -> None:
    assert reply.wire == wire


@pytest.mark.parametrize("code", [-1, 0, 25, 199, 600, 2500])
def test_a_code_has_three_digits_of_the_protocol(code: int) -> None:
    with pytest.raises(ValueError, match="reply code"):
        Reply(code, "", "text")


@pytest.mark.parametrize(
    ("code", "enhanced"),
    [(250, "5.0.0"), (550, "4.0.0"), (450, "2.0.0"), (354, "3.0.0"), (354, "2.0.0")]
    + [
        (250, bad)
        for bad in ("2", "2.0", "2.0.0.0", "2.0.0 ", "2.0.0\n", "2.1000.0", "2..0", "x", "2.0.x", "2.\u0660.0")
    ],
)
def test_an_enhanced_status_goes_with_its_code(code: int, enhanced: str) -> None:
    with pytest.raises(ValueError, match="enhanced status"):
        Reply(code, enhanced, "text")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\n250 smuggled", b"550-5.1.1 a?\r\n550 5.1.1 250 smuggled\r\n"),
        ("a\rb", b"550 5.1.1 a?b\r\n"),
        ("a\0b\tc\x7fd\x1be", b"550 5.1.1 a?b?c?d?e\r\n"),
        ("é\u2028\x85𝄞", b"550 5.1.1 ????\r\n"),
        ("\udcff", b"550 5.1.1 ?\r\n"),
    ],
)
def test_what_is_echoed_is_printable_ascii(text: str, line: bytes) -> None:
    assert reject("5.1.1", text).wire == line


def test_a_long_line_is_cut_and_nothing_else() -> None:
    reply = reject("5.1.1", f"short\n{'x' * 2_000}\nshort")
    first, second, third = reply.wire.split(b"\r\n")[:-1]
    assert (first, third) == (b"550-5.1.1 short", b"550 5.1.1 short")
    assert len(second) + 2 == REPLY_LINE_BYTES
    assert reply.text.count("x") == 2_000


def test_the_longest_line_that_fits_is_whole() -> None:
    room = REPLY_LINE_BYTES - len("550 5.1.1 \r\n")
    assert len(reject("5.1.1", "x" * room).wire) == REPLY_LINE_BYTES
    assert reject("5.1.1", "x" * room).wire == reject("5.1.1", "x" * (room + 1)).wire


@given(st.sampled_from([(250, "2.0.0"), (250, ""), (354, ""), (451, "4.3.0"), (550, "5.999.999")]), st.text())
def test_any_text_makes_a_well_formed_reply(status: tuple[int, str], text: str) -> None:
    code, enhanced = status
    wire = Reply(code, enhanced, text).wire
    *lines, nothing = wire.split(b"\r\n")
    assert nothing == b""
    assert len(lines) == text.count("\n") + 1
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        assert line.startswith(f"{code}{' ' if last else '-'}{enhanced}".encode())
        assert all(0x20 <= byte <= 0x7E for byte in line)
        assert len(line) + 2 <= REPLY_LINE_BYTES


@pytest.mark.parametrize(
    ("code", "positive", "permanent"), [(220, True, False), (354, True, False), (421, False, False), (554, False, True)]
)
def test_classes(code: int, positive: bool, permanent: bool) -> None:
    reply = Reply(code, "", "text")
    assert (reply.is_positive, reply.is_permanent) == (positive, permanent)


def test_hanging_up_changes_nothing_else() -> None:
    reply = defer("4.7.1", "not now")
    closing = reply.hang_up()
    assert (reply.closes, closing.closes) == (False, True)
    assert closing.wire == reply.wire
    assert closing != reply
    assert closing.hang_up() == closing


def test_equal_replies_are_one_and_do_not_change() -> None:
    assert accept() == Reply(250, "2.0.0", "OK")
    assert len({accept(), accept(), accept("stored")}) == 2
    with pytest.raises(AttributeError):
        accept().code = 500  # type: ignore[misc]  # what mypy says is what we check


def test_in_words() -> None:
    assert str(reject("5.7.1", "no")) == "550 5.7.1 no"
    assert str(Reply(354, "", "go on")) == "354 go on"


def test_answers_of_authors() -> None:
    assert accept("Sender OK", enhanced="2.1.0") == Reply(250, "2.1.0", "Sender OK")
    assert accept("will try", enhanced="2.5.0", code=252).code == 252
    assert defer("4.7.1", "later") == Reply(450, "4.7.1", "later")
    assert defer("4.3.0", "later", code=451).code == 451
    assert reject("5.7.1", "no") == Reply(550, "5.7.1", "no")
    assert reject("5.3.4", "no", code=552).code == 552


@pytest.mark.parametrize("code", [250, 399, 500, 550])
def test_deferring_is_4xx(code: int) -> None:
    with pytest.raises(ValueError, match="400 to 499"):
        defer("4.0.0", "later", code=code)


@pytest.mark.parametrize("code", [250, 450, 499, 600])
def test_rejecting_is_5xx(code: int) -> None:
    with pytest.raises(ValueError, match="500 to 599"):
        reject("5.0.0", "no", code=code)


ID = "01K11KQ4AAHY00P3G6"


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("no", b"550 5.7.1 no (01K11KQ4AAHY00P3G6)\r\n"),
        ("no\nand never", b"550-5.7.1 no\r\n550 5.7.1 and never (01K11KQ4AAHY00P3G6)\r\n"),
        ("", b"550 5.7.1 (01K11KQ4AAHY00P3G6)\r\n"),
    ],
)
def test_a_refusal_ends_with_an_id(text: str, wire: bytes) -> None:
    assert reject("5.7.1", text).wire_naming(ID) == wire


@pytest.mark.parametrize("length", range(480, 515))
@pytest.mark.parametrize("before", ["", "line\n", f"{'y' * 600}\n"])
def test_with_an_id_no_line_is_longer_than_512_octets(before: str, length: int) -> None:
    *others, last = reject("5.7.1", before + "x" * length).wire_naming(ID).splitlines(keepends=True)
    assert last.endswith(b"x (01K11KQ4AAHY00P3G6)\r\n")
    assert len(last) == min(len("550 5.7.1 ") + length + len(" (01K11KQ4AAHY00P3G6)\r\n"), REPLY_LINE_BYTES)
    assert all(len(line) <= REPLY_LINE_BYTES for line in others)


def test_the_reply_to_a_stored_message_is_like_any_other() -> None:
    stored, made = stored_as("01K11RVDB3ZK0000"), Reply(250, "2.0.0", "stored as 01K11RVDB3ZK0000")
    assert stored == made
    assert (stored.wire, stored.limit) == (made.wire, made.limit)


def test_a_text_that_is_none_is_a_type_error() -> None:
    with pytest.raises((TypeError, AttributeError)):
        reject("5.7.1", cast("str", None))
