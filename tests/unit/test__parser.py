"""Command lines and message data; the rows about the end of data are in tests/vectors/data_endings.toml."""

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties.play import Played, Said, read_chunks, read_commands, read_data, single_bytes, splits

from fastsmtp._parser import END_OF_DATA, DataEnd, LineFault, Parser, is_printable_ascii, path_begin, plain_path

TAIL = b"noop after\r\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table, in bytes."""

    name: str
    wire: bytes
    stored: bytes
    rest: bytes = b""
    open: bool = False
    bare: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def sent(self) -> bytes:
        """What the client sends: behind an end of data there is always another command."""
        return self.wire if self.open else self.wire + TAIL


def read_rows() -> list[Row]:
    table = tomllib.loads((Path(__file__).parents[1] / "vectors" / "data_endings.toml").read_text())
    encoded = [
        {key: value.encode("latin-1") if key in ("wire", "stored", "rest") else value for key, value in case.items()}
        for case in table["case"]
    ]
    return [Row(**case) for case in encoded]


ROWS = read_rows()
every_row = pytest.mark.parametrize("row", ROWS, ids=str)


def check_row(row: Row, portions: Sequence[bytes]) -> None:
    """Play a row three ways: kept, thrown away, and with next commands read where the data ended."""
    parser = Parser()
    played = read_data(parser, portions)
    assert played.stored == row.stored
    assert played.ended is not row.open
    assert parser.bare_newline is row.bare
    assert parser.size == len(row.stored) + row.stored.count(b"\n")
    assert played.header == header_of(row.stored)
    assert played.rest == (b"" if row.open else row.rest + TAIL)
    if not row.open:
        parser.feed(played.rest[parser.pending :])
        next_commands = [(line, b"") for line in row.rest.split(b"\r\n")[:-1]]
        assert read_commands(parser, [b""]) == [*next_commands, (b"NOOP", b"after")]
    discarding = Parser()
    discarding.discard_data()
    discarded = read_data(discarding, portions)
    assert discarded == Played(ended=played.ended, rest=played.rest)
    assert (discarding.size, discarding.bare_newline) == (parser.size, parser.bare_newline)


def header_of(stored: bytes) -> bytes:
    """The header of a message in stored form, up to and including the first empty line."""
    if stored.startswith(b"\n"):
        return b"\n"
    head, empty_line, _ = stored.partition(b"\n\n")
    return head + empty_line


@every_row
def test_row_whole(row: Row) -> None:
    check_row(row, [row.sent])


@every_row
def test_row_without_a_tail(row: Row) -> None:
    played = read_data(Parser(), [row.wire])
    assert (played.stored, played.ended, played.rest) == (row.stored, not row.open, row.rest)


@every_row
def test_row_byte_by_byte(row: Row) -> None:
    check_row(row, single_bytes(row.sent))


@every_row
def test_row_at_every_split(row: Row) -> None:
    for portions in splits(row.sent):
        check_row(row, portions)


@given(st.sampled_from(ROWS), st.data())
def test_row_in_many_portions(row: Row, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(row.sent)), max_size=12)))
    check_row(row, [row.sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(row.sent)], strict=True)])


def test_the_table_is_whole() -> None:
    assert len(ROWS) >= 45
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert any(row.open for row in ROWS)
    assert any(row.rest for row in ROWS)


# --- Message data beyond the table ------------------------------------------------------------------------------------


def test_no_piece_has_header_and_body() -> None:
    parser = Parser()
    parser.feed(b"Subject: x\r\n\r\nbody\r\n.\r\n")
    assert parser.next_data() == b"Subject: x\n\n"
    assert parser.header_complete
    assert parser.next_data() == b"body\n"
    assert parser.next_data() is END_OF_DATA


def test_without_an_empty_line_all_of_it_is_header() -> None:
    played = read_data(parser := Parser(), [b"Subject: x\r\n.\r\n"])
    assert (played.header, played.body) == (b"Subject: x\n", b"")
    assert not parser.header_complete


def test_a_header_that_never_ends_becomes_body_at_its_limit() -> None:
    wire = b"x" * 5_000 + b"\r\n.\r\n"
    for portions in ([wire], single_bytes(wire)):
        played = read_data(Parser(header_limit=1_000), portions)
        assert (len(played.header), len(played.body)) == (1_000, 4_001)


