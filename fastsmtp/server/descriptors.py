"""Open files: each connection is one, and the last ones are kept for what is on its way to the disk."""

import resource
from typing import Final

__all__ = ["allow_descriptors", "connections_for"]

_KEPT: Final = 4096


def allow_descriptors() -> int:
    """As many open files as the system lets us have without asking; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connections_for(descriptors: int) -> int:
    """How many connections a worker may have that may have so many open files.

    Without a file to spare for the next client, accept(2) would fail, and libuv would hang up on all who wait. A large
    message needs one more (its spool), a delivery a few.
    """
    return max(descriptors // 2, descriptors - _KEPT)
