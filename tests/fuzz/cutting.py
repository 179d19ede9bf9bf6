"""How targets read their input: some octets in front say how, the others are what the client sends."""

from collections.abc import Iterator

__all__ = ["portions", "split"]


def split(data: bytes, options: int) -> tuple[bytes, bytes]:
    """The option octets (zeros where there are too few) and the rest."""
    return data[:options].ljust(options, b"\0"), data[options:]


def portions(wire: bytes, where: int) -> Iterator[list[bytes]]:
    """The same octets as one portion, octet by octet, and in pieces of so many."""
    yield [wire]
    yield [wire[at : at + 1] for at in range(len(wire))]
    if where:
        yield [wire[at : at + where] for at in range(0, len(wire), where)]
