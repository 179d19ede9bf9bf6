"""The memory in which the workers of a server count their clients."""

import mmap
from typing import Final

from fastsmtp._clients import memory_bytes, prepare

__all__ = ["new_client_memory"]

_CLIENTS_PER_CONNECTION: Final = 8
"""A client and its network for each connection, and as many again that have none, in buckets that are never full."""


def new_client_memory(regions: int, connections: int) -> mmap.mmap:
    """Memory for `ClientTable`, shared with the processes that are forked from this one; each has a region to write to.

    `connections` is how many there may be at once. Of 1 MiB for every 4096 of them only what is used is really taken.
    """
    clients = _CLIENTS_PER_CONNECTION * connections
    memory = mmap.mmap(-1, memory_bytes(regions, clients))
    prepare(memory, regions, clients)
    return memory