def test_size_counts_octets_with_crlf_and_without_transparency() -> None:
    parser = Parser()
    read_data(parser, [b"..a\r\n\r\nb\n.\r\n"])
    assert parser.size == len(b".a\r\n\r\nb\r\n..\r\n")


@pytest.mark.parametrize(("limit", "too_big"), [(0, False), (9, False), (10, False), (8, True), (1, True)])
def test_a_message_may_be_as_big_as_its_limit_and_no_bigger(limit: int, too_big: bool) -> None:
    wire = b"1234567\r\n.\r\nQUIT\r\n"
    for portions in ([wire], single_bytes(wire), *splits(wire)):
        parser = Parser(message_limit=limit)
        played = read_data(parser, portions)
        assert parser.too_big is too_big
        assert (played.ended, played.rest) == (True, b"QUIT\r\n")
        assert (played.stored == b"1234567\n") is not too_big


def test_above_its_limit_a_message_costs_no_memory() -> None:
    parser = Parser(message_limit=10_000)
    line = b"x" * 98 + b"\r\n"
    kept = read_data(parser, [line * 10] * 1_000)
    assert not kept.ended
    assert len(kept.stored) <= 10_000
    assert parser.too_big
    assert (parser.pending, parser.size) == (0, 1_000_000)
    assert read_data(parser, [b".\r\n"]).ended


def test_start_data_forgets_the_last_message() -> None:
    parser = Parser(message_limit=20)
    assert read_data(parser, [b"\r\nabare\nline, and too long\r\n.\r\n"]).ended
    assert (parser.too_big, parser.bare_newline, parser.header_complete) == (True, True, True)
    parser.start_data()
    assert (parser.too_big, parser.bare_newline, parser.header_complete, parser.size) == (False, False, False, 0)
    assert read_data(parser, [b"a: b\r\n.\r\n"]).header == b"a: b\n"


def test_discarding_starts_anywhere_and_ends_with_the_message() -> None:
    parser = Parser()
    parser.feed(b"kept\r\n")
    assert parser.next_data() == b"kept\n"
    parser.discard_data()
    assert read_data(parser, [b"not kept\r\n.\r\nQUIT\r\n"]) == Played(ended=True, rest=b"QUIT\r\n")
    parser.start_data()
    assert parser.next_data() == b"QUIT\n"


def test_a_line_without_an_end_streams() -> None:
    parser = Parser()
    played = read_data(parser, [b"\r\n", *[b"x" * 65_536] * 64])
    assert len(played.body) == 64 * 65_536
    assert parser.pending == 0


def test_doubled_dots_do_not_outgrow_a_piece() -> None:
    wire = b"\r\n" + b"\n." * 50_000 + b"\r\n.\r\n"
    played = read_data(Parser(), [wire])
    assert played.body == b"\n.." * 50_000 + b"\n"
    assert len(played.pieces) < 100


# --- Chunks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """One row of the table of chunks, in bytes."""

    name: str
    chunks: list[bytes]
    stored: bytes
    binary: bytes
    bare: bool
    bare_binary: bool

    def __str__(self) -> str:
        return self.name


def read_chunk_rows() -> list[ChunkRow]:
    table = tomllib.loads((Path(__file__).parents[1] / "vectors" / "chunking.toml").read_text())
    return [
        ChunkRow(
            case["name"],
            [chunk.encode("latin-1") for chunk in case["chunks"]],
            case["stored"].encode("latin-1"),
            case.get("binary", case["stored"]).encode("latin-1"),
            case.get("bare", False),
            case.get("bare_binary", case.get("bare", False)),
        )
        for case in table["case"]
    ]


CHUNK_ROWS = read_chunk_rows()
every_chunk_row = pytest.mark.parametrize("row", CHUNK_ROWS, ids=str)


def check_chunks(row: ChunkRow, chunks: Sequence[Sequence[bytes]]) -> None:
    as_text, as_octets = read_chunks(chunks, binary=False), read_chunks(chunks, binary=True)
    assert (as_text.stored, as_text.bare) == (row.stored, row.bare)
    assert (as_octets.stored, as_octets.bare) == (row.binary, row.bare_binary)
    assert as_text.header == as_octets.header == header_of(row.stored)


