"""What `logging` is told becomes lines."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from fastsmtp.log.encoding import iso_time
from fastsmtp.log.line_log import LineLog

__all__ = ["LogHandler"]

_STANDARD_ATTRIBUTES: Final = logging.makeLogRecord({}).__dict__.keys() | {"asctime", "message"}


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
