"""Spools: what goes in comes out, nothing stays behind, and trouble is told."""

import errno
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from driver import WAIT, Driver

from fastsmtp.delivery.spool import FileSpool, SpoolFolder
from fastsmtp.errors import StartError
from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.message import SPOOL_PIECE, Spool, SpoolError
from fastsmtp.smtp.replies import STORE_FULL, STORE_TROUBLE


def open_spools(root: Path) -> int:
    """How many descriptors of this process are spools of this root."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the folder itself
            targets.append(str(descriptor.readlink()))
    return sum(target.startswith(f"{root}/.spool/") for target in targets)


@contextmanager
def limited(what: int, limit: int) -> Iterator[None]:
    """The kernel gives this process no more than that."""
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def opened(root: Path) -> SpoolFolder:
    folder = SpoolFolder(root)
    folder.open()
    return folder


def without_nameless_files(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From now on the file system is one that has none, such as NFS."""
    system_open = os.open

    def without(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, os.strerror(number))
        return system_open(path, flags, mode)

    monkeypatch.setattr(os, "open", without)


# --- Content ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"", b"a", b"", b"bc"],
        [b"x" * SPOOL_PIECE],
        [b"x" * (SPOOL_PIECE - 1), b"yz"],
        [bytes(range(256)) * 1_000, b"tail"],
    ],
)
def test_what_goes_in_comes_out_in_even_pieces(tmp_path: Path, pieces: list[bytes]) -> None:
    spool: Spool = opened(tmp_path).new()
    for piece in pieces:
        spool.write(piece)
    whole = b"".join(pieces)
    assert spool.size == len(whole)
    for _ in range(2):
        out = list(spool.pieces())
        assert b"".join(out) == whole
        assert all(len(piece) == SPOOL_PIECE for piece in out[:-1])


def test_others_may_read_the_descriptor_at_the_same_time(tmp_path: Path) -> None:
    spool = opened(tmp_path).new()
    spool.write(b"one two ")
    reading = spool.pieces()
    assert os.pread(spool.descriptor, 3, 4) == b"two"
    assert os.read(spool.descriptor, 100) == b"one two "
    spool.write(b"three")
    assert b"".join(reading) == b"one two three"


# --- What is on the disk ----------------------------------------------------------------------------------------------


def test_a_spool_has_no_name_and_is_nobody_elses(tmp_path: Path) -> None:
    spool = opened(tmp_path).new()
    spool.write(b"secret")
    found = os.fstat(spool.descriptor)
    assert (stat.S_IMODE(found.st_mode), found.st_nlink, found.st_dev) == (0o600, 0, tmp_path.stat().st_dev)
    assert not os.get_inheritable(spool.descriptor)
    assert stat.S_IMODE((tmp_path / ".spool").stat().st_mode) == 0o700
    assert list((tmp_path / ".spool").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT])
