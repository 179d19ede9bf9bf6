"""What the unfinished messages of a worker weigh together, and whether there is any use in beginning another one."""

import sys

from fastsmtp.smtp.counters import limit_cells, shed_cells
from fastsmtp.smtp.replies import MEMORY_FULL, Reply
from fastsmtp.stats import Stats

__all__ = ["Load"]


class Load:
    """One per worker. Sessions add up the octets in memory, and ask before a transaction begins.

    Whoever watches the worker sets `deferral`: what a client hears then who wants to begin one.
    Above `limit` octets no transaction begins; at `most` no message in memory grows. `octets` is written by sessions.
    """

    __slots__ = ("_cells", "_deferred", "_full", "deferral", "limit", "most", "octets")

    def __init__(self, stats: Stats, limit: int = sys.maxsize) -> None:
        self.octets = 0
        self.limit = limit
        self.most = limit + limit // 2
        self.deferral: Reply | None = None
        self._cells = stats.cells
        self._full = limit_cells(stats, "message_memory")["message_memory"]
        self._deferred = shed_cells(stats, "transaction")["transaction"]

    def refusal(self) -> Reply | None:
        """What a client hears who begins a transaction now, or None; a refusal is counted."""
        if self.octets > self.limit:
            return self.full()
        if self.deferral is not None:
            self._cells[self._deferred] += 1
        return self.deferral

    def full(self) -> Reply:
        """What a client hears whose message does not fit; it is counted."""
        self._cells[self._full] += 1
        return MEMORY_FULL