@every_chunk_row
def test_chunks_in_one_portion_each(row: ChunkRow) -> None:
    check_chunks(row, [[chunk] for chunk in row.chunks])


@every_chunk_row
def test_chunks_byte_by_byte(row: ChunkRow) -> None:
    check_chunks(row, [single_bytes(chunk) for chunk in row.chunks])
    check_chunks(row, [[byte] for byte in single_bytes(b"".join(row.chunks))] or [[b""]])


@every_chunk_row
def test_chunks_cut_elsewhere(row: ChunkRow) -> None:
    whole = b"".join(row.chunks)
    for cut in range(len(whole) + 1):
        check_chunks(row, [[whole[:cut]], [whole[cut:]]])
        check_chunks(row, [[whole[:cut], whole[cut:]]])


def test_the_table_of_chunks_is_whole() -> None:
    assert len(CHUNK_ROWS) >= 25
    assert len({row.name for row in CHUNK_ROWS}) == len(CHUNK_ROWS)


def test_an_empty_last_chunk_needs_no_input() -> None:
    parser = Parser()
    parser.start_chunks(False)
    parser.start_chunk(0, True)
    assert parser.next_data() is END_OF_DATA


def test_a_chunk_that_is_not_all_there_has_not_ended() -> None:
    parser = Parser()
    parser.start_chunks(True)
    parser.start_chunk(2**63 - 1, True)
    parser.feed(b"\r\nx")
    assert [parser.next_data() for _ in range(3)] == [b"\n", b"x", None]
    parser.feed(b"\r\n.\r\n")
    assert [parser.next_data() for _ in range(2)] == [b"\r\n.\r\n", None]


@pytest.mark.parametrize("size", [0, 1, 5, 100_000])
def test_a_dropped_chunk_is_so_many_octets(size: int) -> None:
    wire = b"\r\n.\r\n" * (size // 5 + 1)
    for portions in ([wire[:size] + b"QUIT\r\n"], [wire[:size], b"QUIT\r\n"], *splits(wire[: size % 10] + b"QUIT\r\n")):
        parser = Parser(message_limit=2)
        parser.drop_chunk(sum(map(len, portions)) - len(b"QUIT\r\n"))
        said = None
        for portion in portions:
            parser.feed(portion)
            said = said or parser.next_data()
        assert said is DataEnd.DROPPED
        assert parser.next_command() == (b"QUIT", b"")
    assert parser.pending == 0


def test_a_message_after_a_dropped_chunk_begins_afresh() -> None:
    parser = Parser()
    parser.start_chunks(False)
    parser.start_chunk(3, False)
    parser.feed(b"a\n\r")
    assert [parser.next_data(), parser.next_data()] == [b"a\n", DataEnd.CHUNK]
    parser.drop_chunk(1)
    parser.feed(b"x")
    assert parser.next_data() is DataEnd.DROPPED
    parser.start_chunks(False)
    parser.start_chunk(3, True)
    parser.feed(b"b\r\n")
    assert [parser.next_data(), parser.next_data()] == [b"b\n", END_OF_DATA]
    assert (parser.bare_newline, parser.size) == (False, 3)
    parser.start_data()
    assert read_data(parser, [b"..c\r\n.\r\n"]).stored == b".c\n"


def test_chunks_that_are_discarded_end_where_they_end() -> None:
    parser = Parser()
    parser.start_chunks(False)
    parser.start_chunk(10, False)
    parser.feed(b"a: b\r\n\r\n12")
    assert parser.next_data() == b"a: b\n\n"
    parser.discard_data()
    assert parser.next_data() is DataEnd.CHUNK
    parser.start_chunk(2, True)
    parser.feed(b"xyQUIT\r\n")
    assert parser.next_data() is END_OF_DATA
    assert parser.next_command() == (b"QUIT", b"")


@pytest.mark.parametrize("binary", [False, True])
def test_chunks_above_the_limit_cost_no_memory(binary: bool) -> None:
    parser = Parser(message_limit=10_000)
    parser.start_chunks(binary)
    parser.start_chunk(1_000_000, True)
    kept = 0
    for _ in range(1_000):
        parser.feed(b"\r\n" + b"x" * 996 + b"\r\n")
        while isinstance(piece := parser.next_data(), bytes):
            kept += len(piece)
    assert kept <= 10_000
    assert parser.too_big
    assert piece is END_OF_DATA


# --- Command lines ----------------------------------------------------------------------------------------------------


def lines(wire: bytes, **limits: int) -> list[Said]:
    """What the parser says about `wire`: in one portion, byte by byte and at every split it is the same."""
    said = read_commands(Parser(**limits), [wire])
    assert read_commands(Parser(**limits), single_bytes(wire)) == said
    for portions in splits(wire):
        assert read_commands(Parser(**limits), portions) == said
    return said


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (b"QUIT\r\n", (b"QUIT", b"")),
        (b"quit\r\n", (b"QUIT", b"")),
        (b"MaIl FROM:<a@B.example> size=1\r\n", (b"MAIL", b"FROM:<a@B.example> size=1")),
        (b"NOOP   two  words \t \r\n", (b"NOOP", b"two  words")),
        (b"NOOP\tword\r\n", (b"NOOP", b"word")),
        (b"NOOP \t\r\n", (b"NOOP", b"")),
        (b"\r\n", (b"", b"")),
        (b"  \r\n", (b"", b"")),
        (b" NOOP\r\n", (b"", b"NOOP")),
        (b"RCPT TO:<\xc3\xa9@x.example>\r\n", (b"RCPT", b"TO:<\xc3\xa9@x.example>")),
        (b"\xe9t\xe9\x85\r\n", (b"\xe9T\xe9\x85", b"")),
    ],
)
def test_a_line_is_a_verb_and_an_argument(wire: bytes, said: tuple[bytes, bytes]) -> None:
    assert lines(wire) == [said]


