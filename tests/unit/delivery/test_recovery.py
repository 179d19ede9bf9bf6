"""Recovery against a real mail tree: whatever a crash has left, the same tree comes out, and again."""

import logging
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest
from segments import BLOCK, Segment, slot, write_ring

from fastsmtp._maildir import JOURNAL, Delivery, commit
from fastsmtp.delivery import recovery
from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.journal import Ring
from fastsmtp.delivery.records import Copy, Position
from fastsmtp.delivery.recovery import Recovered, recover, recover_rings
from fastsmtp.errors import StartError

SEGMENT_BYTES = 64 * BLOCK
USERS = ("a/x", "a/y", "b/x")

Tree = dict[str, bytes]
Message = tuple[list[Copy], bytes]

_numbers = count()


def message(*users: str, size: int = 500) -> Message:
    copies = []
    for mailbox in users:
        domain, _, user = mailbox.encode().partition(b"/")
        name = b"1700000000.M1P1Q%dR1.host,S=%d" % (next(_numbers), size)
        copies.append(Copy(domain, user, name, b"Delivered-To: %b\n" % user))
    return copies, os.urandom(size)


def tree(root: Path) -> Tree:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in root.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def path_of(root: Path, copy: Copy, leaf: str = "new") -> Path:
    return root / os.fsdecode(copy.domain) / os.fsdecode(copy.user) / leaf / os.fsdecode(copy.name)


def expected(*messages: Message) -> Tree:
    return {str(path_of(Path(), copy)): copy.head + content for copies, content in messages for copy in copies}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for mailbox in USERS:
        for leaf in ("tmp", "new", "cur"):
            (tmp_path / "mail" / mailbox / leaf).mkdir(parents=True)
    return tmp_path / "mail"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


def write(journal: Path, *messages: Message, worker: int = 0, lap: int = 5) -> Position:
    """A ring with a batch for each message; nothing of it is safe. The position behind."""
    segment = Segment(SEGMENT_BYTES, lap)
    for one in messages:
        segment.batch(one)
    write_ring(journal / str(worker), Position(lap, 0), segment)
    return segment.position


def run(journal: Path, root: Path, workers: int = 4) -> Recovered:
    return recover(journal, root, workers, lambda *_: None)


def deliver(root: Path, *messages: Message) -> None:
    for copies, content in messages:
        for copy in copies:
            path_of(root, copy).write_bytes(copy.head + content)


def checkpoint_of(journal: Path, worker: int = 0) -> Position | None:
    with Checkpoint(journal / str(worker) / "checkpoint") as checkpoint:
        return checkpoint.position


# ---------------------------------------------------------------- what there is to do


def test_where_there_is_no_journal_there_is_nothing_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert run(tmp_path / "journal", tmp_path / "mail") == Recovered()
    assert not caplog.records
    assert list(tmp_path.iterdir()) == []


