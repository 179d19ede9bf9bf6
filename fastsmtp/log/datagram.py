"""Lines to a program on this machine that listens on a Unix socket, one message each."""

import errno
import socket
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["DatagramSocket"]

_ROOM_BYTES: Final = 1 << 20

_GONE: Final = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE, errno.ENOENT}


class DatagramSocket:
    """A socket that is connected when it is needed, and again when who listens was started anew.

    Where the other side wants a stream (some syslogs do), `end` goes behind each message.
    """

    line_end = None

    def __init__(self, path: Path, end: bytes = b"") -> None:
        self._path = path
        self._stream_end = end
        self._end = b""
        self._socket: socket.socket | None = None

    def write(self, messages: deque[bytes]) -> None:
        """Send messages, and take each one away that is sent. Raises OSError."""
        while messages:
            self._send(messages[0])
            messages.popleft()

    def reopen(self) -> None:
        """Connect anew."""
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: bytes) -> None:
        is_new = self._socket is None
        try:
            self._send_once(message)
        except OSError as error:
            self.close()
            if is_new or error.errno not in _GONE:
                raise
            self._send_once(message)

    def _send_once(self, message: bytes) -> None:
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(message + self._end)

    def _connect(self) -> socket.socket:
        try:
            self._end = b""
            return self._connect_as(socket.SOCK_DGRAM)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE or not self._stream_end:
                raise
        self._end = self._stream_end
        return self._connect_as(socket.SOCK_STREAM)

    def _connect_as(self, kind: socket.SocketKind) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, kind)
        try:
            with suppress(OSError):  # a message as large as ours can be must fit, and does with what is usual
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM_BYTES)
            connected.connect(str(self._path))
        except BaseException:
            connected.close()
            raise
        return connected
