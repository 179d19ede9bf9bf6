"""The real time is the system's."""

import time

from fastsmtp.ports import Clock
from fastsmtp.server.clock import SystemClock


def test_it_is_a_clock() -> None:
    clock: Clock = SystemClock()
    before, between, after = time.time(), clock.time(), time.time()
    assert before <= between <= after
    assert clock.monotonic_ns() <= clock.monotonic_ns()