def test_where_files_need_names_they_lose_them_at_once(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_nameless_files(monkeypatch, number)
    spool = opened(tmp_path).new()
    spool.write(b"secret")
    found = os.fstat(spool.descriptor)
    assert (stat.S_IMODE(found.st_mode), found.st_nlink) == (0o600, 0)
    assert not os.get_inheritable(spool.descriptor)
    assert list(spool.pieces()) == [b"secret"]
    assert list((tmp_path / ".spool").iterdir()) == []


def test_a_folder_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    (tmp_path / ".spool").rmdir()
    folder.new().write(b"x")
    assert stat.S_IMODE((tmp_path / ".spool").stat().st_mode) == 0o700


def test_a_folder_can_be_opened_twice(tmp_path: Path) -> None:
    opened(tmp_path)
    opened(tmp_path)
    assert open_spools(tmp_path) == 0


# --- The end of a spool -----------------------------------------------------------------------------------------------


def test_a_spool_goes_with_the_last_reference(tmp_path: Path) -> None:
    spool = opened(tmp_path).new()
    again = spool
    del spool
    assert open_spools(tmp_path) == 1
    again.write(b"x")
    reading = again.pieces()
    del again
    assert (next(reading), open_spools(tmp_path)) == (b"x", 1)
    del reading
    assert open_spools(tmp_path) == 0


LARGE = "Subject: x\r\n\r\n" + "all of this is more than ten octets\r\n" * 100 + "."


@pytest.mark.parametrize("how", ["stored", "refused", "lost"])
def test_no_descriptor_outlives_its_transaction(tmp_path: Path, how: str) -> None:
    driver = Driver(spool_above=10, make_spool=opened(tmp_path).new, message_size=10_000)
    driver.data().feed(LARGE.removesuffix(".").encode())
    assert open_spools(tmp_path) == 1
    match how:
        case "stored":
            driver.say(".")
        case "refused":
            driver.say("x" * 10_000, ".")
        case _:
            driver.session.time_out()
            driver.run()
    assert driver.ended.pop().outcome == how
    assert open_spools(tmp_path) == 0


def test_whoever_still_looks_at_the_message_can(tmp_path: Path) -> None:
    driver = Driver({Stage.QUEUE: WAIT}, spool_above=10, make_spool=opened(tmp_path).new)
    driver.data().say(LARGE)
    driver.lose()
    driver.resume(None)
    [transaction] = driver.ended
    assert driver.session.transaction is None
    assert bytes(transaction.message).endswith(b"all of this is more than ten octets\n")


# --- Trouble ----------------------------------------------------------------------------------------------------------


def test_a_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    spool = FileSpool(os.open("/dev/full", os.O_RDWR))
    with pytest.raises(SpoolError) as caught:
        spool.write(b"x")
    assert caught.value.reply is STORE_FULL
    [record] = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == (
        "fastsmtp.delivery",
        "ERROR",
        "a large message cannot be spooled",
    )
    assert vars(record)["error"] == "No space left on device"


def test_a_write_that_is_cut_short_goes_on_where_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = opened(tmp_path).new()
    with limited(resource.RLIMIT_FSIZE, 50_000), pytest.raises(SpoolError) as caught:
        spool.write(b"x" * 60_000)
    assert (caught.value.reply, spool.size) == (STORE_TROUBLE, 50_000)
    assert [vars(record)["error"] for record in caplog.records] == ["File too large"]


def test_no_descriptor_for_a_spool(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = opened(tmp_path)
    with limited(resource.RLIMIT_NOFILE, 3), pytest.raises(SpoolError) as caught:
        folder.new()
    assert caught.value.reply is STORE_TROUBLE
    assert [vars(record)["error"] for record in caplog.records] == ["Too many open files"]


def test_the_client_hears_of_trouble_at_the_end_and_others_have_the_space_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Driver(spool_above=10, make_spool=opened(tmp_path).new)
    driver.data()
    with limited(resource.RLIMIT_FSIZE, 1_000):
        assert driver.feed(LARGE.removesuffix(".").encode()) == ""
    assert open_spools(tmp_path) == 0
    assert driver.say("x" * 10_000, ".") == str(STORE_TROUBLE)
    assert driver.envelope().say("DATA", LARGE).endswith("250 2.0.0 stored")
    assert len(caplog.records) == 1


def test_the_client_of_a_full_disk_hears_that_it_is_full() -> None:
    driver = Driver(spool_above=10, make_spool=lambda: FileSpool(os.open("/dev/full", os.O_RDWR)))
    assert driver.data().say(LARGE) == str(STORE_FULL)


def test_a_folder_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=rf"the spool {tmp_path}/none/.spool cannot be used: No such file"):
        opened(tmp_path / "none")
    (tmp_path / ".spool").touch()
    with pytest.raises(StartError, match=rf"the spool {tmp_path}/.spool cannot be used: File exists"):
        opened(tmp_path)


def test_a_folder_that_is_not_writable_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / ".spool").mkdir(mode=0o500)
    user = os.geteuid()
    if user == 0:  # who may write everywhere
        os.chown(tmp_path / ".spool", 65534, -1)
        os.seteuid(65534)
    try:
        with pytest.raises(StartError, match=r"cannot be used: Permission denied"):
            opened(tmp_path)
    finally:
        os.seteuid(user)
