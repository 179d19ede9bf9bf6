"""Lines, gathered for a moment on their way to where the log is."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import orjson

from fastsmtp.log.encoding import LINE_BYTES, shortened
from fastsmtp.log.outbox import Outbox
from fastsmtp.log.sink import Sink
from fastsmtp.log.stream import StreamSink
from fastsmtp.stats import Stats

__all__ = ["FLUSH_AFTER_S", "FLUSH_BYTES", "LineLog"]

FLUSH_AFTER_S: Final = 0.1
FLUSH_BYTES: Final = 32_768


class LineLog:
    """Lines are gathered for at most 100 ms or 32 KiB, and never wait for: they are written in a thread.

    Used from the thread of `loop`; without a loop every line is written at once.
    """

    def __init__(self, sink: Sink, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._encode = sink.encode
        self._end = sink.line_end
        self._outbox = Outbox(sink)
        self._loop = loop
        self._thread = threading.get_ident()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        if loop is not None:
            self._outbox.start()

    @classmethod
    def open(cls, path: Path, loop: asyncio.AbstractEventLoop | None = None) -> Self:
        """A log in a file that is appended to. Raises OSError."""
        return cls(StreamSink.open(path), loop)

    def count_losses(self, stats: Stats) -> None:
        """Count lines that are lost."""
        cells = stats.cells
        lost = stats.cell(
            stats.counter("fastsmtp_log_lines_lost_total", "Log lines that could not be written, or not soon enough.")
        )

        def count(lines: int) -> None:
            cells[lost] += lines

        self._outbox.on_lost = count

    def write(self, line: Mapping[str, Any]) -> None:
        """Take one line."""
        self._take(self._encode(line))

    def _take(self, encoded: bytes) -> None:
        self._pending.append(encoded)
        self._pending_bytes += len(encoded)
        if self._loop is None or self._pending_bytes >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_AFTER_S, self.flush)

    def write_encoded(self, encoded: bytes) -> None:
        """Take one line that is JSON in ASCII already, however long."""
        if self._end is None:
            self.write(orjson.loads(encoded))
        else:
            self._take(shortened(encoded, LINE_BYTES) + self._end)

    def write_from_any_thread(self, line: Mapping[str, Any]) -> None:
        """Take one line from a thread that may not be the loop's."""
        if self._loop is None or threading.get_ident() == self._thread:
            self.write(line)
        else:
            self._loop.call_soon_threadsafe(self.write, line)

    def flush(self) -> None:
        """Send what is pending on its way, now. Never raises: a log that is full must not stop the mail."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._pending, self._pending_bytes = self._pending, [], 0
        if lines:
            self._outbox.put(lines)

    def reopen(self) -> None:
        """Go on in a new file where the log is a file: this one was moved away."""
        self.flush()
        self._outbox.reopen()

    def close(self) -> None:
        """Write what is pending, and let go of the destination; what cannot be written in a few seconds is lost."""
        self.flush()
        self._outbox.close()
