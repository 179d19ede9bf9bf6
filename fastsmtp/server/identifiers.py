"""Names for connections and transactions: short, unique over workers and hosts, and sortable by time."""

import secrets
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["identifiers"]

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing to misread on the telephone


def _base32(value: int, length: int) -> str:
    return "".join(_DIGITS[(value >> shift) & 31] for shift in range(5 * (length - 1), -1, -5))


def identifiers(now: Callable[[], float]) -> Iterator[str]:
    """An endless supply: eleven digits of microseconds, three that are this worker's own.

    `now` gives seconds since the epoch; two names in one microsecond, or a clock set back, borrow from the future.
    """
    suffix = _base32(secrets.randbits(15), 3)
    last = 0
    while True:
        last = max(last + 1, int(now() * 1_000_000))
        yield _base32(last, 11) + suffix
