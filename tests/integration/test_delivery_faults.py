"""A disk that fails, at every single system call of a batch: nothing half-done, nothing left, the next message fine.

The calls are made to fail by a shim that is preloaded in front of libc, in a process of its own.
"""

import errno
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from integration.faults.victim import (
    BATCH,
    FOREVER,
    Outcome,
    Rule,
    Victim,
    check,
    every,
    files,
    preloaded,
)

from fastsmtp._maildir import FSYNC, JOURNAL, NONE, Failure

BOTH = pytest.mark.parametrize("durability", [NONE, FSYNC], ids=["none", "fsync"])
ALL = pytest.mark.parametrize("durability", [NONE, FSYNC, JOURNAL], ids=["none", "fsync", "journal"])


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with preloaded(tmp_path_factory.mktemp("shim")) as victim:
        yield victim


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


@ALL
def test_a_close_that_fails_fails_the_message(victim: Victim, tmp_path: Path, durability: int) -> None:
    # Network filesystems report here that the disk is full. Directories are closed, too, which says nothing.
    outcomes = every(victim, tmp_path, durability, "close", errno.EDQUOT, after=True)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    assert {(failure.errno, failure.step) for failure in failures} == {(errno.EDQUOT, "close")}
    assert len(failures) == 6


@ALL
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["openat", "openat2", "mkdirat", "writev", "renameat2"])
def test_a_disk_that_fails_from_some_call_on(
    victim: Victim, tmp_path: Path, durability: int, call: str, number: int
) -> None:
    # Not the first call: what came before it must be taken back or be delivered, too.
    for nth in (1, 2, 4):
        outcome = check(victim, tmp_path / str(nth), durability, (call, number, nth, FOREVER, False))
        assert {trouble.errno for trouble in outcome.troubles} == {number}


@ALL
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


@ALL
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
        assert {failure.errno for failure in outcome.failures} == {errno.EACCES}


@ALL
def test_without_openat2_symbolic_links_are_not_followed(victim: Victim, tmp_path: Path, durability: int) -> None:
    outside = tmp_path / "outside"
    for leaf in ("tmp", "new", "alice/tmp", "alice/new"):
        (outside / leaf).mkdir(parents=True)
    for link in ("example.test", "example.test/alice", "example.test/alice/tmp", "example.test/alice/new"):
        root = tmp_path / link.replace("/", "-")
        for leaf in ("tmp", "new"):
            (root / "example.test" / "alice" / leaf).mkdir(parents=True)
        (root / link).rename(root / "moved")
        (root / link).symlink_to(outside)
        outcome = victim.commit(
            root, durability, ("openat2", errno.ENOSYS, 1, FOREVER, False), batch=[[("alice", "1")]]
        )
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


@ALL
@pytest.mark.parametrize("short", [1, 7, 4096])
def test_short_writes_are_continued(victim: Victim, tmp_path: Path, durability: int, short: int) -> None:
    assert check(victim, tmp_path / "root", durability, short=short).failures == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_may_fill_up_behind_a_short_write(victim: Victim, tmp_path: Path, number: int) -> None:
    outcome = check(victim, tmp_path / "root", NONE, ("write", number, 3, 1, False), short=1000)
    assert [failure and failure.errno for failure in outcome.results] == [number, None, None]


@ALL
def test_interrupted_calls_are_made_again(victim: Victim, tmp_path: Path, durability: int) -> None:
    for call in ("writev", "write", "fsync", "pwritev", "pwrite", "fdatasync"):
        outcome = check(victim, tmp_path / call, durability, (call, errno.EINTR, 1, 5, False), short=2000)
        assert outcome.results == [None, None, None]
        made = {NONE: ("writev", "write"), FSYNC: ("writev", "write", "fsync")}
        assert outcome.fired == (5 if call in made.get(durability, call) else 0)


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


@ALL
@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF])
def test_where_a_spool_cannot_be_copied_in_the_kernel_it_is_here(
    victim: Victim, tmp_path: Path, durability: int, number: int
) -> None:
    for nth, short in ((1, 0), (3, 1000)):
        root = tmp_path / str(nth)
        rule: Rule = ("copy_file_range", number, nth, FOREVER, False)
        outcome = check(victim, root, durability, rule, short=short, size=300_000 // nth, spooled=True)
        assert outcome.results == [None, None, None]


@ALL
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_copy_of_a_spool_that_fails_fails_the_message(
    victim: Victim, tmp_path: Path, durability: int, number: int
) -> None:
    for nth, lost in ((1, 0), (4, 1), (6, 2)):  # one call for each copy
        rule: Rule = ("copy_file_range", number, nth, 1, False)
        outcome = check(victim, tmp_path / str(nth), durability, rule, spooled=True)
        assert [failure and (failure.errno, failure.step) for failure in outcome.results] == [
            (number, "write") if message == lost else None for message in range(3)
        ]


def test_a_copy_of_a_spool_is_continued(victim: Victim, tmp_path: Path) -> None:
    interrupted: Rule = ("copy_file_range", errno.EINTR, 2, 3, False)
    outcome = check(victim, tmp_path / "root", JOURNAL, interrupted, short=900, spooled=True)
    assert outcome == Outcome([None, None, None], 3)
