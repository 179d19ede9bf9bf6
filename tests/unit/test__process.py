import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastsmtp import _process

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(child.pid, child.stdout.readline().decode().strip(), flush=True)
sys.stdin.read()
"""
CHILD = """
from fastsmtp import _process
_process.die_with_parent()
print("ready", flush=True)
import time
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_dies_with_its_parent() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, ready = parent.stdout.readline().split()
        assert ready == "ready"
        descriptor = os.pidfd_open(int(pid))
        assert is_alive(int(pid))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        ended, _, _ = select.select([descriptor], [], [], 20)
        os.close(descriptor)
        assert ended
        assert not is_alive(int(pid))


def output_of(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_no_new_privileges() -> None:
    script = "from fastsmtp import _process\n_process.forbid_new_privileges()\nprint(open('/proc/self/status').read())"
    assert "NoNewPrivs:\t1" in output_of(script).splitlines()
    assert "NoNewPrivs:\t0" in output_of("print(open('/proc/self/status').read())").splitlines()


def test_the_name_is_cut_by_the_kernel() -> None:
    script = "from fastsmtp import _process\n_process.set_name(b'fastsmtp-12 and more')\n"
    script += "print(open('/proc/self/comm').read())"
    assert output_of(script) == "fastsmtp-12 and"


def test_nothing_is_no_name() -> None:
    nothing: Any = None
    with pytest.raises(TypeError):
        _process.set_name(nothing)
