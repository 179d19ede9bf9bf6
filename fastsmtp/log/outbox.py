"""A thread that writes lines, so that a reader that has stopped or a disk that is slow stops nobody else."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fastsmtp.log.encoding import iso_time
from fastsmtp.log.sink import Sink

__all__ = ["CLOSE_WITHIN_S", "WAITING_BYTES", "Outbox"]

WAITING_BYTES: Final = 4 << 20
CLOSE_WITHIN_S: Final = 5.0


class Outbox:
    """Lines on their way to a sink. Lines that cannot be written (disk full, reader gone), and those for which there is
    no room while the sink blocks, are dropped and counted; the next one that gets through is preceded by one that says
    so.

    Until `start` there is no thread: then everything is done at once.
    """

    def __init__(self, sink: Sink) -> None:
        self.on_lost: Callable[[int], object] = lambda _lines: None
        self._sink = sink
        self._work: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._waiting_bytes = 0
        self._unsaid_lines = 0
        self._is_failing = False
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on nothing here blocks."""
        # A daemon: who waits for a reader that never reads shall not keep the process.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, lines: list[bytes]) -> None:
        """Take encoded lines."""
        size = sum(map(len, lines))
        with self._changed:
            if self._waiting_bytes + size > WAITING_BYTES:
                self._lose(len(lines))
                return
            self._waiting_bytes += size
        self._do(lambda: self._write(deque(lines), size))

    def reopen(self) -> None:
        """Begin a new file, behind what was put before."""
        self._do(self._reopen)

    def close(self) -> bool:
        """Write what is there, and let go of the sink. Whether that was possible in a few seconds."""
        self._do(self._close)
        if self._thread is not None:
            self._thread.join(CLOSE_WITHIN_S)
        return self._is_closed

    def _do(self, work: Callable[[], None]) -> None:
        if self._thread is None:
            work()
            return
        with self._changed:
            self._work.append(work)
            self._changed.notify()

    def _run(self) -> None:
        while not self._is_closed:
            with self._changed:
                while not self._work:
                    self._changed.wait()
                work = self._work.popleft()
            work()

    def _write(self, lines: deque[bytes], size: int) -> None:
        with self._changed:
            unsaid, self._unsaid_lines = self._unsaid_lines, 0
        notice = self._notice(unsaid) if unsaid else None
        if notice is not None:
            lines.appendleft(notice)
        try:
            self._sink.write(lines)
        except OSError as error:
            self._complain(f"log lines are being lost: {error.strerror}")
            is_notice_left = notice is not None and lines[0] is notice
            with self._changed:
                self._unsaid_lines += unsaid if is_notice_left else 0
                self._lose(len(lines) - is_notice_left)
        else:
            self._is_failing = False
        with self._changed:
            self._waiting_bytes -= size

    def _lose(self, lines: int) -> None:
        self._unsaid_lines += lines
        self.on_lost(lines)

    def _notice(self, lines: int) -> bytes:
        return self._sink.encode({"time": iso_time(time.time()), "level": "error", "event": "log_lost", "lines": lines})

    def _reopen(self) -> None:
        try:
            self._sink.reopen()
        except OSError as error:
            self._complain(f"the log cannot be opened anew and goes on where it was: {error.strerror}")
            self._is_failing = False

    def _close(self) -> None:
        self._sink.close()
        self._is_closed = True

    def _complain(self, text: str) -> None:
        """On standard error, once until it is better; the log is what does not work."""
        if self._is_failing:
            return
        self._is_failing = True
        with suppress(OSError):  # standard error may be gone too; then nobody is there to be told
            sys.stderr.write(f"fastsmtp: {text}\n")
            sys.stderr.flush()
