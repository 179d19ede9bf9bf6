"""Chunks become the message that the oracle makes of them, however they and their portions are cut."""

from fuzz.cutting import portions, split
from properties import oracle
from properties.play import read_chunks


def check(data: bytes) -> None:
    """The options: binary or text, the length of portions, the sizes of the first chunks; the last one has the rest."""
    (binary, where, *sizes), wire = split(data, 6)
    chunks, at = [], 0
    for size in sizes:
        chunks.append(wire[at : at + size])
        at += size
    chunks.append(wire[at:])
    is_binary = bool(binary & 1)
    expected = oracle.chunked(chunks, binary=is_binary)
    for cut in zip(*[list(portions(chunk, where)) for chunk in chunks], strict=True):
        played = read_chunks(cut, binary=is_binary)
        assert (played.stored, played.bare) == (expected.stored, expected.bare)
        assert played.header == expected.stored[: expected.header_octets]
