"""Files that are read again."""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.lists import watched
from fastsmtp.lists.watched import WatchedFile


def read(path: Path | None) -> list[str]:
    if path is None:
        return []
    words = path.read_text().split()
    if "bad" in words:
        raise ValueError(f"{path}:1: a bad word\n{path}:2: another")
    return words


def write(path: Path, text: str) -> None:
    """As a careful operator does it: beside it, then over it."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "words"
    path.write_text("one")
    return path


async def look(file: WatchedFile[list[str]], times: int = 2) -> list[bool]:
    return [await file.look() for _ in range(times)]


def test_a_change_counts_once_it_has_been_seen_twice(path: Path) -> None:
    file = WatchedFile(path, read)
    assert file.value == ["one"]
    assert asyncio.run(look(file)) == [False, False]
    write(path, "one two")
    assert asyncio.run(look(file, 1)) == [False]
    assert file.value == ["one"]
    assert asyncio.run(look(file)) == [True, False]
    assert file.value == ["one", "two"]


def test_what_is_being_written_is_not_read(path: Path) -> None:
    file = WatchedFile(path, read)
    with path.open("a") as growing:
        for number in range(5):
            growing.write(f" {number}")
            growing.flush()
            assert asyncio.run(look(file, 1)) == [False]
    assert asyncio.run(look(file)) == [True, False]
    assert file.value == ["one", "0", "1", "2", "3", "4"]


def test_a_file_that_becomes_bad_leaves_the_last_good_one(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = WatchedFile(path, read)
    write(path, "bad")
    assert asyncio.run(look(file, 5)) == [False] * 5
    assert file.value == ["one"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert vars(record)["error"] == f"{path}:1: a bad word; {path}:2: another"
    write(path, "two")
    assert asyncio.run(look(file)) == [False, True]
    assert file.value == ["two"]


def test_a_file_that_goes_and_comes_back_as_it_was(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = WatchedFile(path, read)
    away = path.with_suffix(".away")
    path.rename(away)
    assert asyncio.run(look(file, 3)) == [False] * 3
    assert [vars(record)["error"] for record in caplog.records] == ["cannot be read: No such file or directory"]
    away.rename(path)
    assert any(asyncio.run(look(file, 3)))
    assert file.value == ["one"]


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path, path: Path) -> None:
    """As mounted ConfigMaps are changed."""
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_text("two")
    link.symlink_to(path)
    file = WatchedFile(link, read)
    beside = tmp_path / "beside"
    beside.symlink_to(other)
    beside.replace(link)
    assert asyncio.run(look(file)) == [False, True]
    assert file.value == ["two"]


def test_it_is_looked_at_from_start_to_stop(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "INTERVAL_S", 0.01)

    async def scenario() -> None:
        file = WatchedFile(path, read)
        file.start()
        write(path, "two")
        async with asyncio.timeout(10):
            while file.value != ["two"]:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
        await file.stop()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("content", "problems"), [(None, ["cannot be read: No such file"]), ("bad", [":1: a bad word", ":2: another"])]
)
def test_at_first_it_has_to_be_sound(tmp_path: Path, content: str | None, problems: list[str]) -> None:
    path = tmp_path / "words"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PluginLoadError) as caught:
        WatchedFile(path, read)
    assert [problem in found for problem, found in zip(problems, caught.value.problems, strict=True)] == [
        True for _ in problems
    ]


def test_a_change_of_nothing_but_the_time_is_read_again(path: Path) -> None:
    file = WatchedFile(path, read)
    os.utime(path, (1, 1))
    assert asyncio.run(look(file)) == [False, True]


def test_without_a_file() -> None:
    async def scenario() -> None:
        file = WatchedFile(None, read)
        file.start()
        assert file.value == []
        await file.stop()

    asyncio.run(scenario())
