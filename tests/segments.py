"""Segments of a journal, made and read by the description of the format and not by the code that does it."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from fastsmtp.delivery.records import EVERYTHING, Copy, Damage, Position, read_stretches

BLOCK: Final = 4096


def encode(copies: Sequence[Copy], content: bytes, lap: int, offset: int) -> bytes:
    """One record with its padding."""
    fields = b"".join(
        struct.pack("<HHHHI", len(copy.domain), len(copy.user), len(copy.name), 0, len(copy.head)) + b"".join(copy)
        for copy in copies
    )
    length = 32 + len(fields) + len(content)
    checked = struct.pack("<IIQQ", length, len(copies), lap, offset) + fields + content
    return b"FSJ1" + struct.pack("<I", zlib.crc32(checked)) + checked + bytes(-length % 8)


class Record(NamedTuple):
    """One message."""

    position: Position
    copies: tuple[Copy, ...]
    content: bytes


def decode(data: bytes, lap: int, offset: int) -> tuple[Record, int]:
    """The whole record that begins there, and where the next one would."""
    magic, crc, length, count, its_lap, its_offset = struct.unpack_from("<4sIIIQQ", data, offset)
    assert (magic, its_lap, its_offset) == (b"FSJ1", lap, offset)
    assert crc == zlib.crc32(data[offset + 8 : offset + length])
    at = offset + 32
    copies = []
    for _ in range(count):
        sizes = struct.unpack_from("<HHHHI", data, at)
        at += 12
        fields = []
        for size in (*sizes[:3], sizes[4]):
            fields.append(data[at : at + size])
            at += size
        copies.append(Copy(*fields))
    end = offset + length
    return Record(Position(lap, offset), tuple(copies), data[at:end]), end + -length % 8


def read_records(data: bytes, since: Position = EVERYTHING) -> Iterator[Record | Damage]:
    """What `read_stretches` finds, record by record."""
    for item in read_stretches(data, since):
        if isinstance(item, Damage):
            yield item
            continue
        lap, offset = item.position
        assert offset < item.end
        while offset < item.end:
            record, offset = decode(data, lap, offset)
            yield record
        assert offset == item.end


class Segment:
    """A segment in memory. `batch` appends to it as a lap of the ring does, `begin` starts the next lap in it."""

    def __init__(self, size: int, lap: int = 1) -> None:
        self.data = bytearray(size)
        self.begin(lap)

    def begin(self, lap: int) -> None:
        self.lap = lap
        self.offset = 0

    @property
    def position(self) -> Position:
        """Behind the last record."""
        return Position(self.lap, self.offset)

    def batch(self, *messages: tuple[Sequence[Copy], bytes]) -> list[int]:
        """The offsets of the records. Raises ValueError when the segment is full."""
        self.offset += -self.offset % BLOCK
        offsets = []
        for copies, content in messages:
            record = encode(copies, content, self.lap, self.offset)
            if self.offset + len(record) > len(self.data):
                raise ValueError("the segment is full")
            self.data[self.offset : self.offset + len(record)] = record
            offsets.append(self.offset)
            self.offset += len(record)
        return offsets


def slot(generation: int, position: Position) -> bytes:
    """One slot of a checkpoint file, as long as it is there."""
    checked = struct.pack("<QQQ", generation, *position)
    return (b"FSC1" + struct.pack("<I", zlib.crc32(checked)) + checked).ljust(BLOCK, b"\0")


def write_ring(folder: Path, checkpoint: Position | None, *segments: Segment) -> None:
    """A ring as a server has left it."""
    folder.mkdir(parents=True, exist_ok=True)
    slots = bytes(BLOCK) + (bytes(BLOCK) if checkpoint is None else slot(1, checkpoint))
    (folder / "checkpoint").write_bytes(slots)
    for number, segment in enumerate(segments):
        (folder / f"segment-{number}").write_bytes(segment.data)
