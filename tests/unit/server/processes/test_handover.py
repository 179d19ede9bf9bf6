import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastsmtp.config.model import Settings
from fastsmtp.errors import StartError
from fastsmtp.server.processes import handover
from fastsmtp.server.processes.handover import Handover, give, take


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


def test_what_is_given_is_what_is_taken(tmp_path: Path, descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    given = example(tmp_path, *descriptors)
    assert sorted(given.descriptors) == sorted(descriptors)
    taken = take(give(given))
    assert taken == given
    assert taken.settings.directory.url == given.settings.directory.url
    assert not any(map(os.get_inheritable, descriptors))


def test_another_process_takes_it(tmp_path: Path, descriptors: list[int]) -> None:
    given = example(tmp_path, *descriptors)
    fd = give(given)
    script = (
        "import sys\nfrom fastsmtp.server.processes.handover import take\ngiven = take(int(sys.argv[1]))\n"
        "print(given.slot, given.seat, given.settings.maildir.root)"
    )
    command = [sys.executable, "-c", script, str(fd)]
    done = subprocess.run(command, pass_fds=[fd, *given.descriptors], capture_output=True, text=True, check=True)
    assert done.stdout == f"1 7 {tmp_path}/mail\n"


def test_another_version_is_told(tmp_path: Path, descriptors: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    fd = give(example(tmp_path, *descriptors))
    monkeypatch.setattr(handover, "__version__", "99.0")
    with pytest.raises(StartError, match=r"^fastsmtp .* runs and 99\.0 is installed: restart it, do not reload$"):
        take(fd)
