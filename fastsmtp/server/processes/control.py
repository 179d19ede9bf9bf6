"""The line between the supervisor and a worker: a socket pair of whole messages (JSON), and descriptors with them.

The end of the line is the end of the other side: a socket cannot outlive the process that has it.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

__all__ = ["Line"]

_MESSAGE_BYTES: Final = 262_144  # more than the kernel sends in one piece
_DESCRIPTORS: Final = 64

Message = Mapping[str, Any]
Heard = Callable[[Message, Sequence[int]], None]


class Line:
    """One end, on the running event loop. `heard` gets each message with the descriptors that came with it, which are
    its own then; `ended` is called once, when the other side is gone.
    """

    def __init__(self, end: socket.socket, heard: Heard, ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = end
        self._heard = heard
        self._ended = ended
        self._is_open = True
        end.setblocking(False)
        self._loop.add_reader(end.fileno(), self._read)

    def say(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Send a message; False when the other side is gone, or has not listened for very long."""
        if not self._is_open:
            return False
        try:
            socket.send_fds(self._end, [orjson.dumps(message)], descriptors)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Hang up; twice does no harm."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._end.fileno())
            self._end.close()

    def hear_out(self) -> None:
        """Hear all that was said by now, not only what the event loop has noticed."""
        while self._is_open and self._read():
            pass

    def _read(self) -> bool:
        """One message; False when there is none."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, _MESSAGE_BYTES, _DESCRIPTORS)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # reset: the other side went with messages unread
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if not data:
            self.close()
            self._ended()
            return False
        self._heard(orjson.loads(data), descriptors)
        return True
