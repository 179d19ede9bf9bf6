"""Runs under the shim: takes one JSON request a line, commits its batch while calls fail, answers with one JSON line.

A request is {"root", "durability", "short", "rules": [[call, errno, nth, times, after]], "batch": [[[user, name]]],
"size", "spooled", "allow", "checkpoint"}: the messages have so many bytes, which are in the file ROOT.spool or not; the
journal, which is ROOT.journal, may have laps below `allow` (null: no more than before); then comes a syncfs or not.
The answer is {"results": [null | [errno, step, path, left_behind] | [errno, step, path, [copy]]], "sync_error",
"fired", "calls", "open_before", "open_after", "position", "room", "dead"}; the last three are those of the journal.
"""

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

from fastsmtp._maildir import Delivery, Journal, commit, sync_file_system

SHIM = ctypes.CDLL(None)
SHIM.fault_trace.restype = ctypes.c_char_p

SEGMENTS = 4
SEGMENT_BYTES = 64 * 1024
LIMIT = 32 * 1024


class Ring:
    """The journal beside one root."""

    def __init__(self, root: str) -> None:
        self.root = root
        folder = Path(root + ".journal")
        folder.mkdir()
        self._descriptors = []
        for number in range(SEGMENTS):
            segment = folder / f"segment-{number}"
            segment.write_bytes(bytes(SEGMENT_BYTES))
            self._descriptors.append(os.open(segment, os.O_WRONLY))
        self.journal = Journal(self._descriptors, SEGMENT_BYTES, 0, LIMIT)

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


def open_descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")  # noqa: PTH208 - a list of numbers, no paths


def deliveries(request: dict[str, Any], spool: int) -> list[Delivery]:
    body = b"x" * request["size"]
    content = [b"Subject: faults\n\n", b""]
    rest = (content, spool, len(body)) if request["spooled"] else ([*content, body],)
    return [
        Delivery(
            [(b"example.test", user.encode(), name.encode(), f"To: {user}\n".encode()) for user, name in copies], *rest
        )
        for copies in request["batch"]
    ]


def error_of_sync(root: int) -> int | None:
    try:
        sync_file_system(root)
    except OSError as error:
        return error.errno
    return 0


def answer(request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    spool = os.open(request["root"] + ".spool", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.write(spool, b"x" * request["size"])
    batch = deliveries(request, spool)
    root = os.open(request["root"], os.O_RDONLY | os.O_DIRECTORY)
    if request["allow"] is not None:
        journal.allow(request["allow"])
    before = open_descriptors()
    SHIM.fault_reset()
    if request["short"]:
        SHIM.fault_short(ctypes.c_size_t(request["short"]))
    for call, error, nth, times, after in request["rules"]:
        SHIM.fault(call.encode(), error, nth, times, after)
    results = commit(root, batch, request["durability"], journal)
    sync_error = error_of_sync(root) if request["checkpoint"] else 0
    fired, calls = SHIM.fault_fired(), SHIM.fault_trace().decode()
    SHIM.fault_reset()
    after = open_descriptors()
    os.close(root)
    os.close(spool)
    return {
        "results": results,
        "sync_error": sync_error,
        "fired": fired,
        "calls": calls,
        "open_before": before,
        "open_after": after,
        "position": journal.position,
        "room": journal.room,
        "dead": journal.dead,
    }


def main() -> None:
    ring: Ring | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if ring is None or ring.root != request["root"]:
            if ring is not None:
                ring.close()
            ring = Ring(request["root"])
        sys.stdout.write(json.dumps(answer(request, ring.journal)) + "\n")
        sys.stdout.flush()


main()