def test_where_all_is_safe_nothing_is_done(journal: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    end = write(journal, message("a/x"))
    (journal / "0" / "checkpoint").write_bytes(slot(2, end) + slot(1, Position(5, 0)))
    before = tree(journal)
    shutil.rmtree(root)
    heard: list[tuple[int, int]] = []
    with caplog.at_level(logging.DEBUG):
        assert recover(journal, root, 4, lambda *progress: heard.append(progress)) == Recovered()
    assert not caplog.records
    assert not heard
    assert tree(journal) == before
    assert not root.exists()


def test_all_that_is_missing_is_restored(journal: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    here, gone = message("a/x", "b/x"), message("a/x", "a/y", size=70_000)
    write(journal, here, gone)
    deliver(root, here)
    heard: list[tuple[int, int]] = []
    with caplog.at_level(logging.DEBUG):
        assert recover(journal, root, 4, lambda *progress: heard.append(progress)) == Recovered(2, 2, 2)
    assert tree(root) == expected(here, gone)
    for copy in gone[0]:
        assert stat.S_IMODE(path_of(root, copy).stat().st_mode) == 0o600
    assert heard[-1] == (SEGMENT_BYTES, SEGMENT_BYTES)
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert "recovered 2 messages from the journal: 2 files were in place, 2 restored, 0 " in record.getMessage()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def remove(path: Path) -> None:
    path.unlink()


def not_renamed(path: Path) -> None:
    path.rename(path.parents[1] / "tmp" / path.name)


def torn_in_tmp(path: Path) -> None:
    cut(path)
    not_renamed(path)


def torn_in_both(path: Path) -> None:
    torn_in_tmp(path)
    path.write_bytes(b"")


def a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


def nothing(path: Path) -> None:
    pass


DAMAGES: Sequence[Callable[[Path], None]] = (
    cut,
    empty,
    zeros,
    remove,
    not_renamed,
    torn_in_tmp,
    torn_in_both,
    a_link,
    nothing,
)


@pytest.mark.parametrize("damage", DAMAGES[:-1])
def test_whatever_is_wrong_is_made_right(journal: Path, root: Path, damage: Callable[[Path], None]) -> None:
    messages = [message(*USERS), message("a/x")]
    write(journal, *messages)
    deliver(root, *messages)
    for copy in messages[0][0]:
        damage(path_of(root, copy))
    assert run(journal, root) == Recovered(2, 1, 3)
    assert tree(root) == expected(*messages)


@pytest.mark.parametrize("flags", ["", ":2,", ":2,RS", ",W=512:2,S"])
def test_what_was_read_already_stays_where_it_is(journal: Path, root: Path, flags: str) -> None:
    letters = [message("a/x") for _ in range(3)]
    write(journal, *letters)
    deliver(root, *letters)
    [copy], _ = letters[1]
    path_of(root, copy).rename(path_of(root, copy, "cur").with_name(os.fsdecode(copy.name) + flags))
    before = tree(root)
    assert run(journal, root) == Recovered(3, 3)
    assert tree(root) == before


def test_what_was_read_and_is_torn_comes_again(journal: Path, root: Path) -> None:
    letter = message("a/x")
    write(journal, letter)
    [copy], _ = letter
    path_of(root, copy, "cur").with_name(os.fsdecode(copy.name) + ":2,S").write_bytes(b"torn")
    assert run(journal, root) == Recovered(1, 0, 1)
    assert path_of(root, copy).read_bytes() == copy.head + letter[1]


# ---------------------------------------------------------------- lost and found


NO_MAILBOXES = [
    (place, what)
    for place in ("a", "a/x", "a/x/tmp", "a/x/new")
    for what in ("gone", "link", "file")
    if (place, what) != ("a/x/tmp", "gone")  # a power cut may do that
]


@pytest.mark.parametrize(("place", "what"), NO_MAILBOXES)
def test_mail_without_a_mailbox_is_kept(
    journal: Path, root: Path, caplog: pytest.LogCaptureFixture, place: str, what: str
) -> None:
    letter, other = message("a/x", "b/x"), message("b/x")
    write(journal, letter, other)
    deliver(root, other)
    (root / place).rename(root.parent / "elsewhere")
    if what == "link":
        (root / place).symlink_to(root.parent / "elsewhere")
    elif what == "file":
        (root / place).touch()
    before = tree(root.parent / "elsewhere")
    with caplog.at_level(logging.ERROR):
        assert run(journal, root) == Recovered(2, 1, 1, 1)
    copy = letter[0][0]
    kept = root / ".lost+found" / "new" / os.fsdecode(copy.name)
    assert kept.read_bytes() == copy.head + letter[1]
    assert sorted(path.name for path in (root / ".lost+found").iterdir()) == ["cur", "new", "tmp"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parents[1].stat().st_mode) == stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert path_of(root, letter[0][1]).exists()
    [record] = caplog.records
    assert "'a/x' cannot be used" in record.getMessage()
    assert f"'.lost+found/new/{kept.name}'" in record.getMessage()
    assert tree(root.parent / "elsewhere") == before


def test_it_is_kept_once(journal: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    read, unread = message("c/x"), message("c/x")
    write(journal, read, unread)
    before = (journal / "0" / "checkpoint").read_bytes()
    assert run(journal, root) == Recovered(2, 0, 0, 2)
    name = os.fsdecode(read[0][0].name)
    (root / ".lost+found/new" / name).rename(root / ".lost+found/cur" / f"{name}:2,S")
    found = tree(root)
    (journal / "0" / "checkpoint").write_bytes(before)
    caplog.clear()
    assert run(journal, root) == Recovered(2, 0, 0, 2)
    assert tree(root) == found
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_when_it_cannot_be_kept_the_journal_keeps_it(journal: Path, root: Path) -> None:
    letters = [message("a/x"), message("c/x")]
    write(journal, *letters)
    (root / ".lost+found").symlink_to(root)
    before = tree(journal)
    for _ in range(2):
        with pytest.raises(
            StartError, match=r"cannot be put into .*/mail: Not a directory \('c/x'\); the journal keeps"
        ):
            run(journal, root)
        assert tree(journal) == before
    (root / ".lost+found").unlink()
    assert run(journal, root) == Recovered(2, 1, 0, 1)


def test_where_the_root_is_gone_nothing_is_touched(journal: Path, root: Path) -> None:
    write(journal, message("a/x"))
    before = tree(journal)
    shutil.rmtree(root)
    with pytest.raises(StartError, match=r"/mail: No such file or directory"):
        run(journal, root)
    assert tree(journal) == before
    assert not root.exists()


# ---------------------------------------------------------------- the journal


def test_only_what_is_behind_the_checkpoint_counts(journal: Path, root: Path) -> None:
    safe, unsafe = message("a/x"), message("a/x")
    segment = Segment(SEGMENT_BYTES, lap=5)
    segment.batch(safe)
    checkpoint = segment.position
    segment.batch(unsafe)
    write_ring(journal / "0", checkpoint, segment)
    assert run(journal, root) == Recovered(1, 0, 1)
    assert tree(root) == expected(unsafe)


@pytest.mark.parametrize(
    "slots",
    [b"", bytes(2 * BLOCK), slot(2, Position(9, 1))[:20] + bytes(2 * BLOCK - 20), b"\xff" * BLOCK * 2],
    ids=["no file", "zeros", "torn", "noise"],
)
def test_without_a_checkpoint_everything_counts(journal: Path, root: Path, slots: bytes) -> None:
    letters = [message("a/x"), message("b/x")]
    write(journal, *letters)
    (journal / "0" / "checkpoint").write_bytes(slots)
    assert run(journal, root) == Recovered(2, 0, 2)
    assert tree(root) == expected(*letters)
    assert checkpoint_of(journal) == (6, 0)
    if not slots:
        (journal / "0" / "checkpoint").unlink()
        assert run(journal, root) == Recovered(2, 2)


def test_a_torn_slot_leaves_the_one_before(journal: Path, root: Path) -> None:
    letters = [message("a/x"), message("b/x")]
    end = write(journal, *letters)
    (journal / "0" / "checkpoint").write_bytes(slot(4, end)[:17] + bytes(BLOCK - 17) + slot(3, Position(5, 1)))
    assert run(journal, root) == Recovered(1, 0, 1)
    assert tree(root) == expected(letters[1])


def test_all_laps_of_a_ring_count(journal: Path, root: Path) -> None:
    older = [message("a/x") for _ in range(4)]
    newer = [message("a/y") for _ in range(4)]
    segments = [Segment(SEGMENT_BYTES, lap) for lap in (8, 9, 10, 7)]
    for number, segment in enumerate(segments):
        for letter in older:
            segment.batch(letter)
        segment.begin(segment.lap + 4)
        segment.batch(newer[number])
    write_ring(journal / "0", Position(11, 0), *segments)
    assert run(journal, root) == Recovered(4, 0, 4)
    assert tree(root) == expected(*newer)
    assert checkpoint_of(journal) == (15, 0)


def test_every_ring_counts_and_surplus_ones_are_removed(journal: Path, root: Path) -> None:
    letters = [message(*USERS) for _ in range(4)]
    for worker, letter in zip((0, 1, 2, 11), letters, strict=True):
        write(journal, letter, worker=worker)
    (journal / "11" / "segment-1.making").touch()
    (journal / "other").mkdir()
    assert run(journal, root, workers=2) == Recovered(4, 0, 12)
    assert tree(root) == expected(*letters)
    assert sorted(path.name for path in journal.iterdir()) == ["0", "1", "other"]
    assert run(journal, root, workers=0) == Recovered()
    assert sorted(path.name for path in journal.iterdir()) == ["other"]


def test_one_ring_alone(journal: Path, root: Path) -> None:
    letters = [message(*USERS) for _ in range(3)]
    for worker, letter in enumerate(letters):
        write(journal, letter, worker=worker)
    others = {path: content for path, content in tree(journal).items() if not path.startswith("1/")}
    heard: list[tuple[int, int]] = []
    assert recover_rings([journal / "1"], root, lambda *progress: heard.append(progress)) == Recovered(1, 0, 3)
    assert tree(root) == expected(letters[1])
    assert heard[-1] == (SEGMENT_BYTES, SEGMENT_BYTES)
    assert checkpoint_of(journal, 1) == (6, 0)
    assert tree(journal).items() >= others.items()
    assert run(journal, root) == Recovered(2, 0, 6)


def test_it_goes_load_by_load_in_many_threads(journal: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "COPIES_AT_ONCE", 7)
    monkeypatch.setattr(recovery, "LOAD_BYTES", 2 * SEGMENT_BYTES)
    letters = [message(*USERS) for _ in range(5 * 50)]
    for worker in range(5):
        write(journal, *letters[worker * 50 : (worker + 1) * 50], worker=worker)
    deliver(root, *letters[::2])
    heard: list[tuple[int, int]] = []
    assert recover(journal, root, 5, lambda *progress: heard.append(progress)) == Recovered(250, 375, 375)
    assert tree(root) == expected(*letters)
    assert heard == sorted(heard)
    assert {total for _, total in heard} == {5 * SEGMENT_BYTES}
    assert heard[-1][0] == 5 * SEGMENT_BYTES
    assert len(heard) > 3 * 100 / 7


def test_a_segment_that_cannot_be_read_stops_the_start(journal: Path, root: Path) -> None:
    letters = [message("a/x"), message("a/y")]
    write(journal, letters[0])
    write(journal, letters[1], worker=1)
    segment = journal / "1" / "segment-0"
    segment.rename(journal / "elsewhere")
    segment.mkdir()
    with pytest.raises(StartError, match=r"Is a directory \('.*/1/segment-0'\); the journal keeps"):
        run(journal, root)
    segment.rmdir()
    (journal / "elsewhere").rename(segment)
    assert run(journal, root).records == 2
    assert tree(root) == expected(*letters)


def test_a_surplus_ring_with_something_else_in_it_stays(
    journal: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(journal, message("a/x"), worker=3)
    (journal / "3" / "notes").touch()
    assert run(journal, root, workers=1) == Recovered(1, 0, 1)
    assert [path.name for path in (journal / "3").iterdir()] == ["notes"]
    assert "cannot be removed: Directory not empty" in caplog.text


def test_damage_is_told_and_hides_nothing(journal: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    letters = [message("a/x") for _ in range(3)]
    write(journal, *letters)
    path = journal / "0" / "segment-0"
    data = bytearray(path.read_bytes())
    data[BLOCK + 100] ^= 1
    path.write_bytes(data)
    assert run(journal, root) == Recovered(2, 0, 2, 0, 1)
    assert tree(root) == expected(letters[0], letters[2])
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert f"{path} is damaged: {BLOCK} octets from {BLOCK} on" in record.getMessage()


def test_a_recovered_ring_goes_on_with_laps_that_never_were(journal: Path, root: Path) -> None:
    fd = os.open(root, os.O_RDONLY)
    laps = []
    for number in range(6):
        ring = Ring.open(journal / "0", 4 * 4 * BLOCK, 2 * BLOCK)
        for size in (100, 5000, 7000):
            name = b"%d.%d" % (number, size)
            assert commit(fd, [Delivery([(b"a", b"x", name, b"")], [b"x" * size])], JOURNAL, ring.journal) == [None]
            (root / "a/x/new" / os.fsdecode(name)).unlink()
        laps += list(range(ring.safe.lap, ring.position.lap + 1))
        ring.close()
        assert run(journal, root) == Recovered(3, 0, 3)
        assert run(journal, root) == Recovered()
        assert len(tree(root)) == 3 * (number + 1)
    assert len(set(laps)) == len(laps)
    os.close(fd)


# ---------------------------------------------------------------- interrupted and repeated


def havoc(root: Path, messages: list[Message], seed: int) -> None:
    """Deliver, and let a crash do something to most files."""
    generator = random.Random(seed)  # noqa: S311 - the same havoc each time
    deliver(root, *messages)
    for copies, _ in messages:
        for copy in copies:
            generator.choice(DAMAGES)(path_of(root, copy))


class StopHereError(Exception):
    pass


def test_running_it_twice_changes_nothing(journal: Path, root: Path) -> None:
    letters = [message(*USERS) for _ in range(20)] + [message("gone/z")]
    write(journal, *letters)
    before = (journal / "0" / "checkpoint").read_bytes()
    havoc(root, letters[:-1], 1)
    assert run(journal, root).restored > 20
    found = tree(root)
    inodes = {path: path.stat().st_ino for path in root.rglob("*")}
    (journal / "0" / "checkpoint").write_bytes(before)
    assert run(journal, root) == Recovered(21, 60, 0, 1)
    assert tree(root) == found
    assert {path: path.stat().st_ino for path in root.rglob("*")} == inodes


def test_interrupted_anywhere_it_ends_the_same(
    journal: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "COPIES_AT_ONCE", 3)
    monkeypatch.setattr(recovery, "LOAD_BYTES", 1)
    letters = [message(*USERS, f"gone/{number}") for number in range(4)]
    write(journal, *letters[:2])
    write(journal, *letters[2:], worker=1)
    kept = tree(journal)
    results = []
    for steps in range(20):
        shutil.rmtree(root)
        for mailbox in USERS:
            for leaf in ("tmp", "new", "cur"):
                (root / mailbox / leaf).mkdir(parents=True)
        calls = count()

        def interrupt(done: int, total: int) -> None:
            if next(calls) == steps:  # noqa: B023 - called before the next turn
                raise StopHereError

        try:
            recover(journal, root, 4, interrupt)
        except StopHereError:
            assert tree(journal) == kept
            run(journal, root)
        results.append(tree(root))
        for path, content in kept.items():
            (journal / path).write_bytes(content)
        if next(calls) <= steps:
            break
    assert len(results) > 5
    lost = {f".lost+found/new/{os.fsdecode(copies[-1].name)}": copies[-1].head + body for copies, body in letters}
    whole = {**expected(*[(copies[:-1], body) for copies, body in letters]), **lost}
    assert [result == whole for result in results] == [True] * len(results)


def test_killed_anywhen_it_ends_the_same(journal: Path, root: Path, tmp_path: Path) -> None:
    letters = [message(*USERS, "gone/z", size=2000) for _ in range(50)]
    write(journal, *letters[:25])
    write(journal, *letters[25:], worker=1)
    kept = tree(journal)
    program = (
        "import sys; from pathlib import Path; from fastsmtp.delivery.recovery import recover; print('go', flush=True);"
        "recover(Path(sys.argv[1]), Path(sys.argv[2]), 2, lambda *_: None)"
    )
    lost = {f".lost+found/new/{os.fsdecode(copies[-1].name)}": copies[-1].head + body for copies, body in letters}
    whole = {**expected(*[(copies[:-1], body) for copies, body in letters]), **lost}
    generator = random.Random(7)  # noqa: S311 - the same moments each time
    for seed in range(6):
        havoc(root, [(copies[:-1], body) for copies, body in letters], seed)
        for path, content in kept.items():
            (journal / path).write_bytes(content)
        with subprocess.Popen(
            [sys.executable, "-c", program, str(journal), str(root)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"go\n"
            time.sleep(generator.random() * 0.04)
            process.send_signal(signal.SIGKILL)
        run(journal, root)
        found = tree(root)
        assert (found == whole) is True
