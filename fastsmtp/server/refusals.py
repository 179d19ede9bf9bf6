"""Who was turned away at the door: counted always, told to the log now and then: a flood shall not be one there."""

import logging
from typing import Final

from fastsmtp.smtp.counters import limit_cells, shed_cells
from fastsmtp.smtp.replies import (
    STRANGERS_WAIT,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_OF_ADDRESS,
    TOO_MANY_OF_NETWORK,
    TOO_OFTEN_FROM_ADDRESS,
    TOO_OFTEN_FROM_NETWORK,
    Reply,
)
from fastsmtp.stats import Stats

__all__ = ["REFUSALS", "Refusals", "Sample"]

_STRANGER: Final = "stranger"

REFUSALS: Final = {
    "connections": TOO_MANY_CONNECTIONS,
    "descriptors": TOO_MANY_CONNECTIONS,
    "connections_per_address": TOO_MANY_OF_ADDRESS,
    "connections_per_network": TOO_MANY_OF_NETWORK,
    "arrivals_per_address": TOO_OFTEN_FROM_ADDRESS,
    "arrivals_per_network": TOO_OFTEN_FROM_NETWORK,
    _STRANGER: STRANGERS_WAIT,
}
"""What a client hears in place of the greeting, by what it has passed."""

_TELL_EVERY_S: Final = 60.0

_log = logging.getLogger("fastsmtp.server")


_SAMPLE: Final = 100
_SAMPLE_AGAIN_S: Final = 60.0


class Sample:
    """Whether the story of this one is kept, too: of the first hundred, then of one a minute, in each worker.

    Whoever comes by the thousand leaves some traces, and pushes nothing of others out of the records.
    """

    def __init__(self) -> None:
        self._left = float(_SAMPLE)
        self._at_s = 0.0

    def has_room(self, now_s: float) -> bool:
        """Whether it is, at this time; then there is room for one less."""
        self._left = min(float(_SAMPLE), self._left + (now_s - self._at_s) / _SAMPLE_AGAIN_S)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Refusals:
    """One per worker."""

    def __init__(self, stats: Stats) -> None:
        self._cells = stats.cells
        limits = [name for name in REFUSALS if name != _STRANGER]
        self._counts = {**limit_cells(stats, *limits), **shed_cells(stats, _STRANGER)}
        self._last: dict[str, str] = {}
        self._told: dict[str, tuple[float, int]] = {}  # when, and how many there had been

    def refuse(self, limit: str, address: str) -> Reply:
        """Count it; what the client hears."""
        self._cells[self._counts[limit]] += 1
        self._last[limit] = address
        return REFUSALS[limit]

    def tell(self, now_s: float) -> None:
        """Write to the log what has not been told yet: one line a limit and minute."""
        for limit, address in list(self._last.items()):
            when_s, before = self._told.get(limit, (-_TELL_EVERY_S, 0))
            if now_s - when_s < _TELL_EVERY_S:
                continue
            count = self._cells[self._counts[limit]]
            self._told[limit] = now_s, count
            del self._last[limit]
            _log.warning(
                "clients were turned away", extra={"limit": limit, "times": count - before, "last_address": address}
            )
