"""However a message arrives and wherever its body is, it is the same message; and memory is bounded."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from driver import Driver
from hypothesis import given
from hypothesis import strategies as st
from spools import BrokenSpool, MemorySpool

from fastsmtp.delivery.spool import SpoolFolder
from fastsmtp.smtp.message import SPOOL_PIECE, Message, SpoolError
from fastsmtp.smtp.replies import STORE_FULL

# Short pieces, and now and then a long one: (byte, how often).
pieces = st.lists(
    st.tuples(st.binary(min_size=1, max_size=1), st.integers(1, 20) | st.integers(1, 3 * SPOOL_PIECE)), max_size=60
).map(lambda drawn: [byte * count for byte, count in drawn])
limits = st.integers(0, 50) | st.integers(0, 4 * SPOOL_PIECE)


@pytest.fixture(scope="module")
def folder() -> Iterator[SpoolFolder]:
    with TemporaryDirectory() as root:
        made = SpoolFolder(Path(root))
        made.open()
        yield made


@given(st.lists(st.binary(max_size=40), max_size=5), pieces, limits)
def test_the_same_bytes_with_and_without_a_spool(
    folder: SpoolFolder, header: list[bytes], body: list[bytes], limit: int
) -> None:
    message, plain = Message(), Message()
    message.spool_above(limit, folder.new)
    for piece in header:
        message.append(piece)
        plain.append(piece)
    message.header_complete = plain.header_complete = True
    for piece in body:
        message.append(piece)
        plain.append(piece)
        in_memory = sum(map(len, message.memory[1:]))
        assert in_memory <= (limit if message.spool is None else SPOOL_PIECE)
        assert message.stored_size == plain.stored_size
    for _ in range(2):
        assert bytes(message) == bytes(plain) == b"".join([*header, *body])
        assert message.header.raw == plain.header.raw == b"".join(header)
        message.finish()
    assert (message.spool is not None) is (sum(map(len, body)) > limit)
    if message.spool is not None:
        assert message.memory == [b"".join(header)]
        assert message.spool.size == sum(map(len, body))
        assert b"".join(message.spool.pieces()) == b"".join(body)
    else:
        assert b"".join(message.memory) == bytes(plain)


@given(pieces, limits)
def test_a_spool_is_written_in_large_pieces(body: list[bytes], limit: int) -> None:
    message = Message()
    message.spool_above(limit, MemorySpool)
    message.header_complete = True
    for piece in body:
        message.append(piece)
    message.finish()
    spool = message.spool
    if isinstance(spool, MemorySpool):
        assert all(len(piece) >= SPOOL_PIECE for piece in spool.written[1:-1])
        assert len(spool.written[0]) > limit


@given(pieces, limits, st.integers(0, 6 * SPOOL_PIECE))
def test_a_spool_that_fills_up_fails_once_and_holds_nothing(body: list[bytes], limit: int, room: int) -> None:
    message = Message()
    message.spool_above(limit, lambda: BrokenSpool(room))
    message.header_complete = True
    size = sum(map(len, body))
    try:
        for piece in body:
            message.append(piece)
        message.finish()
    except SpoolError:
        assert size > max(limit, room)
        assert (message.spool, message.memory) == (None, [b""])
    else:
        assert size <= max(limit, room)
        assert message.stored_size == size


LINES = st.lists(st.sampled_from(["", ".", "..", "text", "x" * 100, "QUIT", "Subject: x"]), max_size=40)


@given(LINES, st.integers(0, 300), st.none() | st.integers(0, 600), st.integers(1, 100))
def test_a_session_says_and_takes_the_same(
    folder: SpoolFolder, lines: list[str], limit: int, room: int | None, step: int
) -> None:
    make_spool = folder.new if room is None else lambda: BrokenSpool(room)
    wire = "".join(f".{line}\r\n" if line.startswith(".") else f"{line}\r\n" for line in lines).encode() + b".\r\n"
    plain = Driver().data()
    expected = plain.feed(wire)
    driver = Driver(spool_above=limit, make_spool=make_spool).data()
    heard = "".join(driver.feed(wire[start : start + step]) for start in range(0, len(wire), step))
    if heard == str(STORE_FULL):
        assert room is not None
        assert driver.happened[-1] == "deferred"
    else:
        assert heard == expected
        assert bytes(driver.ended[0].message) == bytes(plain.ended[0].message)
    assert driver.say("NOOP") == "250 2.0.0 OK"
