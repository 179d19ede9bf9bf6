"""Where a server's CPU goes: by perf what the kernel and compiled code have, by py-spy what the Python in between does.

What the interpreter does for compiled code (a new object, a look-up) is that code's; where it runs a Python function,
only py-spy knows which, and the shares of what it sees are taken.

Samples are shares; multiplied with the CPU of a message (the account knows it) they are microseconds. Both look on from
outside while the server works: perf disturbs little, py-spy more, so each has a load of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.load.generator import Load, RunningLoad
from bench.peers.peer import RunningPeer

__all__ = ["PARTS", "missing", "split"]

PARTS: Final = (
    "sockets",
    "files",
    "other kernel",
    "event loop",
    "parse",
    "session",
    "plugins",
    "store",
    "log and metrics",
    "other Python",
)
"""The first three are the kernel's."""

_SAMPLES_S: Final = 997
_PYTHON_SAMPLES_S: Final = 250
_SECONDS: Final = 4
_UNWIND: Final = "dwarf,8192"
"""Neither the interpreter nor compiled modules keep frame pointers."""

# What a kernel stack works for.
_SOCKETS: Final = re.compile(
    r"\b(tcp_|sock_|inet_|ip_|unix_|ep_|do_epoll|eventfd_|__x64_sys_epoll|__sys_(send|recv|accept))"
)
_FILES: Final = re.compile(
    r"\b(ext4_|xfs_|btrfs_|jbd2_|blk_|vfs_|path_|do_sys_open|do_renameat|ksys_p?(write|read)|f?sync)"
)

_INTERPRETER: Final = "interpreter"
_RUNS_PYTHON: Final = "_PyEval_EvalFrameDefault "
# Innermost in a stack of py-spy: the loop, or compiled code that it called, which py-spy does not see.
_LOOP: Final = re.compile(r"\(asyncio/runners\.py:\d+\)$")

# A Python function, by the file that it stands in (or beside, when compiled); the innermost that is known counts.
_FILES_OF_PYTHON: Final = (
    ("fastsmtp/smtp/", "session"),
    ("fastsmtp/server/", "session"),
    ("fastsmtp/directory/", "session"),
    ("fastsmtp/pipeline/", "plugins"),
    ("fastsmtp_plugins", "plugins"),
    ("plugins/", "plugins"),
    ("fastsmtp/delivery/", "store"),
    ("fastsmtp/log", "log and metrics"),
    ("fastsmtp/stats", "log and metrics"),
    ("fastsmtp/metrics", "log and metrics"),
)

# A library of user space, by its path.
_LIBRARIES: Final = (
    ("_parser.", "parse"),
    ("_maildir.", "store"),
    ("_clients.", "session"),
    ("uvloop", "event loop"),
    *_FILES_OF_PYTHON,
)


def missing() -> str:
    """What is needed and not here; empty when it can be done."""
    if shutil.which("perf") is None:
        return "perf not found; it comes with linux-perf"
    if _py_spy() is None:
        return "py-spy is not installed; pip install py-spy"
    return ""


def _py_spy() -> str | None:
    """Its program, also where the environment is not active."""
    return shutil.which("py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def split(running: RunningPeer, load: Load, recipients: Path, folder: Path) -> tuple[dict[str, float], int]:
    """Microseconds of CPU a message for each of PARTS, and how many messages were sent for that.

    Raises SystemExit when perf or py-spy cannot look on.
    """
    load = replace(load, seconds=_SECONDS + 1.0)
    with tempfile.TemporaryDirectory() as name:
        data, stacks = Path(name, "perf.data"), Path(name, "stacks")
        pids = ",".join(map(str, running.account.pids()))
        perf = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(_SAMPLES_S), "--call-graph", _UNWIND]
        perf += ["-p", pids, "-o", str(data)]
        cpu_us, sent = _under_load(running, load, recipients, folder, [*perf, "--", "sleep", str(_SECONDS)])
        script = ["perf", "script", "-i", str(data), "-F", "ip,sym,dso", "--no-inline"]
        native = Counter(map(_native_part, _perf_samples(_output(script))))
        spy = [
            str(_py_spy()),
            "record",
            "-p",
            str(_python_pid(running)),
            "-d",
            str(_SECONDS),
            "-r",
            str(_PYTHON_SAMPLES_S),
        ]
        spy += ["-f", "raw", "--nonblocking", "-o", str(stacks)]
        sent += _under_load(running, load, recipients, folder, spy)[1]
        python = Counter[str]()
        for line in stacks.read_text().splitlines():
            frames, _, count = line.rpartition(" ")
            if not _LOOP.search(frames):
                python[_python_part(frames.split(";"))] += int(count)
    return _combined(native, python, cpu_us), sent


def _combined(native: Counter[str], python: Counter[str], cpu_us: float) -> dict[str, float]:
    if not native.total() or not python.total():
        raise SystemExit("perf or py-spy has seen nothing")
    shares = {part: count / native.total() for part, count in native.items()}
    interpreter = shares.pop(_INTERPRETER, 0.0)
    for part, count in python.items():
        shares[part] = shares.get(part, 0.0) + interpreter * count / python.total()
    return {part: shares.get(part, 0.0) * cpu_us for part in PARTS}


def _under_load(
    running: RunningPeer, load: Load, recipients: Path, folder: Path, command: list[str]
) -> tuple[float, int]:
    """Run the command while the server has something to do; microseconds of CPU a message, and messages."""
    with RunningLoad(running.address, running.peer.suited(load), recipients, folder, lmtp=running.peer.is_lmtp) as busy:
        busy.await_start()
        before = running.account.cpu_s()
        _output(command)
        done = busy.result()
        cpu_s = running.account.cpu_s() - before
    if done.abandoned or not done.messages:
        raise SystemExit(f"{running.peer.name} was not to be looked at: {done.refusal}")
    return cpu_s / done.messages * 1e6, done.messages


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _python_pid(running: RunningPeer) -> int:
    """The process that had the most CPU: the worker, where there is a supervisor."""

    def ticks(pid: int) -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    return max(running.account.pids(), key=ticks)


def _perf_samples(script: str) -> Iterator[list[str]]:
    """The frames of each sample, innermost first: `symbol (library)`."""
    for block in script.split("\n\n"):
        frames = [line.split(maxsplit=1)[1] for line in block.splitlines() if len(line.split(maxsplit=1)) == 2]
        if frames:
            yield frames


def _native_part(frames: list[str]) -> str:
    kernel = [frame for frame in frames if "[kernel" in frame or "([guest" in frame]
    if kernel and frames[0] is kernel[0]:
        if any(map(_SOCKETS.search, kernel)):  # first: to a socket also goes what is written by vfs_write
            return "sockets"
        if any(map(_FILES.search, kernel)):
            return "files"
        return "other kernel"
    for frame in frames:
        library = frame.rpartition("(")[2]
        if (part := next((part for name, part in _LIBRARIES if name in library), None)) is not None:
            return part
        if frame.startswith(_RUNS_PYTHON):
            break
    return _INTERPRETER


def _python_part(frames: Iterable[str]) -> str:
    """Of a stack of py-spy, outermost first: `function (file:line)`."""
    for frame in reversed(list(frames)):
        for path, part in _FILES_OF_PYTHON:
            if path in frame:
                return part
    return "other Python"
