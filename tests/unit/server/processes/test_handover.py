import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fastsmtp.config.model import Settings
from fastsmtp.errors import StartError
from fastsmtp.server.processes import handover
from fastsmtp.server.processes.handover import Handover, give, take
from fastsmtp.server.processes.interpreter import line_pair


def example(tmp_path: Path, *descriptors: int) -> Handover:
    settings = Settings.model_validate(
        {
            "hostname": "mx.example.test",
            "directory": {"url": "postgresql://mail:secret@db.example/mail", "postmaster": "admin@example.test"},
            "plugin": [{"use": "block_sender", "options": {"domains": ["spam.example"]}}],
        },
        context={"base": tmp_path},
    )
    cells, names, first, second, clients, buckets = descriptors
    return Handover(settings, 3, 1, 7, cells, names, ((first,), (second,), ()), None, clients, buckets)


@pytest.fixture
def descriptors() -> list[int]:
    return [os.memfd_create(str(number)) for number in range(6)]


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = line_pair()
    with ours, theirs:
        yield ours, theirs


def names_of(handover: Handover) -> list[str]:
    """What the kernel calls the files behind its descriptors."""
    return [str(Path(f"/proc/self/fd/{descriptor}").readlink()) for descriptor in handover.descriptors]


def test_what_is_given_is_what_is_taken(
    tmp_path: Path, descriptors: list[int], line: tuple[socket.socket, socket.socket]
) -> None:
    given = example(tmp_path, *descriptors)
    assert sorted(given.descriptors) == sorted(descriptors)
    give(given, line[0])
    taken = take(line[1])
    assert taken is not None
    assert taken.with_descriptors(given.descriptors) == given
    assert taken.settings.directory.url == given.settings.directory.url
    assert names_of(taken) == names_of(given)
    assert not any(map(os.get_inheritable, taken.descriptors))


def test_the_lock_and_more_descriptors_than_fit_into_a_message(
    tmp_path: Path, descriptors: list[int], line: tuple[socket.socket, socket.socket]
) -> None:
    more = [os.memfd_create(f"more {number}") for number in range(150)]
    lock = os.memfd_create("lock")
    listeners = (tuple(more[:100]), (), tuple(more[100:]))
    given = replace(example(tmp_path, *descriptors), lock=lock, sockets=listeners)
    give(given, line[0])
    taken = take(line[1])
    assert taken is not None
    assert [len(listener) for listener in taken.sockets] == [100, 0, 50]
    assert names_of(taken) == names_of(given)
    for descriptor in [*given.descriptors, *taken.descriptors]:
        os.close(descriptor)


def test_nobody_gives_anything(line: tuple[socket.socket, socket.socket]) -> None:
    line[0].close()
    assert take(line[1]) is None


def test_another_process_takes_it(
    tmp_path: Path, descriptors: list[int], line: tuple[socket.socket, socket.socket]
) -> None:
    give(example(tmp_path, *descriptors), line[0])
    script = (
        "import socket, sys\nfrom fastsmtp.server.processes.handover import take\n"
        "given = take(socket.socket(fileno=int(sys.argv[1])))\n"
        "print(given.slot, given.seat, given.settings.maildir.root)"
    )
    theirs = line[1].fileno()
    command = [sys.executable, "-c", script, str(theirs)]
    done = subprocess.run(command, pass_fds=[theirs], capture_output=True, text=True, check=True)
    assert done.stdout == f"1 7 {tmp_path}/mail\n"


def test_another_version_is_told(
    tmp_path: Path,
    descriptors: list[int],
    line: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give(example(tmp_path, *descriptors), line[0])
    monkeypatch.setattr(handover, "__version__", "99.0")
    with pytest.raises(StartError, match=r"^fastsmtp .* runs and 99\.0 is installed: restart it, do not reload$"):
        take(line[1])
