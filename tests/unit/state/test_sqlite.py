"""Records in a file."""

import asyncio
import os
import sqlite3
import time
from pathlib import Path

import pytest
from record_stores import SCENARIOS, Scenario, add, play, score, text

from fastsmtp.errors import StateError
from fastsmtp.state.records import Batch, RecordStore
from fastsmtp.state.sqlite import SqliteStore, look_at_file


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_it_is_a_store(tmp_path: Path, scenario: Scenario) -> None:
    play(lambda: SqliteStore(tmp_path / "state.db", 1000), scenario)


def test_it_is_for_its_owner_and_survives(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    now = time.time()

    async def write(store: RecordStore) -> None:
        await store.write(Batch(texts={"a": ("one", now + 60)}))
        assert {entry.stat().st_mode & 0o777 for entry in os.scandir(tmp_path)} == {0o600}

    async def read(store: RecordStore) -> None:
        assert await text(store, "a", now) == "one"

    play(lambda: SqliteStore(file, 1000), write)
    play(lambda: SqliteStore(file, 1000), read)


def test_workers_see_what_others_write_and_add_up(tmp_path: Path) -> None:
    async def scenario(one: RecordStore) -> None:
        other = SqliteStore(tmp_path / "state.db", 1000)
        await other.open()
        now = time.time()
        assert await text(other, "a", now) is None
        await asyncio.gather(*(add(store, "a", 1, now) for store in (one, other) for _ in range(10)))
        await one.write(Batch(texts={"a": ("one", now + 60)}))
        assert (await text(other, "a", now), await score(other, "a", now)) == ("one", 20.0)
        await other.close()

    play(lambda: SqliteStore(tmp_path / "state.db", 1000), scenario)


def test_what_has_ended_goes_and_what_is_too_much(tmp_path: Path) -> None:
    async def scenario(store: RecordStore) -> None:
        now = time.time()
        ended = {f"ended {number}": ("x", now - 1) for number in range(6000)}
        lives = {f"lives {number}": ("x", now + 100 + number) for number in range(1500)}
        await store.write(Batch(texts=ended | lives))
        await add(store, "gone", 1, now - 17 * 3600)
        await add(store, "here", 1, now)
        await store.purge(now)
        with sqlite3.connect(tmp_path / "state.db") as connection:
            [(count, first)] = connection.execute("SELECT count(*), min(until) FROM state_text")
            assert connection.execute("SELECT key FROM state_score").fetchall() == [("here",)]
        connection.close()
        assert count == 1000
        assert first == pytest.approx(now + 600, abs=1)

    play(lambda: SqliteStore(tmp_path / "state.db", 1000), scenario)


def test_a_file_that_is_none_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(StateError, match=r"cannot use the state .*state\.db"):
        play(lambda: SqliteStore(file, 1000), lambda store: store.purge(0))
    with pytest.raises(StateError, match=r"cannot use the state .*state\.db"):
        look_at_file(file)
    with pytest.raises(StateError, match=r"cannot use the state .*nowhere"):
        play(lambda: SqliteStore(tmp_path / "nowhere" / "state.db", 1000), lambda store: store.purge(0))


def test_what_is_broken_under_way_is_trouble(tmp_path: Path) -> None:
    async def scenario(store: RecordStore) -> None:
        with sqlite3.connect(tmp_path / "state.db") as connection:
            connection.executescript("DROP TABLE state_text; DROP TABLE state_score")
        connection.close()
        with pytest.raises(StateError):
            store.text("a", 0)
        with pytest.raises(StateError):
            store.score("a", 1, 0)
        with pytest.raises(StateError):
            await store.write(Batch(texts={"a": ("one", 1)}))

    play(lambda: SqliteStore(tmp_path / "state.db", 1000), scenario)


def test_looking_makes_nothing(tmp_path: Path) -> None:
    look_at_file(tmp_path / "state.db")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StateError, match="its folder is not there"):
        look_at_file(tmp_path / "nowhere" / "state.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    play(lambda: SqliteStore(file, 1000), lambda store: store.purge(0))
    file.chmod(0o400)
    with pytest.raises(StateError, match="cannot be written by this user"):
        look_at_file(file)
