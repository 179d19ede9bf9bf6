"""A message ends where the oracle says, and is stored as it says, however it is cut and whatever limits there are."""

from fuzz.cutting import portions, split
from properties import oracle
from properties.play import read_data

from fastsmtp._parser import Parser


def check(data: bytes) -> None:
    """The first octet is the length of portions, the next two are limits; 0 is none."""
    (where, message_limit, header_limit), wire = split(data, 3)
    expected = oracle.message(wire)
    ended = expected is not None
    rest = expected.rest if expected else b""
    for parts in portions(wire, where):
        parser = Parser()
        played = read_data(parser, parts)
        assert (played.ended, played.rest) == (ended, rest)
        if expected:
            assert played.stored == expected.stored
            assert played.header == expected.stored[: expected.header_octets]
            assert (parser.size, parser.bare_newline) == (expected.size, expected.bare)
        discarding = Parser()
        discarding.start_data()
        discarding.discard_data()
        discarded = read_data(discarding, parts)
        assert (discarded.ended, discarded.rest, discarded.pieces) == (ended, rest, [])
        limited = Parser(message_limit=message_limit, header_limit=header_limit or 1)
        kept = read_data(limited, parts)
        assert (kept.ended, kept.rest) == (ended, rest)
        assert not message_limit or len(kept.stored) <= message_limit
        assert limited.too_big == (0 < message_limit < limited.size)
        if expected and not limited.too_big:
            assert kept.stored == expected.stored
