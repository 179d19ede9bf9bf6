"""Command lines are what the oracle reads in them, however they are cut, and none is longer than the limit."""

from fuzz.cutting import portions, split
from properties import oracle
from properties.play import read_commands

from fastsmtp._parser import Parser

LEAST, MOST = 4, 67


def check(data: bytes) -> None:
    """The first octet is the longest line, the second one the length of portions."""
    (limit, where), wire = split(data, 2)
    line_bytes = LEAST + limit % (MOST - LEAST + 1)
    expected = oracle.commands(wire, line_bytes)
    for parts in portions(wire, where):
        parser = Parser(line_bytes=line_bytes)
        assert read_commands(parser, parts) == expected
        assert parser.pending < line_bytes
