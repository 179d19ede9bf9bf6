"""A message as it arrives: its header, its pieces, and what is put on top."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spools import BrokenSpool, MemorySpool

from fastsmtp.smtp.message import SPOOL_PIECE, Header, Message, SpoolError
from fastsmtp.smtp.replies import STORE_FULL

# --- Header -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"", []),
        (b"\n", []),
        (b"Subject: x\n\n", [(b"subject", b"x")]),
        (b"Subject: x", [(b"subject", b"x")]),
        (b"SUBJECT:x\nsubject:\ty \n\n", [(b"subject", b"x"), (b"subject", b"y")]),
        (b"Subject : obsolete\n\n", [(b"subject", b"obsolete")]),
        (b"Empty:\n\n", [(b"empty", b"")]),
        (b"Colons: a:b: c\n\n", [(b"colons", b"a:b: c")]),
        (b"Folded: a\n b\n\t c \nNext: d\n\n", [(b"folded", b"a b c"), (b"next", b"d")]),
        (b"Message-ID:\n <long@example.org>\n\n", [(b"message-id", b"<long@example.org>")]),
        (b"Empty:\n \n\t\nNext: d\n\n", [(b"empty", b""), (b"next", b"d")]),
        (b"8bit: \xff\xe9\0\n\n", [(b"8bit", b"\xff\xe9\0")]),
        (b"Bare: a\rb\r\n\n", [(b"bare", b"a\rb")]),
        # What is no field is skipped, and so is what is folded to it.
        (b"From me Mon Jan 1\nTo: x\n\n", [(b"to", b"x")]),
        (b"no colon\n folded: to nothing\nTo: x\n\n", [(b"to", b"x")]),
        (b"To: x\nno colon\n folded to nothing\nCc: y\n\n", [(b"to", b"x"), (b"cc", b"y")]),
        (b" leading: blank\nTo: x\n\n", [(b"to", b"x")]),
        (b"\tTo: x\n\n", []),
        (b": no name\n folded\nTo: x\n\n", [(b"to", b"x")]),
    ],
)
def test_fields(raw: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    header = Header(raw)
    assert header.fields() == fields
    assert header.raw == raw


def test_fields_by_name() -> None:
    header = Header(b"Received: one\nTO: x\nreceived: two\n\n")
    assert header.get_all("Received") == [b"one", b"two"]
    assert header.get("RECEIVED") == b"one"
    assert header.get("to") == b"x"
    assert (header.get("cc"), header.get_all("cc")) == (None, [])


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b"", 0),
        (b"Received: a\n" * 3 + b"\n", 3),
        (b"RECEIVED:a\nreceived : b\n\n", 2),
        (b"Received: a\n" * 3, 3),
        # Continuations, other names, and bare CRs begin no field.
        (b"Received: a\n Received: b\n\tReceived: c\n\n", 1),
        (b"X-Received: a\nReceivedx: b\nReceived\n: c\nReceived-SPF: d\n\n", 0),
        (b"Subject: a\rReceived: b\n\nReceived: body\n", 1),
    ],
)
def test_more_fields_of_a_name_than_a_limit(raw: bytes, count: int) -> None:
    header = Header(raw)
    assert [header.has_more(b"received", limit) for limit in range(1, 5)] == [count > limit for limit in range(1, 5)]
    assert not header.has_more(b"received", 0)


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b"", 0),
        (b"\n", 0),
        (b"A: 1\n\n", 1),
        (b"A: 1\nB: 2\n", 2),
        (b"A: 1\n folded\n\tagain\nB: 2\n\n", 2),
        (b"A: 1\n" * 3 + b"\n", 3),
        (b"no field, which other readers may take for one\nA: 1\n\n", 2),
    ],
)
def test_more_fields_than_a_limit(raw: bytes, count: int) -> None:
    header = Header(raw)
    assert [header.has_more_fields(limit) for limit in range(1, 5)] == [count > limit for limit in range(1, 5)]
    assert not header.has_more_fields(0)


def test_no_field_is_too_far_below_to_be_looked_at() -> None:
    fields = Header(b"".join(b"f%d: v\n folded\n" % number for number in range(5_000)) + b"\n").fields()
    assert len(fields) == 5_000
    assert fields[-1] == (b"f4999", b"v folded")


def test_lines_without_a_colon_do_not_count_as_fields() -> None:
    assert Header(b"nothing\n" * 5_000 + b"To: x\n\n").fields() == [(b"to", b"x")]


@given(
    st.lists(st.sampled_from([b"a", b":", b" ", b"\t", b"\n", b"\r", b"\xff", b"To: x\n"]), max_size=40).map(b"".join)
)
def test_any_header_is_read(raw: bytes) -> None:
    for name, value in Header(raw).fields():
        assert name
        assert name == name.lower().strip(b" \t")
        assert value == value.strip(b" \t")
        assert b"\n" not in name + value


# --- Arrival ----------------------------------------------------------------------------------------------------------


def arrived(header: list[bytes], body: list[bytes]) -> Message:
    message = Message()
    for piece in header:
        message.append(piece)
    message.header_complete = True
    for piece in body:
        message.append(piece)
    return message


def test_header_and_body_are_apart() -> None:
    message = arrived([b"To: x\n", b"\n"], [b"one\n", b"two\n"])
    assert message.header.raw == b"To: x\n\n"
    assert message.memory == [b"To: x\n\n", b"one\n", b"two\n"]
    assert b"".join(message.content()) == bytes(message) == b"To: x\n\none\ntwo\n"
    assert message.stored_size == len(bytes(message))


def test_an_empty_message() -> None:
    message = Message()
    assert (bytes(message), list(message.content()), message.stored_size, message.added) == (b"", [], 0, b"")
    assert message.header.fields() == []


def test_the_header_grows_until_it_is_complete() -> None:
    message = Message()
    assert message.header.fields() == []
    message.append(b"To: x\nSub")
    assert message.header.get("to") == b"x"
    assert message.header.get("subject") is None
    message.append(b"ject: y\n\n")
    message.header_complete = True
    assert message.header.get("subject") == b"y"
    message.append(b"Body: z\n")
    assert message.header.get("body") is None


def test_a_complete_header_is_parsed_once() -> None:
    message = arrived([b"To: x\n\n"], [])
    assert message.header is message.header


@pytest.mark.parametrize("part", ["header", "body"])
def test_a_trickle_of_single_bytes_becomes_few_pieces(part: str) -> None:
    pieces = [bytes((byte % 256,)) for byte in range(100_000)]
    message = arrived(pieces, []) if part == "header" else arrived([], pieces)
    assert bytes(message) == b"".join(pieces)
    assert len(list(message.content())) < 300


def test_a_trickle_in_header_and_body_keeps_them_apart() -> None:
    header, body = [b"h"] * 5_000, [b"b"] * 5_000
    message = arrived(header, body)
    assert message.header.raw == b"h" * 5_000
    assert b"".join(message.memory[1:]) == b"b" * 5_000


def test_large_pieces_are_not_copied() -> None:
    pieces = [b"x" * 4_096 for _ in range(500)]
    assert all(kept is piece for kept, piece in zip(arrived([], pieces).content(), pieces, strict=True))


@given(st.lists(st.binary(max_size=2_000), max_size=200), st.integers(0, 200))
def test_no_byte_is_lost_or_moved(pieces: list[bytes], header_pieces: int) -> None:
    message = arrived(pieces[:header_pieces], pieces[header_pieces:])
    assert message.header.raw == b"".join(pieces[:header_pieces])
    assert b"".join(message.memory[1:]) == b"".join(pieces[header_pieces:])
    assert message.stored_size == len(bytes(message)) == sum(map(len, pieces))


# --- Spool ------------------------------------------------------------------------------------------------------------


def spooled() -> Message:
    message = Message()
    message.spool_above(10, MemorySpool)
    message.append(b"To: x\n\n")
    message.header_complete = True
    return message


def test_a_body_up_to_the_limit_stays_in_memory() -> None:
    message = spooled()
    message.append(b"0123456789")
    message.finish()
    assert (message.spool, message.memory) == (None, [b"To: x\n\n", b"0123456789"])


def test_above_the_limit_all_of_the_body_goes_on_in_the_spool_and_the_header_never() -> None:
    message = spooled()
    message.append(b"01234")
    message.append(b"567890")
    spool = message.spool
    assert isinstance(spool, MemorySpool)
    assert (spool.written, message.memory) == ([b"01234567890"], [b"To: x\n\n"])
    message.append(b"tail")
    assert (bytes(message), message.stored_size) == (b"To: x\n\n01234567890tail", 22)
    message.finish()
    assert (spool.written, message.memory) == ([b"01234567890", b"tail"], [b"To: x\n\n"])
    assert (bytes(message), message.stored_size) == (b"To: x\n\n01234567890tail", 22)
    message.finish()
    assert len(spool.written) == 2


def test_a_header_above_the_limit_stays_in_memory() -> None:
    message = Message()
    message.spool_above(10, MemorySpool)
    message.append(b"To: somebody\n\n")
    message.finish()
    assert message.spool is None


def test_a_trickle_costs_a_write_for_every_64_kib() -> None:
    message = spooled()
    for _ in range(200_000):
        message.append(b"x")
    message.finish()
    assert isinstance(message.spool, MemorySpool)
    assert [len(piece) for piece in message.spool.written] == [11, SPOOL_PIECE, SPOOL_PIECE, SPOOL_PIECE, 3_381]


def test_without_anything_that_makes_spools_all_stays_in_memory() -> None:
    message = arrived([b"To: x\n\n"], [b"x" * 1_000_000] * 3)
    message.finish()
    assert (message.spool, message.stored_size) == (None, 3_000_007)


@pytest.mark.parametrize("room", [0, 15])
def test_a_spool_that_fails_is_let_go_and_the_body_with_it(room: int) -> None:
    message = Message()
    message.spool_above(10, lambda: BrokenSpool(room))
    message.header_complete = True

    def arrive() -> None:
        for _ in range(2):
            message.append(b"more than ten")
            message.finish()

    with pytest.raises(SpoolError, match="Not enough space") as caught:
        arrive()
    assert caught.value.reply is STORE_FULL
    assert (message.spool, bytes(message), message.stored_size) == (None, b"", 0)


# --- Added fields -----------------------------------------------------------------------------------------------------


def test_the_field_added_last_is_on_top() -> None:
    message = arrived([b"To: x\n\n"], [])
    message.add_header("X-One", "1")
    message.add_header("X-Two", "2")
    assert message.added == b"X-Two: 2\nX-One: 1\n"
    assert bytes(message) == b"To: x\n\n"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("plain", b"X: plain\n"),
        ("", b"X: \n"),
        ("two\nlines", b"X: two\n\tlines\n"),
        ("two\r\nlines", b"X: two\n\tlines\n"),
        ("two\rlines", b"X: two\n\tlines\n"),
        ("folded\n\t before", b"X: folded\n\tbefore\n"),
        ("x\n\nbody", b"X: x\n\tbody\n"),
        ("x\n \n\t\r\n\rbody\n", b"X: x\n\tbody\n"),
        ("\nEvil: yes", b"X: Evil: yes\n"),
        ("x\nEvil: yes\n\nbody", b"X: x\n\tEvil: yes\n\tbody\n"),
        ("é", b"X: \xc3\xa9\n"),
    ],
)
def test_a_value_cannot_leave_its_field(value: str, field: bytes) -> None:
    message = Message()
    message.add_header("X", value)
    assert message.added == field


@given(st.text(st.sampled_from("a: \t\r\n\x0b\x0c\x1c\x85\u2028é"), max_size=20))
def test_an_added_field_is_one_field(value: str) -> None:
    message = Message()
    message.add_header("X-Below", "b")
    message.add_header("X-Ours", value)
    names = [name for name, _ in Header(message.added + b"To: x\n\n").fields()]
    assert names == [b"x-ours", b"x-below", b"to"]
    assert b"\n\n" not in message.added
    assert b"\r" not in message.added


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "\n", "é", "a\0", "x" * 77, " a", "a\t"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    message = Message()
    with pytest.raises(ValueError, match="name of a header field"):
        message.add_header(name, "value")
    assert message.added == b""


@pytest.mark.parametrize("value", ["a\0b", "\0"])
def test_a_nul_is_refused(value: str) -> None:
    message = Message()
    with pytest.raises(ValueError, match="NUL"):
        message.add_header("X", value)
    assert message.added == b""


# --- Removed fields ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b"To: x\nX-Our: 1\nCc: y\n\n", b"To: x\nCc: y\n\n"),
        (b"X-OUR: 1\nx-our : 2\nx-our:\nTo: x\n\n", b"To: x\n\n"),
        (b"X-Our:\n 1\n\t2\n \nTo: x\n\n", b"To: x\n\n"),
        (b"X-Our: 1\n\n", b"\n"),
        (b"X-Our: 1", b""),
        (b"To: x\nX-Our: 1\n 2", b"To: x\n"),
        (b"X-Ours: 1\nNot-X-Our: 1\nTo: x\n X-Our: 1\n\n", None),
        (b"X-Our 1\nTo: X-Our: 1\n\n", None),
        (b"", None),
        # Some readers see a field behind a bare CR; the line before keeps its end.
        (b"To: x\rX-Our: 1\nCc: y\n\n", b"To: x\nCc: y\n\n"),
        (b"To: x\rX-Our: 1\rCc: y\r\rX-Our:\r\n 1\n 2\n\n", b"To: x\rCc: y\r\n\n"),
        (b"To: x\rX-Ours: 1\n\n", None),
        # Some unfold first, and look for the colon then.
        (b"X-Our\n : 1\nTo: x\n\n", b"To: x\n\n"),
        (b"X-Our \n\t\r\n :\n 1\nTo: x\n\n", b"To: x\n\n"),
        (b"To: x\rX-Our\r : 1\nCc: y\n\n", b"To: x\nCc: y\n\n"),
        (b"X-Our\nX: 1\n\n", None),
    ],
)
def test_fields_are_removed_and_everything_else_stays(raw: bytes, left: bytes | None) -> None:
    message = arrived([raw], [b"X-Our: body\n"])
    message.size = size = 99
    removed = message.remove_header("X-Our")
    assert (removed > 0) is (left is not None)
    header = raw if left is None else left
    assert message.header.raw == header
    assert bytes(message) == header + b"X-Our: body\n"
    assert (message.size, message.stored_size) == (size, len(header) + 12)
    assert message.held == message.stored_size


def test_only_the_unwanted_ones_are_removed() -> None:
    message = arrived([b"X-Our: keep\nX-Our:\n go\n  away \nX-Our: keep too\n\n"], [])
    seen: list[bytes] = []

    def is_unwanted(value: bytes) -> bool:
        seen.append(value)
        return value == b"go away"

    assert message.remove_header("x-our", is_unwanted) == 1
    assert seen == [b"keep", b"go away", b"keep too"]
    assert bytes(message) == b"X-Our: keep\nX-Our: keep too\n\n"


def test_no_field_is_too_far_below() -> None:
    message = arrived([b"X: 1\n" * 5_000 + b"X-Our: 1\n\n"], [])
    assert message.remove_header("X-Our") == 1
    assert bytes(message) == b"X: 1\n" * 5_000 + b"\n"


def test_the_header_of_a_spooled_message_is_in_memory_and_can_lose_fields() -> None:
    message = spooled()
    body = bytes(message)
    message.header_complete = False
    message.append(b"To: x\nX-Our: 1\n\n")
    message.header_complete = True
    assert message.remove_header("X-Our") == 1
    assert bytes(message) == b"To: x\n\n" + body


def test_nothing_is_removed_before_all_of_the_header_is_there() -> None:
    message = Message()
    message.append(b"X-Our: 1\n")
    with pytest.raises(RuntimeError, match="the header is not complete"):
        message.remove_header("X-Our")


def test_what_was_done_to_the_header_can_be_undone() -> None:
    message = arrived([b"To: x\nX-Our: 1\n\n"], [b"body\n"])
    message.add_header("X-Before", "1")
    held, remembered = message.held, message.remember()
    message.add_header("X-After", "1")
    message.remove_header("X-Our")
    message.take_back(remembered)
    assert message.added == b"X-Before: 1\n"
    assert bytes(message) == b"To: x\nX-Our: 1\n\nbody\n"
    assert message.held == held


@given(st.lists(st.sampled_from([b"\n", b"\r", b" ", b"X-Our:", b"To:", b"x", b"\n\t"]), max_size=20))
def test_no_reader_finds_a_removed_field(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    message = arrived([raw], [])
    others = [field for field in message.header.fields() if field[0] != b"x-our"]
    message.remove_header("X-Our")
    left = message.header
    assert left.get_all("X-Our") == []
    lenient = left.raw.replace(b"\r", b"\n")
    assert not re.search(rb"^x-our[ \t]*:", lenient, re.MULTILINE | re.IGNORECASE)
    if b"\rX-Our:" not in raw:  # else it is gone from the middle of another one
        assert left.fields() == others
