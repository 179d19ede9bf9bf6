"""A process that waits for the work of a worker."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastsmtp.server.processes import interpreter
from fastsmtp.server.processes.interpreter import Interpreter, started_ahead


def environment_of(process: subprocess.Popen[bytes]) -> dict[str, str]:
    # In the midst of its exec a process has none: the kernel tells our end of it a moment before it is done.
    deadline = time.monotonic() + 20
    while not (raw := Path(f"/proc/{process.pid}/environ").read_bytes()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return dict(os.fsdecode(entry).split("=", 1) for entry in raw.rstrip(b"\0").split(b"\0"))


def test_it_ends_when_nobody_needs_it() -> None:
    started = Interpreter.start()
    started.line.close()
    assert started.process.wait(20) == 1


def test_it_can_be_ended_at_once() -> None:
    started = Interpreter.start()
    started.end()
    assert started.process.returncode is not None
    assert started.line.fileno() == -1


def test_what_systemd_says_is_for_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OF_THE_OPERATOR", "2")
    started = Interpreter.start()
    try:
        given = environment_of(started.process)
    finally:
        started.end()
    assert given["OF_THE_OPERATOR"] == "2"
    assert not [name for name in given if name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))]


def test_one_that_nobody_took_is_ended() -> None:
    with started_ahead({}) as ahead:
        (left,) = ahead
    assert left.process.returncode is not None


def test_one_that_was_taken_goes_on() -> None:
    with started_ahead({"process": {"user": ""}}) as ahead:
        taken = ahead.pop()
    try:
        assert taken.process.poll() is None
    finally:
        taken.end()


def test_who_becomes_another_user_has_none_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"process": {"user": "mail"}}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with started_ahead(document) as ahead:
        assert ahead == []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with started_ahead(document) as ahead:
        assert len(ahead) == 1


def test_where_none_can_be_started_the_supervisor_will_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with started_ahead({}) as ahead:
        assert ahead == []


@pytest.mark.parametrize("module", ["asyncio", "pydantic", "fastsmtp.config", "fastsmtp.smtp", "ssl"])
def test_it_imports_nothing_that_takes_long(module: str) -> None:
    script = f"import sys, {interpreter.__name__}\nprint({module!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_two_ends_of_a_line_belong_together() -> None:
    ours, theirs = interpreter.line_pair()
    with ours, theirs:
        ours.send(b"whole")
        ours.send(b"messages")
        assert (theirs.recv(100), theirs.recv(100)) == (b"whole", b"messages")
        assert ours.family == socket.AF_UNIX
