"""What a start makes of the mail tree and the journal that a crash has left behind.

A crash of the machine is played: the server is killed, and the files get the state in which a disk may keep what was
never synced (cut short, empty, zeros, not there, still under the old name). The checkpoint is put back to before the
first message, so that nothing of this depends on when the last one was written.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Final

import pytest
from integration.clients.raw import RawClient
from integration.faults.victim import build_shim
from integration.letters import SIZES, Client, Letter, check_mailboxes, letters_in, name_of
from integration.server import (
    DEADLINE_S,
    ServerProcess,
    kill,
    make_site,
    serve,
    serve_command,
    wait_until,
)
from mounts import mounted

ALICE: Final = "alice@example.test"
BOB: Final = "bob@example.test"
USERS: Final = [ALICE, BOB, "carol@example.org"]
JOURNAL: Final[Mapping[str, object]] = {"maildir.durability": "journal", "maildir.journal_size": "16MiB"}
JOURNALLED: Final = [size for size in SIZES if size < SIZES[-1]]


def letters(count: int, *recipients: str) -> list[Letter]:
    """Letters of all sizes that are journalled."""
    return [Letter(f"letter-{number}", JOURNALLED[number % len(JOURNALLED)], recipients) for number in range(count)]


def deliver(server: ServerProcess, sent: Sequence[Letter]) -> None:
    client = Client(server)
    client.send(sent)
    client.close()


def checkpoints(folder: Path) -> dict[Path, bytes]:
    found = {path: path.read_bytes() for path in (folder / "journal").glob("*/checkpoint")}
    assert found
    return found


def put_back(checkpoints: dict[Path, bytes]) -> None:
    """As if none had been written since."""
    for path, content in checkpoints.items():
        path.write_bytes(content)


def crash(folder: Path, sent: Sequence[Letter]) -> Path:
    """A site whose server took these and was killed, and whose journal has all of them; returns the configuration."""
    configuration = make_site(folder, JOURNAL, USERS, "")
    with serve(configuration) as server:
        before = checkpoints(folder)
        deliver(server, sent)
        server.stop(SIGKILL)
    put_back(before)
    return configuration


def new_files(folder: Path, address: str) -> dict[str, Path]:
    """The files in new/ of a user, by letter."""
    local, _, domain = address.partition("@")
    return {name_of(path): path for path in (folder / "mail" / domain / local / "new").iterdir()}


def check_recovered(server: ServerProcess, sent: Sequence[Letter], users: Sequence[str] = USERS) -> None:
    """All is there, once, whole; nothing is in tmp/; the log tells of the recovery."""
    names = {letter.name: letter for letter in sent}
    check_mailboxes(server, users, names, dict.fromkeys(names, ""))
    assert server.unfinished() == []
    assert [line for line in server.log_lines() if str(line.get("message")).startswith("recovered ")]


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file of the mail tree, and what shows whether somebody touched it."""
    paths = [path for path in (folder / "mail").rglob("*") if not path.is_dir()]
    return {
        str(path.relative_to(folder)): (status.st_ino, status.st_size, status.st_mtime_ns)
        for path in paths
        for status in [path.stat()]
    }


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def zeros(path: Path) -> None:
    """The right length, and blocks that were never written."""
    size = path.stat().st_size
    os.truncate(path, 100)
    os.truncate(path, size)


def remove(path: Path) -> None:
    path.unlink()


def not_renamed(path: Path) -> None:
    path.rename(path.parents[1] / "tmp" / path.name)


def not_renamed_and_empty(path: Path) -> None:
    empty(path)
    not_renamed(path)


def read_by_somebody(path: Path) -> None:
    path.rename(path.parents[1] / "cur" / f"{path.name}:2,RS")


def nothing(path: Path) -> None:
    """This one was lucky."""


DAMAGES: Final[Sequence[Callable[[Path], None]]] = (
    cut,
    empty,
    zeros,
    remove,
    not_renamed,
    not_renamed_and_empty,
    read_by_somebody,
    nothing,
)


