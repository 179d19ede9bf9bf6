"""Names for connections and transactions: short, unique over workers and hosts, and sortable by time."""

import secrets
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["Identifiers"]

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing to misread on the telephone
_PAIRS: Final = [high + low for high in _DIGITS for low in _DIGITS]


def _name(value: int, pairs: list[str], suffix: str) -> str:
    """Twelve digits for 60 bits, and what stands behind them."""
    return (
        f"{pairs[value >> 50 & 1023]}{pairs[value >> 40 & 1023]}{pairs[value >> 30 & 1023]}"
        f"{pairs[value >> 20 & 1023]}{pairs[value >> 10 & 1023]}{pairs[value & 1023]}{suffix}"
    )


class Identifiers:
    """An endless supply: twelve digits of microseconds, two of the seat, four that are this process's own.

    `now` gives seconds since the epoch; two names in one microsecond, or a clock set back, borrow from the future.
    `seat` (0 to 1023) tells workers apart that live at the same time; the rest is chance, for hosts.
    """

    def __init__(self, now: Callable[[], float], seat: int = 0) -> None:
        self._now = now
        self._last = 0
        self._suffix = _PAIRS[seat] + _PAIRS[secrets.randbits(10)] + _PAIRS[secrets.randbits(10)]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._last = max(self._last + 1, int(self._now() * 1_000_000))
        return _name(self._last, _PAIRS, self._suffix)
