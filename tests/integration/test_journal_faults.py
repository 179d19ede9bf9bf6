"""A disk that fails under the journal: until it has a batch nothing is half-done, from then on everything is ours.

The calls are made to fail by a shim that is preloaded in front of libc, in a process of its own.
"""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.faults.victim import (
    BATCH,
    FOREVER,
    LARGE,
    NEXT,
    Batch,
    Outcome,
    Rule,
    Victim,
    check,
    every,
    files,
    preloaded,
    stored,
)

from fastsmtp._maildir import JOURNAL, Failure, Owed


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with preloaded(tmp_path_factory.mktemp("shim")) as victim:
        yield victim


@pytest.mark.parametrize(
    ("call", "number", "steps"),
    [
        ("openat", errno.ENOSPC, {"create", "make"}),
        ("openat", errno.EMFILE, {"create", "make"}),
        ("openat2", errno.EIO, {"open"}),
        ("mkdirat", errno.EDQUOT, {"make"}),
        ("fsync", errno.EIO, {"make"}),
        ("writev", errno.ENOSPC, {"write"}),
        ("writev", errno.EDQUOT, {"write"}),
        ("writev", errno.EIO, {"write"}),
        ("pwritev", errno.ENOSPC, {"append"}),
        ("pwritev", errno.EIO, {"append"}),
        ("fdatasync", errno.EIO, {"sync"}),
        ("fdatasync", errno.ENOSPC, {"sync"}),
    ],
)
def test_one_call_that_fails_before_the_journal_has_the_batch(
    victim: Victim, tmp_path: Path, call: str, number: int, steps: set[str]
) -> None:
    outcomes = every(victim, tmp_path, JOURNAL, call, number)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    assert {failure.errno for failure in failures} == {number}
    assert {failure.step for failure in failures} <= steps
    assert not any(outcome.owed for outcome in outcomes)
    if number != errno.EMFILE:  # which mostly is outlived
        assert {failure.step for failure in failures} == steps
        assert all(outcome.failures for outcome in outcomes)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_rename_that_fails_is_owed_by_a_journal(victim: Victim, tmp_path: Path, number: int) -> None:
    outcomes = every(victim, tmp_path, JOURNAL, "renameat2", number)
    owed = [(outcome.results.index(one), one.path, one.copies) for outcome in outcomes for one in outcome.owed]
    assert owed == [
        (0, "example.test/alice/new/1", (0,)),
        (0, "example.test/bob/new/2", (1,)),
        (0, "example.test/carol/new/3", (2,)),
        (1, "example.test/alice/new/4", (0,)),
        (2, "example.test/dave/new/5", (0,)),
        (2, "example.test/bob/new/6", (1,)),
    ]
    assert {(one.errno, one.step) for outcome in outcomes for one in outcome.owed} == {(number, "rename")}
    assert not any(outcome.failures for outcome in outcomes)
    outcome = check(victim, tmp_path / "all", JOURNAL, ("renameat2", number, 2, FOREVER, False))
    assert [one.copies for one in outcome.owed] == [(1, 2), (0,), (0, 1)]


def test_a_link_that_fails_is_owed_by_a_journal(victim: Victim, tmp_path: Path) -> None:
    no_rename: Rule = ("renameat2", errno.EINVAL, 1, FOREVER, False)
    outcome = check(victim, tmp_path / "link", JOURNAL, no_rename, ("linkat", errno.EIO, 2, 1, False))
    assert outcome.results == [Owed(errno.EIO, "rename", "example.test/bob/new/2", (1,)), None, None]
    # Both names are there: nothing is owed, but it is told.
    (tmp_path / "unlink").mkdir()
    outcome = victim.commit(tmp_path / "unlink", JOURNAL, no_rename, ("unlinkat", errno.EIO, 2, 1, False))
    assert outcome.results == [Owed(errno.EIO, "rename", "example.test/bob/new/2", ()), None, None]
    everything = stored(BATCH, outcome.results)
    left = {"example.test/bob/tmp/2": everything["example.test/bob/new/2"]}
    assert files(tmp_path / "unlink") == everything | left


