"""Runs under the shim: takes one JSON request a line, commits its batch while calls fail, answers with one JSON line.

A request is {"root", "durability", "short", "rules": [[call, errno, nth, times, after]], "batch": [[[user, name]]]},
the answer {"results": [null | [errno, step, path, left_behind]], "fired", "calls", "open_before", "open_after"}.
"""

import ctypes
import json
import os
import sys
from typing import Any

from fastsmtp._maildir import Delivery, commit

SHIM = ctypes.CDLL(None)
SHIM.fault_trace.restype = ctypes.c_char_p


def open_descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")  # noqa: PTH208 - a list of numbers, no paths


def answer(request: dict[str, Any]) -> dict[str, Any]:
    batch = [
        Delivery(
            [(b"example.test", user.encode(), name.encode(), f"To: {user}\n".encode()) for user, name in copies],
            [b"Subject: faults\n\n", b"", b"x" * 5000],
        )
        for copies in request["batch"]
    ]
    root = os.open(request["root"], os.O_RDONLY | os.O_DIRECTORY)
    before = open_descriptors()
    SHIM.fault_reset()
    if request["short"]:
        SHIM.fault_short(ctypes.c_size_t(request["short"]))
    for call, error, nth, times, after in request["rules"]:
        SHIM.fault(call.encode(), error, nth, times, after)
    results = commit(root, batch, request["durability"])
    fired, calls = SHIM.fault_fired(), SHIM.fault_trace().decode()
    SHIM.fault_reset()
    after = open_descriptors()
    os.close(root)
    return {"results": results, "fired": fired, "calls": calls, "open_before": before, "open_after": after}


for line in sys.stdin:
    sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
    sys.stdout.flush()
