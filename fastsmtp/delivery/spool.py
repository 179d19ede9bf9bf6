"""Where large messages wait while they arrive: files without names in the file system of the mail root.

A spool is closed, and its space is free again, when nobody refers to it any more: neither the session, nor a store that
copies it, nor a plugin that still looks at the message. Nothing has to be cleaned up, not even after a crash.
"""

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Final

from fastsmtp.errors import StartError
from fastsmtp.smtp.message import SPOOL_PIECE, SpoolError
from fastsmtp.smtp.replies import STORE_FULL, STORE_TROUBLE

__all__ = ["FileSpool", "SpoolFolder"]

_FOLDER: Final = ".spool"  # no domain begins with a dot
_MODE: Final = 0o600
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# What a file system, or a kernel, says that has no files without names; ENOENT also when the folder was removed.
_NO_TMPFILE: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT})

logger = logging.getLogger("fastsmtp.delivery")


class FileSpool:
    """The Spool in a file. It owns the descriptor."""

    __slots__ = ("descriptor", "size")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Put all of the piece behind the others. Raises SpoolError."""
        rest = memoryview(piece)
        try:
            while rest:
                written = os.pwrite(self.descriptor, rest, self.size)
                self.size += written
                rest = rest[written:]
        except OSError as error:
            raise _trouble(error) from error

    def pieces(self) -> Iterator[bytes]:
        """What was written, in pieces of `SPOOL_PIECE` octets. Raises OSError."""
        offset = 0
        while piece := os.pread(self.descriptor, SPOOL_PIECE, offset):
            yield piece
            offset += len(piece)

    def __del__(self) -> None:
        os.close(self.descriptor)


class SpoolFolder:
    """Makes spools in `{root}/.spool`."""

    def __init__(self, root: Path) -> None:
        self._folder = root / _FOLDER

    def open(self) -> None:
        """Make the folder where it is missing. Raises StartError when no file can be made there; `root` has to be."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._make()
        except OSError as error:
            raise StartError(f"the spool {self._folder} cannot be used: {error.strerror}") from error

    def new(self) -> FileSpool:
        """An empty spool. Raises SpoolError."""
        try:
            return self._make()
        except OSError as error:
            raise _trouble(error) from error

    def _make(self) -> FileSpool:
        """A file that has no name, or has lost it at once. Raises OSError."""
        try:
            return FileSpool(os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, _MODE))
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
        self._folder.mkdir(mode=0o700, exist_ok=True)
        file = self._folder / token_hex(16)
        spool = FileSpool(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE))
        file.unlink()
        return spool


def _trouble(error: OSError) -> SpoolError:
    """Tell the operator what happened, and find what the client is to hear."""
    logger.error("a large message cannot be spooled", extra={"error": error.strerror})
    return SpoolError(STORE_FULL if error.errno in _FULL else STORE_TROUBLE)
