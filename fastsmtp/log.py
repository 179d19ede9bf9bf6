"""JSON lines: one object a line, gathered for a moment, whatever a client wrote into it.

JSON escapes the control characters of ASCII. DEL, the C1 controls, the Unicode line ends and the marks that reorder
text are escaped here as well: no client can forge a line, or speak to the terminal of who reads the log.
"""

import asyncio
import logging
import os
import re
import select
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from fastsmtp.smtp.record import Result
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection, Transaction

__all__ = [
    "FLUSH_AFTER_S",
    "FLUSH_BYTES",
    "STDOUT_DESCRIPTOR",
    "LineLog",
    "LogHandler",
    "connection_line",
    "encode_line",
    "iso_time",
    "transaction_line",
]

FLUSH_AFTER_S: Final = 0.1
FLUSH_BYTES: Final = 32_768
STDOUT_DESCRIPTOR: Final = 1

_UNSAFE = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
_STANDARD_ATTRIBUTES: Final = logging.makeLogRecord({}).__dict__.keys() | {"asctime", "message"}


def iso_time(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    milliseconds = int(seconds * 1000)
    return f"{_iso_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=8)
def _iso_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def encode_line(line: Mapping[str, Any]) -> bytes:
    """One JSON object with its line end. Whatever JSON cannot hold is written as text."""
    try:
        encoded = orjson.dumps(line, default=_as_text)
    except TypeError:  # lone surrogates (undecodable bytes), huge integers, keys that are no text
        encoded = orjson.dumps(_plain(line))
    if not encoded.isascii() or b"\x7f" in encoded:  # all that the pattern finds; nearly every line has neither
        encoded = _UNSAFE.sub(_escape, encoded)
    return encoded + b"\n"


def _as_text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _as_text(value).encode("utf-8", "backslashreplace").decode()


def _escape(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


class LineLog:
    """Writes lines to a descriptor, gathered for at most 100 ms or 32 KiB.

    Used from the thread of `loop`; without a loop every line is written at once. Lines that cannot be written (disk
    full, reader gone) are dropped and counted, and the next line that gets through is preceded by one that says so.
    """

    def __init__(self, descriptor: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._descriptor = descriptor
        self._loop = loop
        self._thread = threading.get_ident()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._owns_descriptor = False
        self._lost_lines = 0
        self._is_torn = False

    @classmethod
    def open(cls, destination: Path | Literal["stdout"], loop: asyncio.AbstractEventLoop | None = None) -> "LineLog":
        """A log on standard output, or on a file that is appended to. Raises OSError."""
        if destination == "stdout":
            return cls(STDOUT_DESCRIPTOR, loop)
        log = cls(os.open(destination, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640), loop)
        log._owns_descriptor = True
        return log

    def write(self, line: Mapping[str, Any]) -> None:
        """Take one line."""
        encoded = encode_line(line)
        self._pending.append(encoded)
        self._pending_bytes += len(encoded)
        if self._loop is None or self._pending_bytes >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_AFTER_S, self.flush)

    def write_from_any_thread(self, line: Mapping[str, Any]) -> None:
        """Take one line from a thread that may not be the loop's."""
        if self._loop is None or threading.get_ident() == self._thread:
            self.write(line)
        else:
            self._loop.call_soon_threadsafe(self.write, line)

    def flush(self) -> None:
        """Write what is pending, now. Never raises: a log that is full must not stop the mail."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._pending, self._pending_bytes = self._pending, [], 0
        if not lines:
            return
        if self._lost_lines:
            lines.insert(0, self._loss_notice())
        try:
            self._write_all(b"".join(lines))
        except OSError as error:
            is_news = not self._lost_lines
            self._lost_lines += len(lines) if is_news else len(lines) - 1
            if is_news:
                with suppress(OSError):  # standard error may be gone too; then nobody is there to be told
                    sys.stderr.write(f"fastsmtp: log lines are being lost: {error.strerror}\n")
                    sys.stderr.flush()
        else:
            self._lost_lines = 0

    def close(self) -> None:
        """Flush, and close the file if it is ours."""
        self.flush()
        if self._owns_descriptor:
            os.close(self._descriptor)

    def _loss_notice(self) -> bytes:
        now = datetime.now(UTC).timestamp()
        return encode_line({"time": iso_time(now), "level": "error", "event": "log_lost", "lines": self._lost_lines})

    def _write_all(self, data: bytes) -> None:
        """Write everything; after a failure in the middle of a line the next write starts a new one."""
        rest = memoryview(b"\n" + data if self._is_torn else data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody else made our standard output non-blocking
                select.select([], [self._descriptor], [])
            except OSError:
                self._is_torn = len(rest) < len(data) or self._is_torn
                raise
        self._is_torn = False


class LogHandler(logging.Handler):
    """Turns `logging` records into lines of a LineLog; what was given as `extra` becomes keys."""

    def __init__(self, log: LineLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; faults in it go the way of `logging`, to `handleError`."""
        try:
            self._log.write_from_any_thread(_record_line(record))
        except Exception:  # noqa: BLE001 - the contract of logging.Handler: a bad record must not raise at its caller
            self.handleError(record)

    @contextmanager
    def installed(self, level: str) -> Iterator[None]:
        """Take everything that is logged in this process, from this level on; undone at the end."""
        root = logging.getLogger()
        before = root.level
        root.addHandler(self)
        root.setLevel(level.upper())
        try:
            yield
        finally:
            root.setLevel(before)
            root.removeHandler(self)


def _record_line(record: logging.LogRecord) -> dict[str, Any]:
    line: dict[str, Any] = {
        "time": iso_time(record.created),
        "level": record.levelname.lower(),
        "event": record.name,
        "message": record.getMessage(),
    }
    extra = {key: value for key, value in record.__dict__.items() if key not in _STANDARD_ATTRIBUTES}
    line["event"] = extra.pop("event", record.name)
    line.update((key, value) for key, value in extra.items() if key not in line)
    if record.exc_info and record.exc_info[1]:
        line["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
    return line


def transaction_line(transaction: Transaction, *, time: float, duration_ns: int) -> dict[str, Any]:
    """What is logged of one transaction: `time` in seconds since the epoch is its end, `duration_ns` since MAIL."""
    connection = transaction.connection
    line: dict[str, Any] = {
        "time": iso_time(time),
        "event": "transaction",
        "id": transaction.id,
        "listener": connection.listener,
        "remote": connection.remote_address,
        "proxy": connection.proxy_address or None,
        "helo": connection.hello_name,
        "tls": _tls(connection.tls),
        "sender": str(transaction.sender),
        "recipients": [str(recipient.address) for recipient in transaction.recipients],
        "size": transaction.message.size,
        "duration_ms": round(duration_ns / 1e6, 3),
        "outcome": transaction.outcome,
        "reply": str(transaction.reply) if transaction.reply else None,
        "refused": [{"recipient": str(recipient), "reply": str(reply)} for recipient, reply in transaction.refusals],
        "results": _results(*connection.results, *transaction.results),
    }
    if connection.user:  # whoever logged in; hardly anybody does
        line["user"] = connection.user
    return line


def connection_line(connection: Connection, *, time: float) -> dict[str, Any]:
    """What is logged of a connection that was over before any transaction began, when a plugin had a say in it."""
    return {
        "time": iso_time(time),
        "event": "connection",
        "id": connection.id,
        "listener": connection.listener,
        "remote": connection.remote_address,
        "proxy": connection.proxy_address or None,
        "helo": connection.hello_name,
        "results": _results(*connection.results),
    }


def _tls(tls: TlsFacts | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    line: dict[str, Any] = {"version": tls.version, "cipher": tls.cipher, "bits": tls.bits}
    if tls.server_name:
        line["server_name"] = tls.server_name
    if client := tls.client_certificate:
        line["client"] = {
            "subject": client.subject,
            "fingerprint": client.fingerprint,
            "verified": client.is_verified,
        }
    return line


def _results(*results: Result) -> list[dict[str, str]]:
    return [{"plugin": result.plugin, "outcome": result.outcome, "evidence": result.evidence} for result in results]
