"""From settings to a server that runs, in a process of its own: who it is, what it leaves behind, what signals mean."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from workers import settings

DEADLINE_S: Final = 60.0

SCRIPT = """
import json, pickle, sys
from pathlib import Path
from fastsmtp.server.processes.run import run
folder = Path(sys.argv[1])
settings = pickle.loads((folder / "settings").read_bytes())
load = lambda: pickle.loads((folder / "settings").read_bytes())
def announce(server, settings):
    (folder / "ready").write_text(json.dumps(server.as_log()))
sys.exit(run(settings, load, announce=announce))
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def write(folder: Path, **tables: Any) -> None:
    import pickle

    listen = {"smtp": ["127.0.0.1:0"], "workers": 1}
    given = settings(folder, **{"listen": listen, "metrics": {"listen": False}, **tables})
    (folder / "settings").write_bytes(pickle.dumps(given))


@contextmanager
def running(folder: Path, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], **more)
    try:
        until(lambda: (folder / "ready").exists() or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait()


def messages(folder: Path) -> list[str]:
    """Of the lines that are whole: while somebody writes, the last one may not be."""
    lines = [line for line in (folder / "log").read_text().splitlines(keepends=True) if line[-1] == "\n"]
    return [json.loads(line).get("message", "") for line in lines]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    write(tmp_path, process={"pid_file": str(tmp_path / "pid")})
    with running(tmp_path) as process:
        assert (tmp_path / "pid").read_text() == f"{process.pid}\n"
        process.send_signal(number)
        assert process.wait(DEADLINE_S) == 0
    assert not (tmp_path / "pid").exists()
    said = messages(tmp_path)
    assert (said[0], said[-1]) == ("started", "stopped")
    assert any("runs as root" in message for message in said) == (os.geteuid() == 0)


def test_a_reload_and_another_log(tmp_path: Path) -> None:
    write(tmp_path)
    with running(tmp_path) as process:
        write(tmp_path, log={"destination": str(tmp_path / "other")})
        process.send_signal(signal.SIGHUP)
        until(lambda: "reloaded" in messages(tmp_path))
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert "stopped" not in messages(tmp_path)
    assert "stopped" in (tmp_path / "other").read_text()


def test_the_log_is_opened_anew(tmp_path: Path) -> None:
    write(tmp_path)
    with running(tmp_path) as process:
        (tmp_path / "log").rename(tmp_path / "log.1")
        process.send_signal(signal.SIGUSR1)
        until((tmp_path / "log").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert "stopped" in messages(tmp_path)


def test_a_terminal_that_is_closed_ends_it(tmp_path: Path) -> None:
    """Whoever tries it out in a window and closes that does not want to be served for ever."""
    write(tmp_path)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", SCRIPT, str(tmp_path)])  # noqa: S606 - ourselves
    until((tmp_path / "ready").exists)
    os.kill(pid, signal.SIGHUP)
    until(lambda: "reloaded" in messages(tmp_path))
    os.close(terminal)
    ended: list[int] = []

    def has_ended() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        ended.extend([os.waitstatus_to_exitcode(status)] if found else [])
        return bool(ended)

    until(has_ended)
    assert ended == [0]
    assert messages(tmp_path)[-1] == "stopped"
