"""The token buckets of a host: one table in memory that its workers share."""

import mmap
import os
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from fastsmtp._buckets import BucketTable, memory_bytes, prepare
from fastsmtp.ports import Clock, Rate
from fastsmtp.stats import Stats

__all__ = ["BucketMemory", "HostBuckets", "bucket_table"]

_HASH_BYTES: Final = 8


class BucketMemory:
    """Memory for `BucketTable`, in a file without a name: processes that inherit `descriptor` share it.

    Of 16 octets for each of the `buckets` only what is used is really taken.
    """

    def __init__(self, buckets: int) -> None:
        self.descriptor = os.memfd_create("fastsmtp buckets", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, memory_bytes(buckets))
        with mmap.mmap(self.descriptor, 0) as memory:
            prepare(memory, buckets)

    def close(self) -> None:
        """Let go of the descriptor; whoever has inherited it keeps the memory."""
        os.close(self.descriptor)


def bucket_table(descriptor: int) -> BucketTable:
    """The table in memory that was inherited; the descriptor can be closed. Raises ValueError for other memory."""
    return BucketTable(mmap.mmap(descriptor, 0))


class HostBuckets:
    """Implements `Buckets` for one worker; every answer is there at once."""

    def __init__(self, table: BucketTable, clock: Clock, stats: Stats) -> None:
        self._table = table
        self._hash_key = table.hash_key
        self._now = clock.monotonic_ns
        self._name = lru_cache(4096)(self._hash)  # who is counted once is counted again
        self._cells = stats.cells
        self._forgotten = stats.cell(
            stats.counter(
                "fastsmtp_state_buckets_forgotten_total",
                "Token buckets that others took the place of before they were full; raise state.buckets.",
            )
        )

    def take(self, key: str, rate: Rate, tokens: int = 1) -> float:
        """As the port says."""
        table = self._table
        before = table.forgotten
        wait_s = table.take(self._name(key), self._now(), rate.interval_ns, rate.burst, tokens)
        if table.forgotten != before:
            self._cells[self._forgotten] += 1
        return wait_s

    def give_back(self, key: str, rate: Rate, tokens: int = 1) -> None:
        """As the port says."""
        self._table.give_back(self._name(key), rate.interval_ns, tokens)

    def _hash(self, key: str) -> int:
        """What the table calls it; without the secret nobody can tell who shares a set with whom."""
        octets = key.encode(errors="surrogatepass")
        return int.from_bytes(blake2b(octets, digest_size=_HASH_BYTES, key=self._hash_key).digest(), "little")
