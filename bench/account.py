"""What a server takes: CPU time and memory of all its processes, those that have ended included.

With a control group (version 2, where we may make one) the kernel itself keeps the account, to the microsecond.
Without, the processes below the one that was started are added up from /proc with what their ended children took: in
steps of 10 ms a process, and blind for children that nobody waited for or that left the tree.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, Protocol, Self

__all__ = ["Account", "ControlGroup", "MemoryWatch", "ProcessTree", "machine_cpu_s", "memory_bytes", "open_account"]

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_WATCH_INTERVAL_S: Final = 0.2
_PATIENCE_S: Final = 10.0
_numbers: Final = count(1)


class Account(Protocol):
    """Who belongs to a server."""

    kind: str

    def command(self, command: list[str]) -> list[str]:
        """The command that starts this command inside of the account."""
        ...

    def started(self, pid: int) -> None:
        """The process that runs it."""
        ...

    def pids(self) -> list[int]:
        """Its processes now."""
        ...

    def cpu_s(self) -> float:
        """User and system time of all its processes so far."""
        ...

    def close(self) -> None:
        """Kill what is left; twice does no harm."""
        ...


class ControlGroup:
    """A control group of our own below the one that we are in."""

    kind = "cgroup"

    def __init__(self, folder: Path) -> None:
        """`folder` is the group."""
        self._folder = folder

    @classmethod
    def make(cls, name: str) -> Self | None:
        """One of this name, or None where we may not."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        mount = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
        own = Path("/proc/self/cgroup").read_text().splitlines()
        below = next((line.removeprefix("0::/") for line in own if line.startswith("0::/")), None)
        if mount is None or below is None:
            return None
        # One peer may run twice, with other mailboxes.
        folder = Path(mount, below, f"fastsmtp-bench-{os.getpid()}-{next(_numbers)}-{name}")
        try:
            folder.mkdir()
        except OSError:
            return None
        group = cls(folder)
        if group._is_usable():
            return group
        group.close()
        return None

    def _is_usable(self) -> bool:
        """Whether a process may go there (systemd lets users make groups into which they may not move anything)."""
        pid = os.fork()
        if pid == 0:
            try:
                (self._folder / "cgroup.procs").write_text("0")
                (self._folder / "cpu.stat").read_text()
            except OSError:
                os._exit(1)
            os._exit(0)
        return os.waitpid(pid, 0)[1] == 0

    def command(self, command: list[str]) -> list[str]:
        return ["/bin/sh", "-c", 'echo 0 >"$0" && exec "$@"', str(self._folder / "cgroup.procs"), *command]

    def started(self, pid: int) -> None:
        pass

    def pids(self) -> list[int]:
        return [int(line) for line in (self._folder / "cgroup.procs").read_text().split()]

    def cpu_s(self) -> float:
        fields = dict(line.split() for line in (self._folder / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

    def close(self) -> None:
        if not self._folder.exists():
            return
        with suppress(OSError):  # before Linux 5.14
            (self._folder / "cgroup.kill").write_text("1")
        _end(self.pids)
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._folder.rmdir()
            except OSError:  # busy: the kernel has not let go of the last process yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return


class ProcessTree:
    """A process and all that descend from it."""

    kind = "procfs"

    def __init__(self) -> None:
        self._root = 0

    def command(self, command: list[str]) -> list[str]:
        return command

    def started(self, pid: int) -> None:
        self._root = pid

    def pids(self) -> list[int]:
        return [pid for pid in _family(self._root) if Path(f"/proc/{pid}").exists()] if self._root else []

    def cpu_s(self) -> float:
        ticks = 0
        for pid in self.pids():
            if (fields := _stat(pid)) is not None:
                # Own, and those of children that were waited for, in whom theirs are. Each is in one place only.
                ticks += sum(int(field) for field in fields[11:15])
        return ticks * _TICK_S

    def close(self) -> None:
        _end(self.pids)


def open_account(name: str) -> Account:
    """The best that this machine lets us have."""
    return ControlGroup.make(name) or ProcessTree()


def _stat(pid: int) -> list[str] | None:
    """The fields behind the command's name: state, parent, ...; None when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _family(root: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    left = [root]
    while left:
        pid = left.pop()
        yield pid
        left += children.get(pid, [])


def _end(pids: Callable[[], list[int]]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while left := [pid for pid in pids() if (fields := _stat(pid)) is not None and fields[0] != "Z"]:
        if time.monotonic() > deadline:
            raise SystemExit(f"processes {left} of a server do not end")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def memory_bytes(pids: list[int]) -> int:
    """Proportional set size of these processes together: what they share counts once."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024


def machine_cpu_s() -> float:
    """What all of the machine was busy with so far, in seconds of one processor, the kernel's own threads included."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, _steal = fields
    return (user + nice + system + irq + softirq) * _TICK_S


class MemoryWatch:
    """The most memory that an account has at once, looked at five times a second."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, memory_bytes(self._account.pids()))
            if self._over.wait(_WATCH_INTERVAL_S):
                return
