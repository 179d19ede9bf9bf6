"""The checkpoint of a ring: everything before this position is safe in the mailboxes.

Two slots are written in turn, so that one of them is whole whatever happens to the other. A slot, little endian: magic
b"FSC1", u32 CRC-32 of what follows, u64 generation, u64 lap, u64 offset. The valid one of the higher generation counts.
"""

import errno
import os
from pathlib import Path
from struct import Struct
from typing import Final, Self
from zlib import crc32

from fastsmtp.delivery.records import BLOCK_BYTES, Position

__all__ = ["Checkpoint"]

_MAGIC: Final = b"FSC1"
_FRONT: Final = Struct("<4sI")
_CHECKED: Final = Struct("<QQQ")
_SLOTS: Final = 2


class Checkpoint:
    """An open checkpoint file. `position` is None while it has none that is valid: then nothing is known to be safe."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is missing. Raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._generation = 0
        self.position: Position | None = None
        try:
            content = os.pread(self._fd, _SLOTS * BLOCK_BYTES, 0)
            for number in range(_SLOTS):
                self._read(content[number * BLOCK_BYTES :])
        except BaseException:
            self.close()
            raise

    def write(self, position: Position) -> None:
        """Make this the position, on the disk. Raises OSError; then the one before still counts."""
        # Not counted before it is there: after a failure the same slot is written again, and never the good one.
        generation = self._generation + 1
        checked = _CHECKED.pack(generation, *position)
        slot = (_FRONT.pack(_MAGIC, crc32(checked)) + checked).ljust(BLOCK_BYTES, b"\0")
        if os.pwrite(self._fd, slot, generation % _SLOTS * BLOCK_BYTES) < len(slot):
            raise OSError(errno.EIO, "short write")
        os.fdatasync(self._fd)
        self._generation = generation
        self.position = position

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, slot: bytes) -> None:
        if len(slot) < _FRONT.size + _CHECKED.size:
            return
        magic, crc = _FRONT.unpack_from(slot)
        checked = slot[_FRONT.size : _FRONT.size + _CHECKED.size]
        generation, lap, offset = _CHECKED.unpack(checked)
        if magic == _MAGIC and crc == crc32(checked) and generation > self._generation:
            self._generation = generation
            self.position = Position(lap, offset)
