"""The parser against the oracle: random bytes over a nasty alphabet, in random portions."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import oracle
from properties.play import read_chunks, read_commands, read_data

from fastsmtp._parser import Parser

# Single bytes that mean something to somebody, and the sequences that a random walk would seldom make.
NASTY_DATA = [b"\r", b"\n", b".", b"\0", b" ", b"a", b"\x85", b"\x8a", b"\x8d", b"\xff", b"\r\n", b"\r\n.", b"\n.\n"]
NASTY_DATA += [
    b"a" * 7,
    b"a" * 16,
    b"a" * 50,
    b"a" * 70 + b"\r\n",
]  # it is copied in blocks of 16, lines in blocks of 64
NASTY_LINES = [
    b"BdaT",
    b"bdat ",
    b"\r",
    b"\n",
    b"\t",
    b" ",
    b"a",
    b"Z",
    b"\0",
    b"\x7f",
    b"\x85",
    b"\xe9",
    b"\r\n",
    b"quit\r\n",
    b"a" * 7,
]


@st.composite
def portions(draw: st.DrawFn, alphabet: list[bytes]) -> list[bytes]:
    """Some input, cut wherever the strategy likes; empty portions are among them."""
    wire = b"".join(draw(st.lists(st.sampled_from(alphabet), max_size=60)))
    cuts = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    return [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


@given(portions(NASTY_DATA))
def test_a_message_ends_and_is_stored_as_the_oracle_says(given_portions: list[bytes]) -> None:
    expected = oracle.message(b"".join(given_portions))
    if expected is None:
        so_far = read_data(Parser(), given_portions)
        assert not so_far.ended
        given_portions = [*given_portions, b"\r\n.\r\nQUIT\r\n"]
        expected = oracle.message(b"".join(given_portions))
        assert expected is not None
        assert expected.stored.startswith(so_far.stored)
    parser = Parser()
    played = read_data(parser, given_portions)
    assert (played.stored, played.ended, played.rest) == (expected.stored, True, expected.rest)
    assert played.header == expected.stored[: expected.header_octets]
    assert parser.size == expected.size
    assert parser.bare_newline == expected.bare


@pytest.mark.parametrize("wanted", [b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r\n", b"\r\n.\r\n", b"\r\n..", b"\n.\r\n"])
def test_wherever_in_a_block_it_stands(wanted: bytes) -> None:
    for before, after in itertools.product(range(140), (0, 1, 15, 16, 33, 64, 130)):
        wire = b"a: b\r\n\r\n" + b"x" * before + wanted + b"y" * after + b"\r\n.\r\n"
        expected = oracle.message(wire)
        assert expected is not None
        parser = Parser()
        played = read_data(parser, [wire])
        assert (played.stored, played.ended, played.rest) == (expected.stored, True, expected.rest)
        assert (parser.size, parser.bare_newline) == (expected.size, expected.bare)


LONG_LINES = b"a: " + b"b" * 61 + b"\r\n\tc\r\n\r\n" + b"d" * 70 + b"\r\n" + b"e" * 200 + b"\r\n..f\r\n" + b"g" * 62
LONG_LINES += b"\r\n\r\n" + b"h" * 63 + b"\r\n" + b"i" * 64 + b"\r" + b"j" * 65 + b"\n.\n" + b"k" * 130 + b"\r\n" * 70


@pytest.mark.parametrize("beside", [0, 1, 2, 100])
def test_wherever_long_lines_are_cut(beside: int) -> None:
    wire = LONG_LINES + b".\r\nQUIT\r\n"
    expected = oracle.message(wire)
    assert expected is not None
    for cut in range(len(wire) + 1):
        parser = Parser()
        played = read_data(parser, [wire[:cut], wire[cut : cut + beside], wire[cut + beside :]])
        assert (played.stored, played.ended, played.rest) == (expected.stored, True, expected.rest)
        assert played.header == expected.stored[: expected.header_octets]
        assert (parser.size, parser.bare_newline) == (expected.size, expected.bare)


@pytest.mark.parametrize("binary", [False, True])
def test_wherever_chunks_of_long_lines_are_cut(binary: bool) -> None:
    expected = oracle.chunked([LONG_LINES], binary=binary)
    for cut in range(len(LONG_LINES) + 1):
        parts = [LONG_LINES[:cut], LONG_LINES[cut:]]
        for chunks in ([parts], [[parts[0]], [parts[1]]]):
            played = read_chunks(chunks, binary=binary)
            assert (played.stored, played.bare) == (expected.stored, expected.bare)
            assert played.header == expected.stored[: expected.header_octets]


@given(portions(NASTY_DATA), st.integers(0, 3))
def test_discarded_data_ends_where_kept_data_ends(given_portions: list[bytes], keep: int) -> None:
    parser = Parser()
    kept = read_data(parser, given_portions[:keep])
    if not kept.ended:
        parser.discard_data()
        discarded = read_data(parser, given_portions[keep:])
        assert discarded.pieces == []
        expected = oracle.message(b"".join(given_portions))
        assert (discarded.ended, discarded.rest) == ((True, expected.rest) if expected else (False, b""))


@given(portions(NASTY_DATA), st.integers(1, 40))
def test_a_message_above_the_limit_ends_where_it_ends_without(given_portions: list[bytes], limit: int) -> None:
    parser = Parser(message_limit=limit)
    played = read_data(parser, given_portions)
    expected = oracle.message(b"".join(given_portions))
    assert (played.ended, played.rest) == ((True, expected.rest) if expected else (False, b""))
    assert len(played.stored) <= limit
    assert parser.too_big == (parser.size > limit)
    if expected:
        assert parser.size == expected.size


@given(portions(NASTY_DATA), st.integers(1, 30))
def test_the_header_limit_moves_bytes_to_the_body_and_changes_none(given_portions: list[bytes], limit: int) -> None:
    played = read_data(Parser(header_limit=limit), [*given_portions, b"\r\n.\r\n"])
    expected = oracle.message(b"".join(given_portions) + b"\r\n.\r\n")
    assert expected is not None
    assert played.stored == expected.stored
    # A doubled dot or a held CR may come on top of what was just enough.
    most = limit + limit // 8 + 4
    assert min(limit, expected.header_octets) <= len(played.header) <= min(most, expected.header_octets)


@given(st.lists(portions(NASTY_DATA), min_size=1, max_size=6), st.booleans())
def test_chunks_are_stored_as_the_oracle_says(chunks: list[list[bytes]], binary: bool) -> None:
    expected = oracle.chunked([b"".join(portions) for portions in chunks], binary=binary)
    played = read_chunks(chunks, binary=binary)
    assert (played.stored, played.bare) == (expected.stored, expected.bare)
    assert played.header == expected.stored[: expected.header_octets]
    body = expected.stored[expected.header_octets :]
    assert played.size == len(played.header.replace(b"\n", b"\r\n")) + len(
        body if binary else body.replace(b"\n", b"\r\n")
    )


@given(st.lists(portions(NASTY_DATA), min_size=1, max_size=4), st.integers(1, 30), st.booleans())
def test_the_header_limit_changes_no_octet_of_chunks(chunks: list[list[bytes]], limit: int, binary: bool) -> None:
    wire = [b"".join(portions) for portions in chunks]
    played = read_chunks(chunks, binary=binary, header_limit=limit)
    expected = oracle.chunked(wire, binary=False)
    assert len(played.header) <= limit + 2
    if not binary:
        assert played.stored == expected.stored
    elif len(played.header) < limit:
        assert played.stored == oracle.chunked(wire, binary=True).stored
    else:
        # What is body by the limit is stored as it came.
        assert b"".join(wire).endswith(played.stored[len(played.header) :])


@given(
    st.lists(st.sampled_from([b"a", b"\0", b".", b"\xff", b"\r\n", b"\r\n.", b"\r\n.\r\n"]), max_size=40),
    st.integers(1, 5),
)
def test_a_message_is_stored_the_same_however_it_came(text: list[bytes], chunk_count: int) -> None:
    content = b"".join(text)
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    stuffed = re.sub(rb"(\A|\r\n)\.", rb"\1..", content)
    by_data = read_data(parser := Parser(), [stuffed + b".\r\n"])
    step = len(content) // chunk_count + 1
    chunks = [[content[i : i + step]] for i in range(0, len(content) + 1, step)]
    by_chunks = read_chunks(chunks, binary=False)
    assert (by_chunks.stored, by_chunks.header, by_chunks.size, by_chunks.bare) == (
        by_data.stored,
        by_data.header,
        parser.size,
        parser.bare_newline,
    )


@given(portions(NASTY_LINES), st.integers(4, 24))
def test_command_lines_say_what_the_oracle_says(given_portions: list[bytes], line_bytes: int) -> None:
    parser = Parser(line_bytes=line_bytes)
    assert read_commands(parser, given_portions) == oracle.commands(b"".join(given_portions), line_bytes)
    assert parser.pending < line_bytes
