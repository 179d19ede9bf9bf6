"""How many files may be open, and how many of them may be connections."""

import resource
import subprocess
import sys

from fastsmtp.server.descriptors import allow_descriptors, descriptors_for_connections

HELD = """
import os, sys
from fastsmtp.server.descriptors import hold_standard_streams
hold_standard_streams()
sys.stdout.write("nobody reads this"), sys.stderr.write("nor that")
streams = [(os.readlink(f"/proc/self/fd/{number}"), os.get_inheritable(number)) for number in (0, 1, 2)]
assert streams == [(os.devnull, True)] * 3, streams
assert os.open("/", os.O_RDONLY) > 2
"""


def test_streams_that_are_closed_are_held() -> None:
    closed = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, HELD], check=False)
    assert closed.returncode == 0


def test_as_many_as_there_may_be() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
        assert allow_descriptors() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_some_are_kept_for_deliveries() -> None:
    assert [descriptors_for_connections(descriptors) for descriptors in (100, 1_024, 8_192, 20_000)] == [
        50,
        512,
        4_096,
        15_904,
    ]
