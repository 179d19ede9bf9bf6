"""Spools for tests of what does no input and no output: one that works, one that fills up."""

from collections.abc import Iterator

from fastsmtp.smtp.message import SpoolError
from fastsmtp.smtp.replies import STORE_FULL


class MemorySpool:
    """Keeps what was `written`, piece by piece."""

    descriptor = -1

    def __init__(self) -> None:
        self.written: list[bytes] = []

    @property
    def size(self) -> int:
        return sum(map(len, self.written))

    def write(self, piece: bytes) -> None:
        self.written.append(piece)

    def pieces(self) -> Iterator[bytes]:
        return iter(self.written)


class BrokenSpool(MemorySpool):
    """Has room for so many octets; where that is none, it cannot even be made."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        if not room:
            raise SpoolError(STORE_FULL)

    def write(self, piece: bytes) -> None:
        super().write(piece)
        if self.size > self._room:
            raise SpoolError(STORE_FULL)
