"""Proof by power cut: 250 means on disk.

A real server takes mail from several clients at once while every change that it makes below one folder is recorded.
The recording is cut at many moments; at each, many of the states are made that a disk may legally be in after a power
cut (`powercut/disk.py` says what is legal, and what is not covered). Each is recovered as the server does at its start.
Then every message whose 250 had gone to its client must lie whole in the mailbox of each of its recipients, and nothing
in any new/ may be torn.

POWERCUT_STATES in the environment is how many states are looked at for each durability, POWERCUT_SEED chooses others.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest
from integration.clients import trace
from integration.clients.raw import RawClient
from integration.clients.senders import Mail
from integration.powercut.cuts import Cuts
from integration.powercut.disk import Disk
from integration.powercut.proof import Proof, prove
from integration.powercut.recording import Event, Kind, build_shim, watch
from integration.server import ServerProcess, make_site, serve

from fastsmtp.delivery.recovery import recover
from fastsmtp.delivery.restorer import LOST_AND_FOUND
from fastsmtp.errors import StartError

STATES: Final = int(os.environ.get("POWERCUT_STATES", "240"))
SEED: Final = int(os.environ.get("POWERCUT_SEED", "1"))

USERS: Final = [f"{name}@{domain}" for domain in ("example.test", "example.net") for name in ("ann", "bob", "cy", "di")]
CLIENTS: Final = 4
MESSAGES: Final = 64

_ID = re.compile(rb"250 2\.0\.0 stored as ([0-9A-Z]+)\r\n")


Copy = tuple[str, str]
"""The id of a message, and one of its recipients."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a server did: the mail that clients were told of, the disk before, what happened to it, and the files."""

    folder: Path
    mail: Mapping[str, Mail]
    disk: Disk
    events: list[Event]
    files: Mapping[bytes, Copy]

    def acknowledged(self, events: Sequence[Event]) -> set[Copy]:
        """What clients had heard of."""
        said = (event.one for event in events if event.kind is Kind.ACKNOWLEDGE)
        ids = [found.decode() for output in said for found in _ID.findall(output)]
        return {(number, box) for number in ids for box in self.mail[number].recipients}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Where states are made: in memory where there is enough of it, since each of them is synced."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder below has a name of its own
    fits = os.access(memory, os.W_OK) and os.statvfs(memory).f_bavail * os.statvfs(memory).f_frsize > 1 << 28
    with tempfile.TemporaryDirectory(dir=memory if fits else tmp_path) as folder:
        yield Path(folder)