def test_a_line_is_none_before_its_crlf() -> None:
    assert lines(b"") == []
    assert lines(b"QUIT") == []
    assert lines(b"QUIT\r") == []


def test_pipelined_lines_come_one_by_one() -> None:
    wire = b"MAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nDATA\r\nrest"
    assert lines(wire) == [(b"MAIL", b"FROM:<>"), (b"RCPT", b"TO:<a@x.example>"), (b"DATA", b"")]
    parser = Parser()
    parser.feed(wire)
    pending = [parser.pending]
    while parser.next_command() is not None:
        pending.append(parser.pending)
    assert pending == [len(wire), len(wire) - 14, 10, 4]


@pytest.mark.parametrize(
    "line",
    [
        b"NOOP\nQUIT",
        b"\nQUIT",
        b"NOOP\n\nQUIT",
        b"NOOP\n",
        b"NOOP\n\rQUIT",
        b"NOOP\r\rX\nQUIT",
        b"NOOP\nQUIT \0 " + b"x" * 100,
    ],
)
def test_a_bare_lf_is_one_fault_and_never_two_commands(line: bytes) -> None:
    assert lines(line + b"\r\nRSET\r\n", line_bytes=32) == [LineFault.BARE_LF, (b"RSET", b"")]


def test_a_bare_lf_is_reported_before_the_line_ends() -> None:
    assert lines(b"NOOP\n") == [LineFault.BARE_LF]
    assert lines(b"NOOP\nQUIT\nQUIT\n") == [LineFault.BARE_LF]


@pytest.mark.parametrize("byte", [*range(9), *range(11, 32), 127])
def test_control_characters_are_a_fault(byte: int) -> None:
    for line in (b"NO%cOP", b"NOOP x%cy", b"%cNOOP", b"NOOP x%c"):
        assert lines(line % byte + b"\r\nQUIT\r\n") == [LineFault.BAD_BYTES, (b"QUIT", b"")]


@pytest.mark.parametrize("line", [b"BDAT 5\0", b"bdat 5 LAST\n", b"BDAT\n5", b"BdAt " + b"5" * 40, b"BDAT\t5\x7f"])
def test_a_bdat_that_cannot_be_read_is_a_fault_of_its_own(line: bytes) -> None:
    assert lines(line + b"\r\nRSET\r\n", line_bytes=32)[0] is LineFault.CHUNK_LOST


