"""The real time."""

import time as system

__all__ = ["SystemClock"]


class SystemClock:
    """The clock of this machine; its methods are the C functions themselves, without a frame in between."""

    time = staticmethod(system.time)
    monotonic_ns = staticmethod(system.monotonic_ns)
