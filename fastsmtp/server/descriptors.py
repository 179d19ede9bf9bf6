"""Open files: each connection is one, and the last ones are kept for what is on its way to the disk."""

import os
import resource
import sys
from typing import Final

__all__ = ["allow_descriptors", "descriptors_for_connections", "hold_standard_streams"]

_KEPT: Final = 4096
_STANDARD_ERROR: Final = 2


def hold_standard_streams() -> None:
    """See that 0, 1 and 2 are open files: a socket that got one of these numbers would be taken for standard error."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is None:  # what Python makes of one that was closed
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - it lives as long as we do
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


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
