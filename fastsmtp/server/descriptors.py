"""Open files: each connection is one, and the last ones are kept for what is on its way to the disk."""

import resource
from typing import Final

__all__ = ["allow_descriptors", "descriptors_for_connections"]

_KEPT: Final = 4096


def allow_descriptors() -> int:
    """As many open files as the system lets us have without asking; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def descriptors_for_connections(descriptors: int) -> int:
    """The least descriptor that no connection may have, where there may be so many open files.

    Without any to spare accept(2) fails, and libuv then hangs up, without a word, on all who wait. A large message
    needs one more (its spool), a delivery a few.
    """
    return max(descriptors // 2, descriptors - _KEPT)
