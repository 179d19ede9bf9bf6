"""A disk that fails, at every single system call of a batch: nothing half-done, nothing left, the next message fine.

The calls are made to fail by a shim that is preloaded in front of libc, in a process of its own.
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

import fastsmtp
from fastsmtp._maildir import FSYNC, NONE, Failure

FAULTS = Path(__file__).parent / "faults"
FOREVER = 1_000_000

# Two messages share a mailbox; one has three recipients.
BATCH = [[("alice", "1"), ("bob", "2"), ("carol", "3")], [("alice", "4")], [("dave", "5"), ("bob", "6")]]
NEXT = [[("alice", "7"), ("dave", "8")]]

Batch = list[list[tuple[str, str]]]
Rule = tuple[str, int, int, int, bool]
"""The call, its errno, from which call on, how many times, whether it does its work first."""

BOTH = pytest.mark.parametrize("durability", [NONE, FSYNC], ids=["none", "fsync"])


@dataclass(frozen=True)
class Outcome:
    """What commit returned, how many calls were made to fail, and all calls in order."""

    results: list[Failure | None]
    fired: int
    calls: str = field(default="", compare=False)

    @property
    def failures(self) -> list[Failure]:
        return [failure for failure in self.results if failure]


class Victim:
    """The process under the shim."""

    def __init__(self, shim: Path) -> None:
        path = str(Path(fastsmtp.__file__).parent.parent)
        environment = os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": path}
        self._process = subprocess.Popen(
            [sys.executable, str(FAULTS / "driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def commit(self, root: Path, durability: int, *rules: Rule, batch: Batch = BATCH, short: int = 0) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"root": str(root), "durability": durability, "short": short, "rules": rules, "batch": batch}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["open_after"] == answer["open_before"]
        results = [result and Failure(*result) for result in answer["results"]]
        return Outcome(results, answer["fired"], answer["calls"].strip())

    def end(self) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    shim = tmp_path_factory.mktemp("shim") / "shim.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(shim), str(FAULTS / "shim.c"), "-ldl"], check=True)
    process = Victim(shim)
    yield process
    process.end()


def stored(batch: Batch, results: list[Failure | None]) -> dict[str, bytes]:
    """What must lie below the root: every copy of what succeeded, nothing else."""
    return {
        f"example.test/{user}/new/{name}": f"To: {user}\nSubject: faults\n\n".encode() + b"x" * 5000
        for copies, failure in zip(batch, results, strict=True)
        if failure is None
        for user, name in copies
    }


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if not path.is_dir()}


def check(victim: Victim, root: Path, durability: int, *rules: Rule, short: int = 0) -> Outcome:
    """Commit under these rules into a new root, look at what is there, then deliver once more without a fault."""
    root.mkdir()
    outcome = victim.commit(root, durability, *rules, short=short)
    assert all(failure.left_behind == 0 for failure in outcome.failures)
    assert files(root) == stored(BATCH, outcome.results)
    following = victim.commit(root, durability, batch=NEXT)
    assert following == Outcome([None], 0)
    assert files(root) == stored(BATCH, outcome.results) | stored(NEXT, following.results)
    return outcome


def every(victim: Victim, root: Path, durability: int, call: str, error: int, *, after: bool = False) -> list[Outcome]:
    """Let the first such call fail, then, in a new root, the second, and so on until there is none left."""
    outcomes: list[Outcome] = []
    while True:
        nth = len(outcomes) + 1
        outcome = check(victim, root / str(nth), durability, (call, error, nth, 1, after))
        if not outcome.fired:
            assert outcome.results == [None, None, None]
            return outcomes
        outcomes.append(outcome)


@BOTH
@pytest.mark.parametrize(
    ("call", "number", "steps"),
    [
        ("openat", errno.EACCES, {"create", "make"}),
        ("openat", errno.ENOSPC, {"create", "make"}),
        ("openat", errno.EROFS, {"create", "make"}),
        ("openat2", errno.EACCES, {"open"}),
        ("openat2", errno.EIO, {"open"}),
        ("mkdirat", errno.ENOSPC, {"make"}),
        ("mkdirat", errno.EROFS, {"make"}),
        ("mkdirat", errno.EDQUOT, {"make"}),
        ("writev", errno.ENOSPC, {"write"}),
        ("writev", errno.EDQUOT, {"write"}),
        ("writev", errno.EIO, {"write"}),
        ("renameat2", errno.EIO, {"rename"}),
        ("renameat2", errno.ENOSPC, {"rename"}),
        ("renameat2", errno.EACCES, {"rename"}),
    ],
)
def test_one_call_that_fails_is_one_message_that_fails(
    victim: Victim, tmp_path: Path, durability: int, call: str, number: int, steps: set[str]
) -> None:
    outcomes = every(victim, tmp_path, durability, call, number)
    assert len(outcomes) >= 6
    for outcome in outcomes:
        [failure] = outcome.failures
        assert failure.errno == number
        assert failure.step in steps
    assert {failure.step for outcome in outcomes for failure in outcome.failures} == steps
    assert {outcome.results.index(outcome.failures[0]) for outcome in outcomes} == {0, 1, 2} - (
        {1} if steps <= {"make", "open"} else set()  # its mailbox is open already
    )


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_sync_that_fails_takes_back_every_message_that_it_was_for(
    victim: Victim, tmp_path: Path, number: int
) -> None:
    outcomes = every(victim, tmp_path, FSYNC, "fsync", number)
    assert {failure.errno for outcome in outcomes for failure in outcome.failures} == {number}
    assert {failure.step for outcome in outcomes for failure in outcome.failures} == {"make", "sync"}
    where = {failure.path for outcome in outcomes for failure in outcome.failures if failure.step == "sync"}
    assert {path.rpartition("/")[2] for path in where} == {"new"} | {name for copies in BATCH for _, name in copies}
    assert len(where) == 4 + 6  # directories and files
    # Two messages have a file in the directories of alice and of bob.
    assert sorted(len(outcome.failures) for outcome in outcomes)[-3:] == [1, 2, 2]


@BOTH
def test_a_close_that_fails_fails_the_message(victim: Victim, tmp_path: Path, durability: int) -> None:
    # Network filesystems report here that the disk is full. Directories are closed, too, which says nothing.
    outcomes = every(victim, tmp_path, durability, "close", errno.EDQUOT, after=True)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    assert {(failure.errno, failure.step) for failure in failures} == {(errno.EDQUOT, "close")}
    assert len(failures) == 6


@BOTH
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["openat", "openat2", "mkdirat", "writev", "renameat2"])
def test_a_disk_that_fails_from_some_call_on(
    victim: Victim, tmp_path: Path, durability: int, call: str, number: int
) -> None:
    # Not the first call: what came before it must be taken back or be delivered, too.
    for nth in (1, 2, 4):
        outcome = check(victim, tmp_path / str(nth), durability, (call, number, nth, FOREVER, False))
        assert {failure.errno for failure in outcome.failures} == {number}


@BOTH
@pytest.mark.parametrize("call", ["openat", "openat2"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_lack_of_descriptors_for_a_moment_is_outlived(
    victim: Victim, tmp_path: Path, durability: int, call: str, number: int
) -> None:
    outcomes = every(victim, tmp_path, durability, call, number)
    # At first there is nothing to let go of; later there is.
    assert outcomes[0].failures
    assert not outcomes[-1].failures
    assert {failure.errno for outcome in outcomes for failure in outcome.failures} <= {number}


@BOTH
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_without_openat2_directories_are_opened_step_by_step(
    victim: Victim, tmp_path: Path, durability: int, number: int
) -> None:
    no_openat2: Rule = ("openat2", number, 1, FOREVER, False)
    outcome = check(victim, tmp_path / "fine", durability, no_openat2)
    assert outcome == Outcome([None, None, None], 1)  # asked once in a batch
    for nth in count(1):
        outcome = check(victim, tmp_path / str(nth), durability, no_openat2, ("openat", errno.EACCES, nth, 1, False))
        if outcome.fired == 1:
            return
        assert [failure.errno for failure in outcome.failures] == [errno.EACCES]


def test_without_openat2_symbolic_links_are_not_followed(victim: Victim, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for leaf in ("tmp", "new", "alice/tmp", "alice/new"):
        (outside / leaf).mkdir(parents=True)
    for link in ("example.test", "example.test/alice", "example.test/alice/tmp", "example.test/alice/new"):
        root = tmp_path / link.replace("/", "-")
        for leaf in ("tmp", "new"):
            (root / "example.test" / "alice" / leaf).mkdir(parents=True)
        (root / link).rename(root / "moved")
        (root / link).symlink_to(outside)
        outcome = victim.commit(root, NONE, ("openat2", errno.ENOSYS, 1, FOREVER, False), batch=[[("alice", "1")]])
        [failure] = outcome.failures
        assert failure.errno in (errno.ELOOP, errno.ENOTDIR)
        assert files(outside) == {}


@BOTH
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_without_renameat2_files_are_linked(victim: Victim, tmp_path: Path, durability: int, number: int) -> None:
    no_rename: Rule = ("renameat2", number, 1, FOREVER, False)
    assert check(victim, tmp_path / "fine", durability, no_rename) == Outcome([None, None, None], 6)
    # NFS may have made the link and answer that it is there already.
    made: Rule = ("linkat", errno.EEXIST, 1, FOREVER, True)
    assert check(victim, tmp_path / "made", durability, no_rename, made).failures == []
    for nth in range(1, 7):
        for call, error in (("linkat", errno.EEXIST), ("linkat", errno.EIO), ("unlinkat", errno.EIO)):
            root = tmp_path / f"{call}{error}-{nth}"
            outcome = check(victim, root, durability, no_rename, (call, error, nth, 1, False))
            [failure] = outcome.failures
            assert (failure.errno, failure.step) == (error, "rename")


@BOTH
@pytest.mark.parametrize("short", [1, 7, 4096])
def test_short_writes_are_continued(victim: Victim, tmp_path: Path, durability: int, short: int) -> None:
    assert check(victim, tmp_path / "root", durability, short=short).failures == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_may_fill_up_behind_a_short_write(victim: Victim, tmp_path: Path, number: int) -> None:
    outcome = check(victim, tmp_path / "root", NONE, ("write", number, 3, 1, False), short=1000)
    assert [failure and failure.errno for failure in outcome.results] == [number, None, None]


@BOTH
def test_interrupted_calls_are_made_again(victim: Victim, tmp_path: Path, durability: int) -> None:
    for call in ("writev", "write", "fsync"):
        outcome = check(victim, tmp_path / call, durability, (call, errno.EINTR, 1, 5, False), short=2000)
        assert outcome.results == [None, None, None]
        assert outcome.fired == (0 if call == "fsync" and durability == NONE else 5)


def test_what_cannot_be_taken_back_is_told(victim: Victim, tmp_path: Path) -> None:
    outcome = victim.commit(
        tmp_path, NONE, ("renameat2", errno.EROFS, 3, 1, False), ("unlinkat", errno.EROFS, 1, FOREVER, False)
    )
    assert outcome.results == [Failure(errno.EROFS, "rename", "example.test/carol/new/3", 3), None, None]
    assert {path.split("/", 1)[1] for path in files(tmp_path)} == {
        "alice/new/1",
        "bob/new/2",
        "carol/tmp/3",
        "alice/new/4",
        "dave/new/5",
        "bob/new/6",
    }


def test_the_calls_for_one_message(victim: Victim, tmp_path: Path) -> None:
    # What a power cut may not lose is on the disk before what points to it: directories before the names in them,
    # bytes before the name in new/.
    make = "mkdirat fsync openat mkdirat fsync openat close mkdirat mkdirat fsync mkdirat close"
    first = victim.commit(tmp_path, FSYNC, batch=[[("alice", "1")]])
    assert first.calls == (f"openat2 {make} openat2 openat2 openat writev fsync close renameat2 fsync close close")
    following = victim.commit(tmp_path, NONE, batch=[[("alice", "2")]])
    assert following.calls == "openat2 openat2 openat writev close renameat2 close close"


def test_the_phases_of_a_batch(victim: Victim, tmp_path: Path) -> None:
    victim.commit(tmp_path, NONE, batch=[[("alice", "1")]])
    batch = [[("alice", "2")], [("alice", "3")]]
    write, publish = "openat writev", "renameat2 renameat2"
    fine = victim.commit(tmp_path, FSYNC, batch=batch)
    assert fine.calls == f"openat2 openat2 {write} {write} fsync close fsync close {publish} fsync close close"
    # A full disk: the first message makes room before the second one is written.
    batch = [[("alice", "4")], [("alice", "5")]]
    full = victim.commit(tmp_path, NONE, ("writev", errno.ENOSPC, 1, 1, False), batch=batch)
    assert full.calls == f"openat2 openat2 {write} close unlinkat {write} close renameat2 close close"
