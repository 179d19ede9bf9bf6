"""Lines to a file, or to standard output, whatever that is."""

import fcntl
import os
import select
import stat
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from fastsmtp.log.encoding import encode_line

__all__ = ["STDOUT_DESCRIPTOR", "StreamSink"]

STDOUT_DESCRIPTOR: Final = 1

_FILE: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK_BYTES: Final = 65_536


class StreamSink:
    """Whole lines, several processes to one file or pipe: they never interleave.

    A write to a file that is appended to is one step, and so is one to a pipe, up to PIPE_BUF octets. For longer lines,
    and for terminals and sockets, all processes of ours take turns by a record lock, which dies with who holds it.
    """

    line_end = b"\n"

    def __init__(self, descriptor: int, path: Path | None = None) -> None:
        """`path` is where the file is; then the descriptor is ours to close."""
        self._descriptor = descriptor
        self._path = path
        self._is_torn = False
        self._look()

    @classmethod
    def open(cls, path: Path) -> Self:
        """A file that is appended to. Raises OSError."""
        return cls(os.open(path, _FILE, 0o640), path)

    def _look(self) -> None:
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def encode(self, line: Mapping[str, Any]) -> bytes:
        """JSON and a line end."""
        return encode_line(line) + self.line_end

    def write(self, lines: deque[bytes]) -> None:
        """See Sink."""
        with self._alone():
            while lines:
                self._write_chunk(lines)

    def reopen(self) -> None:
        """See Sink."""
        if self._path is not None:
            before = self._descriptor
            self._descriptor = os.open(self._path, _FILE, 0o640)
            os.close(before)
            self._is_torn = False
            self._look()

    def close(self) -> None:
        """See Sink."""
        if self._path is not None:
            os.close(self._descriptor)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process of ours writes to it."""
        if self._is_file:
            yield
            return
        with suppress(OSError):  # whatever has no locks goes without
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _write_chunk(self, lines: deque[bytes]) -> None:
        """As many lines as go in one step. After a failure in the middle of a line, the next one begins anew."""
        front = b"\n" if self._is_torn else b""
        room = (_CHUNK_BYTES if self._is_file else select.PIPE_BUF) - len(front)
        chunk: list[bytes] = []
        for line in lines:
            if chunk and len(line) > room:
                break
            chunk.append(line)
            room -= len(line)
        data = memoryview(front + b"".join(chunk))
        written = 0
        try:
            while written < len(data):
                written += self._write_once(data[written:])
        finally:
            if written:
                written -= len(front)
                while chunk and written >= len(chunk[0]):
                    written -= len(chunk.pop(0))
                    lines.popleft()
                self._is_torn = written > 0

    def _write_once(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # somebody else made our standard output non-blocking
                waiting = select.poll()
                waiting.register(self._descriptor, select.POLLOUT)
                waiting.poll()
