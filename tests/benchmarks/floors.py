"""A floor that runs: the server without which a generator has nobody to talk to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.peer import Peer, RunningPeer, Site

USERS = [f"user{number}" for number in range(5)]


@contextmanager
def running(peer: Peer, folder: Path) -> Iterator[RunningPeer]:
    """In a folder of its own, with five users."""
    own = folder / peer.name.replace(" ", "-")
    own.mkdir()
    for each in (folder, own):
        each.chmod(0o755)  # there are servers that run as somebody else
    with RunningPeer(peer, Site(own, "bench.example", USERS)) as server:
        yield server