def messages(random: Random) -> Iterator[Mail]:
    """Small ones and large ones, to one or several; the first ones are the first that a mailbox gets."""
    for number in range(MESSAGES):
        size = random.choice((200, 2_000, 4_000, 10_000, 30_000, 60_000, 200_000))
        line = b"%04d %s\r\n" % (number, random.randbytes(30).hex().encode())
        content = b"Subject: %d\r\n\r\n" % number + line * (size // len(line) + 1)
        yield Mail(content, tuple(random.sample(USERS, random.choice((1, 1, 2, 3)))))


def send(server: ServerProcess, mails: Sequence[Mail]) -> dict[str, Mail]:
    """One client sends these one after the other; by id."""
    with RawClient(server.connect()) as client:
        client.say(b"EHLO client.example.org")
        return {
            client.deliver(mail.content, [b"<%b>" % box.encode() for box in mail.recipients]): mail for mail in mails
        }


def run(shim: Path, folder: Path, durability: str, more: Mapping[str, object] | None = None) -> Run:
    """Run a server under the shim; its mail and its journal are below `disk`, its configuration and output are not."""
    disk = folder / "disk"
    disk.mkdir()
    settings = {"maildir.root": "disk/mail", "maildir.journal": "disk/journal", "maildir.durability": durability}
    configuration = make_site(folder, {**settings, **(more or {})}, USERS, "")
    watched = watch(shim, disk, folder / "log")
    before = Disk(watched.folder)
    mails = list(messages(Random(SEED)))  # noqa: S311 - wants a seed
    sent: dict[str, Mail] = {}
    with serve(configuration, watched.environment) as server, ThreadPoolExecutor(CLIENTS) as clients:
        for by_id in clients.map(lambda first: send(server, mails[first::CLIENTS]), range(CLIENTS)):
            sent |= by_id
    finished = Run(watched.folder, sent, before, watched.events(), files(disk / "mail", sent))
    assert len(sent) == MESSAGES
    assert finished.acknowledged(finished.events) == set(finished.files.values())
    return finished


def files(root: Path, sent: Mapping[str, Mail]) -> dict[bytes, Copy]:
    """Every file in a new/ below the root, and whose it is, when all of them are as they should be."""
    found: dict[bytes, Copy] = {}
    for file in root.glob("*/*/new/*"):
        stored = file.read_bytes()
        split = trace.split(stored)
        assert split.content == sent[split.id].content.replace(b"\r\n", b"\n")
        assert file.parent.parent == mailbox(root, split.delivered_to)
        found[stored] = (split.id, split.delivered_to)
    assert sorted(found.values()) == sorted((number, box) for number, mail in sent.items() for box in mail.recipients)
    return found


def mailbox(root: Path, address: str) -> Path:
    user, domain = address.split("@")
    return root / domain / user


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything below a folder, so that one sees what was touched."""
    statuses = ((path, path.stat()) for path in folder.rglob("*"))
    return {str(path): (status.st_ino, status.st_size, status.st_mtime_ns) for path, status in statuses}


def mailbox_faults(root: Path, run: Run, acknowledged: Collection[Copy]) -> Iterator[str]:
    """Everything that is wrong with the mailboxes below a root, when these copies were acknowledged."""
    found = Counter[Copy]()
    for file in [*root.glob("*/*/new/*"), *root.glob(f"{os.fsdecode(LOST_AND_FOUND)}/new/*")]:
        stored = file.read_bytes()
        copy = run.files.get(stored)
        if copy is None:
            yield f"torn: {file.relative_to(root)}, {len(stored)} bytes"
            continue
        found[copy] += 1
        place = mailbox(root, copy[1])
        if file.parent.parent != place and place.exists():
            yield f"not in {place.relative_to(root)}: {file.relative_to(root)}"
    yield from (f"lost: {number} for {box}" for number, box in acknowledged if not found[number, box])
    yield from (f"{times} times: {number} for {box}" for (number, box), times in found.items() if times > 1)


def judge(run: Run, disk: Path, before: Sequence[Event]) -> list[str]:
    """Recover what a power cut has left, as the server does at its start; what is wrong then."""
    root = disk / "mail"
    try:
        recover(disk / "journal", root, 1, lambda *_: None)
        recovered = listing(root)
        recover(disk / "journal", root, 1, lambda *_: None)
    except StartError as error:
        return [f"not recovered: {error}"]
    faults = list(mailbox_faults(root, run, run.acknowledged(before)))
    if listing(root) != recovered:
        faults.append("recovered once more, it is not the same")
    return faults


def proof_of(run: Run, scratch: Path, states: int, *, faults: int = 5) -> Proof:
    return prove(deepcopy(run.disk), run.events, partial(judge, run), scratch, states=states, seed=SEED, faults=faults)


def test_fsync(shim: Path, tmp_path: Path, scratch: Path) -> None:
    proof = proof_of(run(shim, tmp_path, "fsync"), scratch, STATES // 2)
    assert not proof.faults, "\n\n".join(proof.faults)
    assert proof.states > STATES // 6


def test_none(shim: Path, tmp_path: Path, scratch: Path) -> None:
    """Without a sync there are legal states in which mail is lost or torn: the proof can fail."""
    # Of so many faults some are of either kind, however the first ones fall.
    faults = "\n".join(proof_of(run(shim, tmp_path, "none"), scratch, 240, faults=100).faults)
    assert "\nlost: " in faults
    assert "\ntorn: " in faults


@pytest.fixture(scope="module")
def journalled(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in which the ring goes round, and some messages are too large for the journal."""
    journal = {"maildir.journal_size": "512KiB", "maildir.journal_limit": "64KiB"}
    finished = run(shim, tmp_path_factory.mktemp("site"), "journal", journal)
    segments = {path.stat().st_ino for path in finished.folder.glob("journal/0/segment-*")}
    records = [event.one for event in finished.events if event.kind is Kind.WRITE and event.first in segments]
    laps = {record[16:24] for record in records if record.startswith(b"FSJ1")}
    assert len(laps) > len(segments) + 1
    return finished


def test_journal(journalled: Run, scratch: Path) -> None:
    proof = proof_of(journalled, scratch, STATES)
    assert not proof.faults, "\n\n".join(proof.faults)
    assert proof.states > STATES // 3


RECOVER = """
import sys
from pathlib import Path
from fastsmtp.delivery.recovery import recover
disk = Path(sys.argv[1])
recover(disk / "journal", disk / "mail", 1, lambda *_: None)
"""


def test_recovery(journalled: Run, shim: Path, tmp_path: Path, scratch: Path) -> None:
    """The power fails again while the server recovers from a power cut: once more it must come out right."""
    disk, events = deepcopy(journalled.disk), journalled.events
    middle = next(number for number, event in enumerate(events) if len(journalled.acknowledged(events[:number])) > 80)
    for event in events[:middle]:
        disk.apply(event)
    cuts = Cuts(disk, Random(SEED)).some(1)  # noqa: S311 - wants a seed
    chosen = [cut for cut in cuts if cut.story in {"nothing", "all names, sizes without bytes", "any names"}]
    states = 0
    for number, cut in enumerate(chosen):
        left = tmp_path / str(number)
        disk.state([change.number for change in cut.names], cut.fates).write(left)
        before = Disk(left)
        watched = watch(shim, left, tmp_path / f"{number}.log")
        subprocess.run([sys.executable, "-c", RECOVER, str(left)], env=watched.environment, check=True)
        proof = prove(
            before,
            watched.events(),
            lambda folder, _: judge(journalled, folder, events[:middle]),
            scratch,
            states=STATES // 4,
            seed=SEED,
        )
        assert not proof.faults, f"first {cut.story}; then {proof.faults[0]}"
        states += proof.states
    assert states >= 3 * len(chosen)  # how much there is to do depends on when the last checkpoint was
