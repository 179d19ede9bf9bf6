"""What was measured on: two results can only be compared when this is the same."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from bench.native import ROOT

__all__ = ["commit", "describe", "file_system"]


def describe(folder: Path) -> dict[str, Any]:
    """The machine, and the disk that `folder` is on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "file_system": file_system(folder),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.processor() or "unknown"


def file_system(folder: Path) -> str:
    """Kind and options of the file system of a folder, such as `ext4 rw,relatime`."""
    device = folder.stat().st_dev
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, behind = line.partition(" - ")
        fields = before.split()
        major, _, minor = fields[2].partition(":")
        if os.makedev(int(major), int(minor)) == device:
            return f"{behind.split()[0]} {fields[5]}"
    return "unknown"


def commit() -> str:
    """Of the checkout, with `-dirty` when it was changed; `unknown` outside of one."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"],  # noqa: S607 - whichever git
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
