"""Drives a parser through input in portions, and writes down what it said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fastsmtp._parser import DataEnd, LineFault, Parser

Said = tuple[bytes, bytes] | LineFault


@dataclass(slots=True)
class Played:
    """What became of message data. `header` and `body` go by `header_complete`, as the session does.

    `rest` is everything behind the end marker, whether it was fed or not.
    """

    header: bytes = b""
    body: bytes = b""
    ended: bool = False
    rest: bytes = b""
    pieces: list[bytes] = field(default_factory=list)

    @property
    def stored(self) -> bytes:
        return self.header + self.body


def splits(wire: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every way to cut `wire` in two."""
    for cut in range(1, len(wire)):
        yield wire[:cut], wire[cut:]


def single_bytes(wire: bytes) -> list[bytes]:
    """`wire` as a client sends it that wants to annoy."""
    return [wire[i : i + 1] for i in range(len(wire))]


def read_data(parser: Parser, portions: Sequence[bytes]) -> Played:
    """Feed the portions until the data ends. Asserts what holds for every piece of every message."""
    played = Played()
    for number, portion in enumerate(portions):
        parser.feed(portion)
        while True:
            in_header = not parser.header_complete
            said = parser.next_data()
            if said is None:
                break
            if isinstance(said, DataEnd):
                played.ended = True
                fed = b"".join(portions[: number + 1])
                played.rest = fed[len(fed) - parser.pending :] + b"".join(portions[number + 1 :])
                return played
            assert said, "a piece is never empty"
            played.pieces.append(said)
            if in_header:
                played.header += said
            else:
                played.body += said
        assert parser.pending == 0, "the parser asks for more and has not used what it has"
    return played


@dataclass(frozen=True, slots=True)
class Chunks:
    """A message in chunks, each of which may be fed in portions."""

    stored: bytes
    header: bytes
    size: int
    bare: bool
    pieces: int


def read_chunks(chunks: Sequence[Sequence[bytes]], *, binary: bool, header_limit: int = 262_144) -> Chunks:
    """Feed every chunk in its portions, the last one as LAST, a command behind each. Asserts what holds for all."""
    parser = Parser(header_limit=header_limit)
    parser.start_chunks(binary)
    header = body = b""
    pieces = 0
    for number, portions in enumerate(chunks, start=1):
        is_last = number == len(chunks)
        parser.start_chunk(sum(map(len, portions)), is_last)
        said: bytes | DataEnd | None = None
        for portion in [*portions, b"NOOP\r\n"]:
            parser.feed(portion)
            while said is None or isinstance(said, bytes):
                in_header = not parser.header_complete
                said = parser.next_data()
                if not isinstance(said, bytes):
                    break
                assert said, "a piece is never empty"
                pieces += 1
                header, body = (header + said, body) if in_header else (header, body + said)
        assert said is (DataEnd.END if is_last else DataEnd.CHUNK)
        assert parser.next_command() == (b"NOOP", b"")
    return Chunks(header + body, header, parser.size, parser.bare_newline, pieces)


def read_commands(parser: Parser, portions: Sequence[bytes]) -> list[Said]:
    """Everything that the parser says about command lines in these portions."""
    said: list[Said] = []
    for portion in portions:
        parser.feed(portion)
        while (command := parser.next_command()) is not None:
            assert not isinstance(command, bytes), "nobody expects a response"
            said.append(command)
    return said
