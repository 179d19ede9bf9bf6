"""What a process changes below a folder, call by call, in order: the shim, and the log that it writes."""

import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

_RECORD: Final = struct.Struct("=IIIIQQ")


class Kind(IntEnum):
    """As in log.h."""

    CREATE = 0
    MKDIR = 1
    LINK = 2
    NAMELESS = 3
    UNLINK = 4
    RENAME = 5
    WRITE = 6
    RESIZE = 7
    SYNC = 8
    ACKNOWLEDGE = 9


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the log; `at` is where it stands there, and the other fields mean what log.h says."""

    at: int
    kind: Kind
    first: int = 0
    second: int = 0
    one: bytes = b""
    two: bytes = b""

    def __str__(self) -> str:
        shown = self.one if len(self.one) <= 80 else b"%b... (%d bytes)" % (self.one[:20], len(self.one))
        return f"{self.kind.name} {self.first} {self.second} {shown!r} {self.two!r} at {self.at}"


@dataclass(frozen=True, slots=True)
class Watch:
    """On what processes that run in `environment` do below `folder`."""

    folder: Path
    log: Path
    environment: dict[str, str]

    def events(self) -> list[Event]:
        """What happened so far."""
        return list(_events(self.log.read_bytes()))


def build_shim(folder: Path) -> Path:
    """Compile the shim into a folder."""
    shim = folder / "powercut.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(shim), str(Path(__file__).with_name("shim.c")), "-ldl"], check=True)
    return shim


def watch(shim: Path, folder: Path, log: Path) -> Watch:
    """Get ready to record what happens below a folder, which exists. The log is made, outside of it."""
    folder = folder.resolve()
    log.touch()
    preload = {"LD_PRELOAD": str(shim), "POWERCUT_FOLDER": str(folder), "POWERCUT_LOG": str(log.resolve())}
    return Watch(folder, log, os.environ | preload)


def _events(log: bytes) -> Iterator[Event]:
    at = 0
    while at < len(log):
        kind, one_size, two_size, _, first, second = _RECORD.unpack_from(log, at)
        one = at + _RECORD.size
        two = one + one_size
        end = two + two_size
        yield Event(at, Kind(kind), first, second, log[one:two], log[two:end])
        at = end