@pytest.mark.parametrize("line", [b"BDATA 5\0", b"BDA\0", b"XBDAT 5\0", b" BDAT 5\0", b"BDAT5\0"])
def test_what_only_looks_like_bdat_is_a_line_like_others(line: bytes) -> None:
    assert lines(line + b"\r\nRSET\r\n", line_bytes=32) == [LineFault.BAD_BYTES, (b"RSET", b"")]


def test_so_many_commands_are_permitted_and_no_more() -> None:
    parser = Parser()
    for _ in range(2):
        parser.permit_commands(4)
        assert read_commands(parser, [b"A\r\n\0\r\nB\r", b"\n\nC\r\nE\r\nD"]) == [
            (b"A", b""),
            LineFault.BAD_BYTES,
            (b"B", b""),
            LineFault.BARE_LF,
            LineFault.TOO_MANY,
        ]
        assert read_commands(parser, [b"\r\n"]) == [LineFault.TOO_MANY]
    parser.permit_commands(0)
    assert read_commands(parser, [b"A\r\n" * 1000]) == [(b"A", b"")] * 1000


def test_responses_are_no_commands_and_chunks_are_none_unless_they_are_small() -> None:
    parser = Parser()
    parser.permit_commands(2)
    parser.feed(b"AUTH PLAIN\r\nresponse\r\nBDAT 1024\r\n")
    assert parser.next_command() == (b"AUTH", b"PLAIN")
    parser.expect_response(100)
    assert parser.next_command() == b"response"
    parser.start_chunks(False)
    for size in (1024, 5000, 1023):
        assert parser.next_command() == (b"BDAT", b"1024")
        parser.start_chunk(size, False)
        parser.feed(b"x" * size + b"BDAT 1024\r\n")
        while isinstance(parser.next_data(), bytes):
            pass
    assert parser.next_command() is LineFault.TOO_MANY


def test_a_header_that_was_cut_is_known() -> None:
    for limit, is_cut in ((7, True), (8, False)):
        parser = Parser(header_limit=limit)
        read_data(parser, [b"a: bcd\r\n\r\nbody\r\n.\r\n"])
        assert parser.header_cut is is_cut
        parser.start_data()
        assert not parser.header_cut


def test_a_line_may_be_as_long_as_the_limit() -> None:
    fits = b"NOOP " + b"x" * 25 + b"\r\n"
    assert len(fits) == 32
    assert lines(fits + b"RSET\r\n", line_bytes=32) == [(b"NOOP", b"x" * 25), (b"RSET", b"")]
    assert lines(b"x" + fits + b"RSET\r\n", line_bytes=32) == [LineFault.TOO_LONG, (b"RSET", b"")]


@pytest.mark.parametrize("excess", [2, 3, 4, 31, 32, 33, 200])
def test_a_longer_line_is_one_fault_and_never_a_command_out_of_its_tail(excess: int) -> None:
    line = b"NOOP " + b"x" * 25 + b"x" * excess
    for ending in (b"\r\n", b"\rQUIT\r\n", b"\nQUIT\r\n", b"\r\r\n"):
        assert lines(line + ending + b"RSET\r\n", line_bytes=32) == [LineFault.TOO_LONG, (b"RSET", b"")]


def test_a_line_without_an_end_is_one_fault_and_costs_no_memory() -> None:
    parser = Parser(line_bytes=2048)
    assert read_commands(parser, [b"x" * 65_536] * 16) == [LineFault.TOO_LONG]
    assert parser.pending == 0
    assert read_commands(parser, [b"\r", b"\nQUIT\r\n"]) == [(b"QUIT", b"")]


def test_every_fault_has_its_own_line() -> None:
    wire = b"a\nb\r\n" + b"x" * 40 + b"\r\n\0\r\nNOOP\r\n"
    faults = [LineFault.BARE_LF, LineFault.TOO_LONG, LineFault.BAD_BYTES]
    assert lines(wire, line_bytes=16) == [*faults, (b"NOOP", b"")]


def test_limits_can_be_read_and_not_changed() -> None:
    parser = Parser(line_bytes=4, message_limit=2, header_limit=3)
    assert (parser.line_bytes, parser.message_limit, parser.header_limit) == (4, 2, 3)
    with pytest.raises(AttributeError):
        parser.line_bytes = 5  # type: ignore[misc]  # what mypy says is what we check


