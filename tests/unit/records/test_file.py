"""The file of the records: batches in it, the oldest gone in time, and nothing that stops it for good."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from records import NOW

from fastsmtp.records.file import RecordFile

DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
def file(path: Path) -> Iterator[RecordFile]:
    with RecordFile(path, 14 * DAY_S, 1 << 20) as opened:
        yield opened


def batches(path: Path) -> list[tuple[int, float, str]]:
    database = sqlite3.connect(path)
    rows: list[tuple[int, float, str]] = database.execute("SELECT number, written, records FROM batch").fetchall()
    database.close()
    return rows


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob("records.db*"))


def test_a_batch_is_a_row_and_a_record_is_one_of_the_view(file: RecordFile, path: Path) -> None:
    file.append([b'{"id":"A","sender":"a@b.example","recipients":["c"]}', b'{"id":"B"}'], NOW)
    assert batches(path) == [(1, NOW, '[{"id":"A","sender":"a@b.example","recipients":["c"]},\n{"id":"B"}]')]
    database = sqlite3.connect(path)
    assert database.execute("SELECT id, sender, recipients FROM record").fetchall() == [
        ("A", "a@b.example", '["c"]'),
        ("B", None, None),
    ]
    database.close()


def test_strangers_cannot_read_it(file: RecordFile, path: Path) -> None:
    before = os.umask(0o077)
    try:
        file.append([b"{}"], NOW)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o640}


def test_what_is_too_old_goes(file: RecordFile, path: Path) -> None:
    file.append([b"1"], NOW)
    file.append([b"2"], NOW + 13 * DAY_S)
    assert len(batches(path)) == 2
    file.append([b"3"], NOW + 14 * DAY_S + 1)
    assert [text for *_, text in batches(path)] == ["[2]", "[3]"]


def test_of_much_that_is_old_some_goes_with_each_batch_and_all_by_a_purge(file: RecordFile, path: Path) -> None:
    for _ in range(200):
        file.append([b"1"], NOW)
    file.append([b"2"], NOW + 15 * DAY_S)
    assert len(batches(path)) == 201 - 64
    file.purge(NOW + 15 * DAY_S)
    assert [text for *_, text in batches(path)] == ["[2]"]
    file.purge(NOW + 30 * DAY_S)
    assert batches(path) == []


def test_it_stays_below_its_size(file: RecordFile, path: Path) -> None:
    sizes = set()
    for number in range(400):
        file.append([b'"%d %s"' % (number, os.urandom(10_000).hex().encode())], NOW)
        sizes.add(path.stat().st_size)
    assert max(sizes) <= (1 << 20) + 64 * 1024
    assert size(path) < 12 << 20  # the log of SQLite is 8 MiB, at most
    kept = [text[2:].partition(" ")[0] for *_, text in batches(path)]
    assert kept == [str(number) for number in range(400 - len(kept), 400)]
    assert len(kept) > 20


def test_with_a_smaller_limit_it_shrinks(file: RecordFile, path: Path) -> None:
    for _ in range(100):
        file.append([b'"%s"' % os.urandom(5_000).hex().encode()], NOW)
    file.close()
    with RecordFile(path, 14 * DAY_S, 100_000) as smaller:
        for _ in range(5):
            smaller.append([b"1"], NOW)
        smaller.purge(NOW)
    assert path.stat().st_size < 200_000


def test_a_file_that_was_taken_away_is_made_anew(file: RecordFile, path: Path) -> None:
    file.append([b"1"], NOW)
    path.rename(path.with_name("elsewhere"))
    file.append([b"2"], NOW)
    assert [text for *_, text in batches(path)] == ["[2]"]


def test_what_is_no_such_file_is_left_alone(file: RecordFile, path: Path) -> None:
    path.write_bytes(b"something else\n" * 500)
    with pytest.raises(sqlite3.DatabaseError):
        file.append([b"1"], NOW)
    assert path.read_bytes() == b"something else\n" * 500
    path.unlink()
    file.append([b"1"], NOW)
    assert len(batches(path)) == 1


def test_a_file_of_a_later_version_is_left_alone(file: RecordFile, path: Path) -> None:
    file.append([b"1"], NOW)
    file.close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(sqlite3.DatabaseError, match="version 7"):
        file.append([b"2"], NOW)


def test_a_folder_that_is_not_there(path: Path) -> None:
    with RecordFile(path / "nowhere" / "records.db", DAY_S, 1 << 20) as file, pytest.raises(FileNotFoundError):
        file.append([b"1"], NOW)


def test_a_failure_leaves_nothing_behind(file: RecordFile, path: Path) -> None:
    file.append([b"1"], NOW)
    with pytest.raises(TypeError):
        file.append([b"2"], "no time")  # type: ignore[arg-type] # which is noticed when the row is there already
    file.append([b"3"], NOW)
    assert [text for *_, text in batches(path)] == ["[1]", "[3]"]


def test_several_write_at_once(path: Path) -> None:
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            with RecordFile(path, DAY_S, 1 << 24) as file:
                for number in range(50):
                    file.append([b"%d" % (name * 1000 + number)], NOW)
        except BaseException as error:
            failures.append(error)
            raise

    workers = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert sorted(int(text[1:-1]) for *_, text in batches(path)) == [
        name * 1000 + number for name in range(4) for number in range(50)
    ]