def damage_all(folder: Path, address: str) -> None:
    """Each damage meets a letter of every size."""
    files = new_files(folder, address)
    assert len(files) == len(DAMAGES) * len(JOURNALLED)
    for number in range(len(files)):
        DAMAGES[number // len(JOURNALLED)](files[f"letter-{number}"])


def test_damaged_files_are_restored_and_a_second_recovery_changes_nothing(tmp_path: Path) -> None:
    sent = letters(len(DAMAGES) * len(JOURNALLED), ALICE, BOB)
    configuration = crash(tmp_path, sent)
    before = checkpoints(tmp_path)
    damage_all(tmp_path, ALICE)
    with serve(configuration) as server:
        check_recovered(server, sent)
        server.stop(SIGKILL)
    recovered = tree(tmp_path)
    put_back(before)
    with serve(configuration) as server:
        check_recovered(server, sent)
    assert tree(tmp_path) == recovered


def recover_and_die(configuration: Path, shim: Path, death: str) -> None:
    """Start a server that is killed in the middle of its recovery, at this system call of the supervisor's."""
    environment = {**os.environ, "LD_PRELOAD": str(shim), "FAULT_KILL": death}
    process = subprocess.Popen(
        serve_command(configuration), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert process.wait(DEADLINE_S) == -SIGKILL
    finally:
        kill(process)


@pytest.mark.parametrize(
    ("death", "restored"),
    [
        ("renameat:1", 0),
        ("renameat:1:after", 1),
        ("renameat:20", 19),
        ("renameat:150:after", 150),
        ("syncfs:1", 150),
        ("syncfs:1:after", 150),
    ],
)
def test_recovery_that_is_killed_is_done_by_the_next(tmp_path: Path, death: str, restored: int) -> None:
    sent = letters(150, ALICE)
    configuration = crash(tmp_path, sent)
    before = checkpoints(tmp_path)
    files = list(new_files(tmp_path, ALICE).values())
    for path in files:
        empty(path)
    recover_and_die(configuration, build_shim(tmp_path), death)
    assert sum(path.stat().st_size > 0 for path in files) == restored
    assert checkpoints(tmp_path) == before
    with serve(configuration) as server:
        check_recovered(server, sent)


def test_mail_of_a_vanished_mailbox_goes_to_lost_and_found(tmp_path: Path) -> None:
    sent = letters(6, *USERS)
    configuration = crash(tmp_path, sent)
    shutil.rmtree(tmp_path / "mail/example.test/bob")  # a mailbox
    shutil.rmtree(tmp_path / "mail/example.org")  # a domain
    names = {letter.name: letter for letter in sent}
    with serve(configuration) as server:
        assert letters_in(server.mailbox(ALICE), names) == dict.fromkeys(names, 1)
        assert letters_in(server.mail_root / ".lost+found", names) == dict.fromkeys(names, 2)
        loud = server.troubles()
        for mailbox in ("example.test/bob", "example.org/carol"):
            assert [line for line in loud if mailbox in str(line) and "lost+found" in str(line)]
        deliver(server, [Letter("another", 200, tuple(USERS))])
        assert len(server.messages(BOB)) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('durability = "journal"', 'durability = "fsync"'),
        ('durability = "journal"', 'durability = "none"'),
        ('journal_size = "16MiB"', 'journal_size = "8MiB"'),
    ],
    ids=["fsync", "none", "another size"],
)
def test_recovery_comes_first_whatever_was_changed(tmp_path: Path, old: str, new: str) -> None:
    sent = letters(len(DAMAGES) * len(JOURNALLED), ALICE, BOB)
    configuration = crash(tmp_path, sent)
    damage_all(tmp_path, BOB)
    text = configuration.read_text()
    assert old in text
    configuration.write_text(text.replace(old, new))
    with serve(configuration) as server:
        check_recovered(server, sent)
        another = Letter("another", 200, (ALICE,))
        deliver(server, [another])
        check_recovered(server, [*sent, another])


def test_second_server_on_the_same_journal_does_not_start(tmp_path: Path) -> None:
    configuration = make_site(tmp_path, JOURNAL, USERS, "")
    with serve(configuration) as server:
        second = subprocess.run(
            serve_command(configuration), capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert second.returncode == 3
        assert str(tmp_path / "journal") in second.stderr
        assert "Traceback" not in second.stderr
        sent = letters(3, ALICE)
        deliver(server, sent)
        assert len(server.messages(ALICE)) == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The mail root of a site, with a file system of 32 MiB to itself."""
    root = tmp_path / "site" / "mail"
    root.mkdir(parents=True, mode=0o700)
    with mounted(root, "size=32m,mode=700"):
        yield root


def fill(root: Path, *, free: int) -> Path:
    """A file that leaves so many bytes of the file system."""
    filler = root / "filler"
    status = os.statvfs(root)
    with filler.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, file.tell() + status.f_bavail * status.f_frsize - free)
    return filler


def replies_to_a_message(server: ServerProcess, parameter: bytes = b"") -> list[bytes]:
    """What MAIL, RCPT, DATA and the message were answered; the first refusal is the last reply."""
    mail = b"MAIL FROM:<ann@example.org>" + parameter
    replies = []
    with RawClient(server.connect()) as client:
        client.say(b"EHLO client.example.org")
        for line in (mail, b"RCPT TO:<%s>" % BOB.encode(), b"DATA", b"Subject: x\r\n\r\nbody\r\n."):
            replies.append(client.say(line))
            if not replies[-1].startswith((b"2", b"3")):
                break
    return replies


def test_full_disk_loses_nothing_and_takes_mail_again_when_there_is_room(small_disk: Path) -> None:
    folder = small_disk.parent
    configuration = make_site(folder, {**JOURNAL, "maildir.reserve": "2MiB"}, USERS, "")
    sent = letters(9, ALICE)
    with serve(configuration) as server:
        before = checkpoints(folder)
        deliver(server, sent)
        fill(small_disk, free=1024 * 1024)
        wait_until(lambda: replies_to_a_message(server)[-1].startswith(b"452 4.3.1"), "it notices the full disk")
        announced = replies_to_a_message(server, b" SIZE=1000")
        assert announced[-1].startswith(b"452 4.3.1")
        assert not [reply for reply in announced if reply.startswith(b"354")]
        server.stop(SIGKILL)
    filler = fill(small_disk, free=0)
    for path in new_files(folder, ALICE).values():
        not_renamed(path)  # the bytes were written and the new name was not: there is no room to write them again
    put_back(before)
    with serve(configuration) as server:
        check_recovered(server, sent, [ALICE])
        assert replies_to_a_message(server)[-1].startswith(b"452 4.3.1")
        filler.unlink()
        wait_until(lambda: replies_to_a_message(server)[-1].startswith(b"250 "), "it notices the room")
        check_recovered(server, sent, [ALICE])
