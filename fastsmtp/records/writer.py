"""Records on their way into the file, by a thread: no disk and no lock that somebody holds ever stops the mail."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastsmtp.log.encoding import encode_value, shortened
from fastsmtp.records.file import RecordFile
from fastsmtp.stats import Stats

__all__ = ["CLOSE_WITHIN_S", "FLUSH_AFTER_S", "FLUSH_BYTES", "RECORD_BYTES", "WAITING_BYTES", "RecordWriter"]

FLUSH_AFTER_S: Final = 1.0
FLUSH_BYTES: Final = 256 << 10
WAITING_BYTES: Final = 8 << 20
RECORD_BYTES: Final = 256 << 10
CLOSE_WITHIN_S: Final = 5.0

_AGAIN_AFTER_S: Final = 1.0
_PURGE_EVERY_S: Final = 3600.0

_log = logging.getLogger("fastsmtp.records")


class RecordWriter:
    """One per worker; `take` and `close` are for the thread of `loop`.

    Records are gathered for a second or 256 KiB, which are then written in one transaction. What cannot be written is
    tried again; when 8 MiB wait, what comes is dropped and counted. The log says so once, and once when it is over.
    """

    def __init__(self, file: RecordFile, loop: asyncio.AbstractEventLoop, stats: Stats) -> None:
        self._file = file
        self._loop = loop
        records = stats.counter(
            "fastsmtp_records_total",
            "Records of transactions, and of connections without one: kept, or lost because they could not be written.",
            result=["kept", "lost"],
        )
        self._cells = stats.cells
        self._kept, self._lost = stats.cell(records, "kept"), stats.cell(records, "lost")
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._changed = threading.Condition()
        self._batches: deque[tuple[list[bytes], int]] = deque()
        self._waiting_bytes = 0
        self._is_ending = False
        self._is_failing = False
        # A daemon: a disk that does not answer shall not keep the process.
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    def start(self) -> None:
        """Begin to write; without this, records wait."""
        self._thread.start()

    def take(self, record: Mapping[str, Any]) -> None:
        """Keep it; never waits."""
        self.take_encoded(encode_value(record))

    def take_encoded(self, record: bytes) -> None:
        """Keep one that is JSON in ASCII already, however long."""
        encoded = shortened(record, RECORD_BYTES)
        self._pending.append(encoded)
        self._pending_bytes += len(encoded)
        if self._pending_bytes >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_AFTER_S, self.flush)

    def flush(self) -> None:
        """Send what is pending on its way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        records, size = self._pending, self._pending_bytes
        self._pending, self._pending_bytes = [], 0
        if not records:
            return
        with self._changed:
            if self._waiting_bytes + size > WAITING_BYTES:
                self._cells[self._lost] += len(records)
                return
            self._waiting_bytes += size
            self._batches.append((records, size))
            self._changed.notify()

    async def close(self) -> None:
        """Write what is there; what cannot be written in a few seconds is lost."""
        self.flush()
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, CLOSE_WITHIN_S)

    def _run(self) -> None:
        self._purge()
        while self._wait():
            if self._batches:
                self._write(*self._batches[0])
            else:
                self._purge()
        self._file.close()

    def _wait(self) -> bool:
        """For something to write, or for so long that something old may be there; false at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._batches or self._is_ending, _PURGE_EVERY_S)
            return bool(self._batches) or not self._is_ending

    def _write(self, records: list[bytes], size: int) -> None:
        if self._try(lambda: self._file.append(records, time.time())):
            self._cells[self._kept] += len(records)
        elif self._is_ending:
            self._cells[self._lost] += len(records)
        else:
            with self._changed:
                self._changed.wait_for(lambda: self._is_ending, _AGAIN_AFTER_S)
            return
        with self._changed:
            self._batches.popleft()
            self._waiting_bytes -= size

    def _purge(self) -> None:
        self._try(lambda: self._file.purge(time.time()))

    def _try(self, work: Callable[[], None]) -> bool:
        """Whether the file lets us; the log hears of it when that changes."""
        try:
            work()
        except (sqlite3.Error, OSError) as error:
            if not self._is_failing:
                _log.error("records cannot be written", extra={"file": str(self._file.path), "error": str(error)})
            self._is_failing = True
            return False
        if self._is_failing:
            lost = self._cells[self._lost]
            _log.warning("records are written again", extra={"file": str(self._file.path), "lost_since_start": lost})
        self._is_failing = False
        return True
