"""The first moments of a worker process."""

import json
import os
import subprocess
import sys
from pathlib import Path

from workers import settings

from fastsmtp.server.clients import ClientMemory
from fastsmtp.server.processes.block import BlockReader
from fastsmtp.server.processes.handover import Handover, give
from fastsmtp.server.processes.interpreter import line_pair
from fastsmtp.state.host import BucketMemory


def run(folder: Path, parent: int, **tables: object) -> tuple[int, bytes]:
    """The exit code, and what was said on the line."""
    ours, theirs = line_pair()
    block, clients, buckets = BlockReader("test"), ClientMemory(1, 1), BucketMemory(1024)
    shared = (clients.descriptor, buckets.descriptor)
    handover = Handover(settings(folder, **tables), 1, 0, 0, *block.descriptors, (), None, *shared)
    give(handover, ours)
    command = [sys.executable, "-m", "fastsmtp.server.processes.worker", str(theirs.fileno()), str(parent)]
    with ours, theirs:
        done = subprocess.run(command, pass_fds=[theirs.fileno()], check=False, timeout=20)
        ours.setblocking(False)
        block.close()
        clients.close()
        buckets.close()
        try:
            return done.returncode, ours.recv(100_000)
        except BlockingIOError:
            return done.returncode, b""


def test_it_serves_nobody_but_its_parent(tmp_path: Path) -> None:
    assert run(tmp_path, parent=os.getppid()) == (1, b"")


def test_a_fault_of_the_configuration_is_told(tmp_path: Path) -> None:
    code, said = run(tmp_path, os.getpid(), plugin=[{"use": "nothing"}])
    message = json.loads(said)
    assert code == 1
    assert (message["event"], message["is_configuration"]) == ("failed", True)
    assert "no plugin is called 'nothing'" in message["problems"][0]


def test_a_fault_of_the_machine_is_told(tmp_path: Path) -> None:
    code, said = run(tmp_path, os.getpid(), log={"destination": str(tmp_path / "nowhere" / "log")})
    message = json.loads(said)
    assert code == 3
    assert (message["event"], message["is_configuration"]) == ("failed", False)
    assert message["problems"] == [f"cannot write the log {tmp_path}/nowhere/log: No such file or directory"]


def test_nobody_needs_it_after_all(tmp_path: Path) -> None:
    ours, theirs = line_pair()
    ours.close()
    command = [sys.executable, "-m", "fastsmtp.server.processes.worker", str(theirs.fileno()), str(os.getpid())]
    with theirs:
        done = subprocess.run(
            command, pass_fds=[theirs.fileno()], check=False, timeout=20, capture_output=True, text=True, cwd=tmp_path
        )
    assert (done.returncode, done.stderr) == (1, "")
