"""What a segment of the journal holds: records, as `_maildir.Journal` writes them, and what a crash has left between.

The journal is a ring of segments; each use of a segment is a lap of its own. A record, little endian:

     0  magic b"FSJ1"
     4  u32 CRC-32 of all that follows in the record
     8  u32 length of the record, from its magic to the end of its content
    12  u32 number of copies
    16  u64 lap
    24  u64 offset of the record in its segment
    32  of each copy u16, u16, u16, u16, u32: lengths of domain, user and name, 0, length of head; then these four
        content: the file of a copy is its head and the content
        zeros up to a multiple of 8

The first record of a batch begins at a multiple of 4096, the others right behind the one before.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from fastsmtp._salvage import next_header, whole_records

__all__ = ["BLOCK_BYTES", "EVERYTHING", "Copy", "Damage", "Position", "Stretch", "read_stretches"]

BLOCK_BYTES: Final = 4096

_MAGIC: Final = b"FSJ1"
_HEADER_LAYOUT: Final = Struct("<4sIIIQQ")
_CHECKED_FROM: Final = 8
_ALIGNMENT: Final = 8
_NO_LAP: Final = (1 << 64) - 1


class Position(NamedTuple):
    """A place in a ring: the lap, and the offset in octets in its segment."""

    lap: int
    offset: int


EVERYTHING: Final = Position(0, 0)


class Copy(NamedTuple):
    """One file of a message: it goes to `domain/user/new/name`, and begins with `head`."""

    domain: bytes
    user: bytes
    name: bytes
    head: bytes


class Stretch(NamedTuple):
    """Whole records of one lap, each right behind the one before; `end` is the offset behind the last of them.

    They make sense: the fields of their copies are inside the record, and what is to be a name in a directory is one.
    """

    position: Position
    end: int


class Damage(NamedTuple):
    """So many octets from here on are not what was written, although there are records of the same lap behind them."""

    position: Position
    size: int


class _Header(NamedTuple):
    magic: bytes
    crc: int
    length: int
    copies: int
    lap: int
    offset: int


def read_stretches(segment: bytes, since: Position = EVERYTHING) -> Iterator[Stretch | Damage]:
    """The records of a segment from this position on, in order; of older laps it is silent.

    A torn tail is normal and no damage: what a power cut has interrupted was promised to nobody.
    """
    offset = 0
    lap: int | None = None  # of the last record
    gap: int | None = None  # where something is that should have been a record
    resume = 0  # where it would have ended
    while offset + _HEADER_LAYOUT.size <= len(segment):
        header = _Header._make(_HEADER_LAYOUT.unpack_from(segment, offset))
        end = whole_records(segment, offset, header.lap, offset + 1) if header.lap >= since.lap else offset
        if end > offset or _is_as_written(segment, offset, header, since.lap):
            if gap is not None and offset % BLOCK_BYTES == 0:
                # A batch begins here, hence the one before was finished. Inside a batch it may be the torn last one.
                if lap in (None, header.lap):
                    yield from _damage(Position(header.lap, gap), offset, since)
                gap = None
            lap = header.lap
            position = Position(lap, offset)
            if end == offset:  # it makes no sense
                end += _aligned(header.length, _ALIGNMENT)
                found: Stretch | Damage = Damage(position, header.length)
            else:
                if gap is None:
                    end = whole_records(segment, end, lap, len(segment) if position >= since else since.offset)
                found = Stretch(position, end)
            if position >= since:
                yield found
            offset = end
            continue
        if _is_torn(header, offset, lap, since.lap) or (gap is None and offset % BLOCK_BYTES == 0):
            gap = offset if gap is None else gap
            resume = offset + _aligned(header.length, _ALIGNMENT)
        block = _aligned(offset + 1, BLOCK_BYTES)
        offset = resume if offset < resume < block else block
        if gap is not None and offset == block:
            offset = next_header(segment, offset, _NO_LAP if lap is None else lap, since.lap)


def _aligned(size: int, alignment: int) -> int:
    return (size + alignment - 1) // alignment * alignment


def _is_as_written(segment: bytes, offset: int, header: _Header, oldest_lap: int) -> bool:
    return (
        header.magic == _MAGIC
        and header.offset == offset
        and header.lap >= oldest_lap
        and _HEADER_LAYOUT.size <= header.length <= len(segment) - offset
        and header.crc == crc32(memoryview(segment)[offset + _CHECKED_FROM : offset + header.length])
    )


def _is_torn(header: _Header, offset: int, lap: int | None, oldest_lap: int) -> bool:
    """Whether this was the header of a record: two of the three things hold that are known of it."""
    right = (header.magic == _MAGIC) + (header.offset == offset) + (header.lap == lap)
    return right >= 2 and header.lap >= oldest_lap


def _damage(gap: Position, end: int, since: Position) -> Iterator[Damage]:
    """The damage between the two, unless it lies before `since`."""
    if gap.lap == since.lap:
        # The next batch began with a block of its own.
        gap = max(gap, Position(gap.lap, _aligned(since.offset, BLOCK_BYTES)))
    if gap >= since and end > gap.offset:
        yield Damage(gap, end - gap.offset)