def segments(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(f"{root}.journal").iterdir())]


@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
def test_a_segment_that_failed_is_never_touched_again(victim: Victim, tmp_path: Path, call: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    broken = victim.commit(root, JOURNAL, (call, errno.EIO, 1, 1, False))
    step = "append" if call == "pwritev" else "sync"
    assert broken.results == [Failure(errno.EIO, step, "segment-0", 0)] * 3
    assert broken.dead == 1
    dead, *_ = segments(root)
    laps = [broken.position[0]]
    for number in range(16):
        batch = [[("alice", str(number))]]
        following = victim.commit(root, JOURNAL, batch=batch, size=30_000, allow=laps[-1] + 4)
        assert following.results == [None]
        assert following.calls.endswith("pwritev fdatasync renameat2 close close")
        laps.append(following.position[0])
    # Two to a segment; 4 and 8 would be the first one's.
    assert laps == [0, *(lap for lap in (1, 2, 3, 5, 6, 7, 9, 10) for _ in range(2))]
    assert segments(root)[0] == dead


def test_when_no_segment_is_left_only_large_messages_are_stored(victim: Victim, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number, error in enumerate([errno.EIO, errno.EIO, errno.EIO, errno.ENOSPC]):
        broken = victim.commit(root, JOURNAL, ("fdatasync", error, 1, 1, False), allow=number + 1)
        assert broken.results == [Failure(error, "sync", f"segment-{number}", 0)] * 3
    assert (broken.dead, broken.room) == (4, 0)
    for _ in range(2):
        hopeless = victim.commit(root, JOURNAL, allow=7)
        assert hopeless.results == [Failure(errno.ENOSPC, "append", "segment-3", 0)] * 3
        assert not {"pwritev", "fdatasync"} & set(hopeless.calls.split())
    assert files(root) == {}
    assert victim.commit(root, JOURNAL, size=LARGE) == Outcome([None, None, None], 0)
    assert files(root) == stored(BATCH, [None, None, None], LARGE)


@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
@pytest.mark.parametrize(("nth", "lost"), [(1, {0, 1}), (2, {2})])
def test_of_a_batch_across_two_segments_one_may_fail(
    victim: Victim, tmp_path: Path, call: str, nth: int, lost: set[int]
) -> None:
    assert victim.commit(tmp_path, JOURNAL, batch=NEXT).results == [None]
    outcome = victim.commit(tmp_path, JOURNAL, (call, errno.EIO, nth, 1, False), size=20_000)
    assert {number for number, result in enumerate(outcome.results) if result} == lost
    assert {failure.path for failure in outcome.failures} == {f"segment-{nth - 1}"}
    assert files(tmp_path) == stored(NEXT, [None]) | stored(BATCH, outcome.results, 20_000)
    # Both are synced before anything is published.
    assert outcome.calls.index("renameat2") > outcome.calls.rindex("fdatasync")
    assert outcome.position[0] == 1
    assert outcome.dead == 1


def test_a_journal_without_room_takes_nothing(victim: Victim, tmp_path: Path) -> None:
    for number in range(8):  # two of these to a segment
        outcome = victim.commit(tmp_path, JOURNAL, batch=[[("bob", str(number))]], size=30_000)
        assert outcome.results == [None]
    outcome = victim.commit(tmp_path, JOURNAL, batch=NEXT, size=30_000)
    assert outcome.results == [Failure(errno.ENOSPC, "append", "segment-3", 0)]
    assert (outcome.dead, outcome.position[0]) == (0, 3)
    assert victim.commit(tmp_path, JOURNAL, batch=NEXT, size=30_000, allow=5).results == [None]


@pytest.mark.parametrize("short", [1, 7, 4096])
def test_short_writes_make_the_same_journal(victim: Victim, tmp_path: Path, short: int) -> None:
    for root, most in ((tmp_path / "whole", 0), (tmp_path / "short", short)):
        check(victim, root, JOURNAL, short=most)
    assert segments(tmp_path / "short") == segments(tmp_path / "whole")


def test_the_order_of_calls_with_a_journal(victim: Victim, tmp_path: Path) -> None:
    # A mailbox is found by its tmp/, so that comes when the directories around it are on the disk.
    first = victim.commit(tmp_path, JOURNAL, batch=[[("alice", "1")]])
    make = "mkdirat openat mkdirat openat close mkdirat mkdirat close"
    complete = "openat openat close fsync close openat fsync close fsync openat openat close mkdirat close"
    write, journal = "openat writev close", "pwritev fdatasync"
    reach = "openat2 openat2"
    assert first.calls == f"openat2 {make} {complete} {reach} {write} {journal} renameat2 close close"
    following = victim.commit(tmp_path, JOURNAL, batch=[[("alice", "2")]])
    assert following.calls == f"{reach} {write} {journal} renameat2 close close"
    batch = [[("alice", "3")], [("alice", "4")]]
    two = victim.commit(tmp_path, JOURNAL, batch=batch)
    assert two.calls == f"{reach} {write} {write} {journal} renameat2 renameat2 close close"
    large = victim.commit(tmp_path, JOURNAL, batch=[[("alice", "5")]], size=LARGE)
    assert large.calls == f"{reach} openat writev fsync close renameat2 fsync close close"
    spooled = victim.commit(tmp_path, JOURNAL, batch=[[("alice", "6")]], spooled=True)
    assert spooled.calls == f"{reach} openat writev copy_file_range fsync close renameat2 fsync close close"


def test_directories_of_one_batch_are_synced_together(victim: Victim, tmp_path: Path) -> None:
    outcome = victim.commit(tmp_path, JOURNAL)
    assert outcome.calls.split().count("fsync") == 4 + 1 + 1  # of the users, the domain and the root
    assert outcome.calls.rindex("fsync") < outcome.calls.index("writev")


def test_a_file_system_that_cannot_be_synced_is_told(victim: Victim, tmp_path: Path) -> None:
    outcome = victim.commit(tmp_path, JOURNAL, ("syncfs", errno.EIO, 1, 1, False), checkpoint=True)
    assert (outcome.results, outcome.sync_error) == ([None, None, None], errno.EIO)
    assert victim.commit(tmp_path, JOURNAL, batch=NEXT, checkpoint=True).sync_error == 0


def test_a_mailbox_on_another_mount_is_synced(tmp_path: Path) -> None:
    # A checkpoint syncs only the file system of the root.
    mount = ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"']
    bob = tmp_path / "root" / "example.test" / "bob"
    bob.mkdir(parents=True)
    if subprocess.run([*mount, str(bob), "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    root = tmp_path / "root"
    no_openat2: Rule = ("openat2", errno.ENOSYS, 1, FOREVER, False)
    with preloaded(tmp_path, *mount, str(bob)) as victim:
        batches: list[Batch] = [[[("alice", "0"), ("bob", "0")]]]
        assert victim.commit(root, JOURNAL, batch=batches[0]).position == (0, 0)
        for name, rules in (("1", []), ("2", [no_openat2])):
            batches.append([[("alice", name), ("bob", name)], [("alice", f"{name}-local")]])
            both = victim.commit(root, JOURNAL, *rules, batch=batches[-1])
            assert both.results == [None, None]
            assert [both.calls.split().count(call) for call in ("fsync", "pwritev", "fdatasync")] == [4, 1, 1]
            batches.append([[("bob", f"{name}-foreign")]])
            foreign = victim.commit(root, JOURNAL, *rules, batch=batches[-1])
            assert foreign.results == [None]
            assert [foreign.calls.split().count(call) for call in ("fsync", "pwritev", "fdatasync")] == [2, 0, 0]
            assert foreign.position == both.position
        seen_there = Path(f"/proc/{victim.pid}/root{root}")
        for batch in batches:
            assert stored(batch, [None] * len(batch)).items() <= files(seen_there).items()
