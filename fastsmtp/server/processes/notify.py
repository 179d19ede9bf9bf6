"""What systemd is told: ready, reloading, stopping, and that we live (sd_notify(3)). Without systemd, nobody is told.

A datagram of lines to a Unix socket is the whole protocol (`docs/decisions/0014-processes.md`: why it is ours).
"""

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final, Self

__all__ = ["Notifier"]

_US_PER_S: Final = 1_000_000


class Notifier:
    """`watchdog_s` is how often systemd wants to hear that we live, in seconds, 0 for never."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self.watchdog_s = watchdog_s
        self._address = address
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Self:
        """As systemd has left it there for this process; taken away, since it is meant for nobody else."""
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog = environment.pop("WATCHDOG_USEC", "")
        is_ours = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(address, int(watchdog) / _US_PER_S if is_ours and watchdog.isdecimal() else 0.0)

    def ready(self, status: str) -> None:
        """Started, or reloaded, whether that has changed anything or not."""
        self._tell("READY=1", _status(status))

    def reloading(self) -> None:
        """A reload begins; `ready` is its end."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", _status("reloading"))

    def stopping(self, status: str) -> None:
        """The end begins."""
        self._tell("STOPPING=1", _status(status))

    def status(self, status: str) -> None:
        """What `systemctl status` shows."""
        self._tell(_status(status))

    def alive(self) -> None:
        """Asked for every `watchdog_s` seconds; who stays silent is killed."""
        self._tell("WATCHDOG=1")

    def wait_for(self, seconds: float) -> None:
        """The start (or the end) takes its time: do not give up on it for so many seconds more."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * _US_PER_S)}")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> None:
        if self._socket is None:
            return
        # "@" is how the name of an abstract socket is written, which begins with a NUL.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            self._socket.sendto("\n".join(lines).encode(), address)
        except OSError:
            return  # a systemd that is gone, or that has no time for us, is no reason to stop the mail


def _status(text: str) -> str:
    return "STATUS=" + text.replace("\n", " ")