def test_data_after_an_unfinished_command_line_starts_afresh() -> None:
    parser = Parser()
    assert read_commands(parser, [b"unfinished"]) == []
    parser.start_data()
    assert read_data(parser, [b"\r\n.\r\n"]).stored == b"unfinished\n"
    assert read_commands(parser, [b"QUIT\r\n"]) == [(b"QUIT", b"")]


@pytest.mark.parametrize("limits", [{"line_bytes": 1}, {"message_limit": -1}, {"header_limit": 0}])
def test_limits_that_cannot_be_meant(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Parser(**limits)


# --- Responses, which are no commands ---------------------------------------------------------------------------------


def test_one_line_is_a_response_and_then_there_are_commands_again() -> None:
    parser = Parser()
    parser.expect_response(100)
    parser.feed(b" Qui t \t\0\xff\r\nquit x\r\nnoop\r\n")
    assert parser.next_command() == b" Qui t \t\0\xff"
    assert parser.next_command() == (b"QUIT", b"x")
    parser.expect_response(100)
    assert parser.next_command() == b"noop"
    assert parser.next_command() is None


@pytest.mark.parametrize("line", [b"", b"A", b"x" * 98, b"a\rb"])
def test_a_response_at_every_split(line: bytes) -> None:
    wire = line + b"\r\nNOOP\r\n"
    for portions in [*splits(wire), single_bytes(wire)]:
        parser = Parser(line_bytes=50)
        parser.expect_response(100)
        said: list[object] = []
        for portion in portions:
            parser.feed(portion)
            while (line_or_command := parser.next_command()) is not None:
                said.append(line_or_command)
        assert said == [line, (b"NOOP", b"")]


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (b"x" * 99 + b"\r\n", LineFault.TOO_LONG),
        (b"x" * 500 + b"\r\n", LineFault.TOO_LONG),
        (b"a\nb\r\n", LineFault.BARE_LF),
    ],
)
def test_a_response_that_is_no_line_counts_as_one(wire: bytes, fault: LineFault) -> None:
    for portions in ([wire + b"noop\r\n"], single_bytes(wire + b"noop\r\n")):
        parser = Parser(line_bytes=50)
        parser.expect_response(100)
        assert read_commands(parser, portions) == [fault, (b"NOOP", b"")]


def test_what_is_thrown_away_was_no_response() -> None:
    parser = Parser()
    parser.expect_response(100)
    parser.discard_input()
    parser.feed(b"noop\r\n")
    assert parser.next_command() == (b"NOOP", b"")


def test_nothing_is_kept_of_what_was_read() -> None:
    parser = Parser()
    data = b"".join([b"AUTH PLAIN secret\r\n", b"noop\r\nqu"])
    held = sys.getrefcount(data)
    parser.feed(data)
    assert parser.next_command() == (b"AUTH", b"PLAIN secret")
    assert sys.getrefcount(data) == held + 1
    parser.forget_used()
    assert sys.getrefcount(data) == held
    assert parser.pending == len(b"noop\r\nqu")
    assert parser.next_command() == (b"NOOP", b"")
    assert parser.next_command() is None
    parser.forget_used()
    parser.feed(b"it\r\n")
    assert parser.next_command() == (b"QUIT", b"")


@pytest.mark.parametrize(
    ("argument", "begin"),
    [
        (b"FROM:<a@b>", 5),
        (b"from:  <a@b>", 7),
        (b"FrOm:", 5),
        (b"FROM", -1),
        (b"FROM <a@b>", -1),
        (b"TO:<a@b>", -1),
        (b"", -1),
    ],
)
def test_where_a_path_begins(argument: bytes, begin: int) -> None:
    assert path_begin(argument, b"FROM:") == begin


def test_the_longest_path_without_the_grammar() -> None:
    domain = b".".join([b"d" * 63, b"e" * 63, b"f" * 63])
    longest = b"<" + b"l" * 62 + b"@" + domain + b">"
    assert len(longest) == 256
    assert plain_path(longest) == ("l" * 62, domain.decode(), len(longest))
    assert plain_path(longest.replace(b"<", b"<ll")) is None
    assert plain_path(b"<a@" + b"d" * 64 + b">") is None


@given(st.text())
def test_what_is_printable_ascii(text: str) -> None:
    assert is_printable_ascii(text) == (text.isascii() and text.isprintable())
