"""Segments of a journal, made from the description of the format and not by the code that writes it."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fastsmtp.delivery.records import Copy, Position

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
