"""What a worker is given at its start, over its line: a file without a name, and descriptors."""

import os
import pickle
import socket
from dataclasses import dataclass, replace
from typing import Final

from fastsmtp import __version__
from fastsmtp.config.model import Settings
from fastsmtp.errors import StartError

__all__ = ["Handover", "give", "take"]

_AT_ONCE: Final = 64
"""Descriptors in a message: the kernel takes 253 (unix(7))."""

_MORE: Final = b"more"
_LAST: Final = b"last"


@dataclass(frozen=True, slots=True)
class Handover:
    """Descriptors are the supervisor's on its side, and the worker's own on the other.

    `slot` is its place, in which another one succeeds it; `seat` is its own among all that live, the number of its ring
    in the journal and of its part of all memory that workers share. `sockets` has those of each listener, in the order
    of the settings. `lock` holds the journal while the worker lives.
    """

    settings: Settings
    generation: int
    slot: int
    seat: int
    cells: int
    names: int
    sockets: tuple[tuple[int, ...], ...]
    lock: int | None
    clients: int
    buckets: int

    @property
    def descriptors(self) -> list[int]:
        """All of them."""
        sockets = [descriptor for listener in self.sockets for descriptor in listener]
        lock = [] if self.lock is None else [self.lock]
        return [*sockets, self.cells, self.names, *lock, self.clients, self.buckets]

    def with_descriptors(self, descriptors: list[int]) -> "Handover":
        """The same with others, which are in the order of `descriptors`."""
        left = iter(descriptors)
        return replace(
            self,
            sockets=tuple(tuple(next(left) for _ in listener) for listener in self.sockets),
            cells=next(left),
            names=next(left),
            lock=None if self.lock is None else next(left),
            clients=next(left),
            buckets=next(left),
        )


def give(handover: Handover, line: socket.socket) -> None:
    """To whoever takes it at the other end of the line. Raises OSError."""
    file = os.memfd_create("fastsmtp handover", os.MFD_CLOEXEC)
    try:
        os.write(file, pickle.dumps(__version__) + pickle.dumps(handover))
        descriptors = [file, *handover.descriptors]
        for begun in range(0, len(descriptors), _AT_ONCE):
            word = _MORE if begun + _AT_ONCE < len(descriptors) else _LAST
            socket.send_fds(line, [word], descriptors[begun : begun + _AT_ONCE])
    finally:
        os.close(file)


def take(line: socket.socket) -> Handover | None:
    """What the supervisor gives; waits for it. None when it needs no worker after all.

    Raises StartError when the supervisor is of another version: what it gives may mean something else here.
    """
    descriptors: list[int] = []
    word = _MORE
    while word == _MORE:
        word, more, _, _ = socket.recv_fds(line, len(_MORE), _AT_ONCE)
        for descriptor in more:
            os.set_inheritable(descriptor, False)  # whatever program this process may start has none of them
        descriptors += more
    if word != _LAST:
        return None
    with os.fdopen(descriptors.pop(0), "rb") as file:
        file.seek(0)
        version = pickle.load(file)  # noqa: S301 - nobody but our parent can have written it
        if version != __version__:
            raise StartError(f"fastsmtp {version} runs and {__version__} is installed: restart it, do not reload")
        given: Handover = pickle.load(file)  # noqa: S301 - the same
    return given.with_descriptors(descriptors)
