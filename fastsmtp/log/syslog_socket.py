"""Lines to the syslog of this machine, in the form in which programs there speak to it.

That is RFC 3164 section 4.1 without a host name, as syslog(3) of the C library writes it. RFC 5424 is for the way
between machines: journald and many others that listen on /dev/log do not know it (decision 16).
"""

import os
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fastsmtp.log.datagram import DatagramSocket
from fastsmtp.log.encoding import encode_line
from fastsmtp.log.sink import priority

__all__ = ["FACILITIES", "SYSLOG_SOCKET", "SyslogSink"]

SYSLOG_SOCKET: Final = Path("/dev/log")

FACILITIES: Final = {"mail": 2, "daemon": 3, **{f"local{number}": 16 + number for number in range(8)}}
"""RFC 5424 section 6.2.1."""

_MESSAGE_BYTES: Final = 8192
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class SyslogSink(DatagramSocket):
    """One message a line, of 8 KiB at most, which is what rsyslog takes when nobody has told it otherwise."""

    def __init__(self, path: Path, facility: str) -> None:
        super().__init__(path, end=b"\0")
        self._facility = FACILITIES[facility]
        self._tag = f"fastsmtp[{os.getpid()}]"

    def encode(self, line: Mapping[str, Any]) -> bytes:
        """Priority, local time, program, process and JSON."""
        head = f"<{self._facility * 8 + priority(line)}>{_local_time(int(time.time()))} {self._tag}: ".encode()
        return head + encode_line(line, _MESSAGE_BYTES - len(head))


@lru_cache(maxsize=2)
def _local_time(second: int) -> str:
    now = time.localtime(second)
    # Not strftime: names of months are English here, whatever the locale.
    return f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
