"""What a worker is given at its start, in a file without a name that it inherits."""

import os
import pickle
from dataclasses import dataclass

from fastsmtp import __version__
from fastsmtp.config.model import Settings
from fastsmtp.errors import StartError

__all__ = ["Handover", "give", "take"]


@dataclass(frozen=True, slots=True)
class Handover:
    """Descriptors are inherited, and the worker's own from then on.

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


def give(handover: Handover) -> int:
    """A descriptor for the worker to `take` it from. Raises OSError."""
    descriptor = os.memfd_create("fastsmtp handover", os.MFD_CLOEXEC)
    os.write(descriptor, pickle.dumps(__version__) + pickle.dumps(handover))
    return descriptor


def take(descriptor: int) -> Handover:
    """What the supervisor has given; the descriptors are closed for whatever program this process may start.

    Raises StartError when the supervisor is of another version: what it gives may mean something else here.
    """
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        version = pickle.load(file)  # noqa: S301 - nobody but our parent can have written it
        if version != __version__:
            raise StartError(f"fastsmtp {version} runs and {__version__} is installed: restart it, do not reload")
        given: Handover = pickle.load(file)  # noqa: S301 - the same
    for inherited in given.descriptors:
        os.set_inheritable(inherited, False)
    return given
