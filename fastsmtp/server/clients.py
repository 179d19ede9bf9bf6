"""The memory in which the workers of a server count their clients."""

import mmap
import os
from typing import Final

from fastsmtp._clients import ClientTable, memory_bytes, prepare

__all__ = ["ClientMemory", "client_table"]

_CLIENTS_PER_CONNECTION: Final = 8
"""A client and its network for each connection, and as many again that have none, in buckets that are never full."""


class ClientMemory:
    """Memory for `ClientTable`, in a file without a name: processes that inherit `descriptor` share it.

    Each has a region to write to. `connections` is how many there may be at once. Of 1 MiB for every 4096 of them only
    what is used is really taken.
    """

    def __init__(self, regions: int, connections: int) -> None:
        clients = _CLIENTS_PER_CONNECTION * connections
        self.descriptor = os.memfd_create("fastsmtp clients", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, memory_bytes(regions, clients))
        memory = mmap.mmap(self.descriptor, 0)
        prepare(memory, regions, clients)
        self._table = ClientTable(memory, 0)

    def release(self, region: int) -> None:
        """The worker with this region is gone, and all its connections."""
        self._table.release(region)

    def close(self) -> None:
        """Let go of the descriptor; whoever has inherited it keeps the memory."""
        os.close(self.descriptor)


def client_table(descriptor: int, region: int) -> ClientTable:
    """The table in memory that was inherited; the descriptor can be closed. Raises ValueError for other memory."""
    return ClientTable(mmap.mmap(descriptor, 0), region)
