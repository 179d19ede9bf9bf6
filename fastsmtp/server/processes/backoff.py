"""How long to wait before a worker is started again: at once the first time, longer and longer while it keeps dying."""

from typing import Final

__all__ = ["Backoff"]

_FIRST_S: Final = 1.0
_LONGEST_S: Final = 60.0

STEADY_S: Final = 30.0
"""Who has lived so long was no failure to start."""


class Backoff:
    """One for each slot."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def after(self, lived_s: float) -> float:
        """Seconds to wait, now that a worker has ended that lived (and served) for so long; 0 when it never served."""
        if lived_s >= STEADY_S:
            self._next_s = 0.0
        delay_s = self._next_s
        self._next_s = min(max(2 * delay_s, _FIRST_S), _LONGEST_S)
        return delay_s

    def reset(self) -> None:
        """Begin anew: what was wrong may have been mended."""
        self._next_s = 0.0
