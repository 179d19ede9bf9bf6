"""Records on their way: gathered, written by a thread, tried again, dropped where there is no room."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from fastsmtp.records.file import RecordFile
from fastsmtp.records.writer import FLUSH_BYTES, WAITING_BYTES, RecordWriter
from fastsmtp.stats import Stats

DEADLINE_S = 20.0


class Fickle(RecordFile):
    """Fails while `trouble` is set."""

    trouble: Exception | None = None

    def append(self, records: Sequence[bytes], now_s: float) -> None:
        if self.trouble is not None:
            raise self.trouble
        super().append(records, now_s)


class Rig:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.stats = Stats()
        self.file = Fickle(path, 86_400.0, 1 << 26)
        self.writer = RecordWriter(self.file, asyncio.get_running_loop(), self.stats)

    def count(self, result: str) -> int:
        [family] = self.stats.families()
        return self.stats.cells[family.children[(result,)]]

    def kept(self) -> list[Any]:
        database = sqlite3.connect(self.path)
        rows = database.execute("SELECT records FROM batch ORDER BY number").fetchall()
        database.close()
        return [record for (text,) in rows for record in orjson.loads(text)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - it is a thread that is waited for
                await asyncio.sleep(0.01)


def with_rig(tmp_path: Path, test: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        await test(Rig(tmp_path / "records.db"))

    asyncio.run(body())


def test_what_is_taken_is_written_soon(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.writer.start()
        rig.writer.take({"id": "A"})
        rig.writer.take({"id": "B"})
        await rig.until(lambda: rig.count("kept") == 2)
        assert rig.kept() == [{"id": "A"}, {"id": "B"}]
        await rig.writer.close()
        assert rig.count("lost") == 0

    with_rig(tmp_path, test)


def test_at_the_end_everything_is_written(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.writer.start()
        for number in range(1000):
            rig.writer.take({"id": number, "text": "x" * 1000})
        await rig.writer.close()
        assert [record["id"] for record in rig.kept()] == list(range(1000))
        assert (rig.count("kept"), rig.count("lost")) == (1000, 0)

    with_rig(tmp_path, test)
    assert [one.name for one in tmp_path.iterdir()] == ["records.db"]


def test_a_server_that_never_started_ends(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.writer.take({"id": "A"})
        await rig.writer.close()

    with_rig(tmp_path, test)


@pytest.mark.parametrize("trouble", [sqlite3.OperationalError("database or disk is full"), OSError(28, "no space")])
def test_what_cannot_be_written_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    async def test(rig: Rig) -> None:
        rig.file.trouble = trouble
        rig.writer.start()
        rig.writer.take({"id": "A"})
        rig.writer.flush()
        await rig.until(lambda: bool(caplog.records))
        rig.writer.take({"id": "B"})
        rig.writer.flush()
        rig.file.trouble = None
        await rig.until(lambda: rig.count("kept") == 2)
        await rig.writer.close()
        assert rig.kept() == [{"id": "A"}, {"id": "B"}]

    with caplog.at_level(logging.INFO, "fastsmtp.records"):
        with_rig(tmp_path, test)
    first, second = caplog.records
    assert (first.levelname, first.message) == ("ERROR", "records cannot be written")
    assert first.__dict__["error"] == str(trouble)
    assert (second.levelname, second.message) == ("WARNING", "records are written again")
    assert second.__dict__["lost_since_start"] == 0


def test_where_there_is_no_room_they_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(rig: Rig) -> None:
        rig.file.trouble = sqlite3.OperationalError("database is locked")
        rig.writer.start()
        size = FLUSH_BYTES // 4
        total = WAITING_BYTES // size + 40
        for number in range(total):
            rig.writer.take({"id": number, "text": "x" * 1000, "more": ["y" * 1000] * (size // 1004)})
        rig.writer.flush()
        lost = rig.count("lost")
        assert 0 < lost <= 40 + 8
        await rig.until(lambda: bool(caplog.records))
        rig.file.trouble = None
        await rig.until(lambda: rig.count("kept") == total - lost)
        await rig.writer.close()
        assert [record["id"] for record in rig.kept()] == [*range(total - lost)]
        assert rig.count("lost") == lost

    with_rig(tmp_path, test)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["records cannot be written"]


def test_at_the_end_nobody_waits_for_a_disk_that_is_full(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.file.trouble = OSError(28, "no space")
        rig.writer.start()
        for number in range(10):
            rig.writer.take({"id": number})
        await rig.writer.close()
        assert (rig.count("kept"), rig.count("lost")) == (0, 10)

    with_rig(tmp_path, test)


def test_a_lock_that_somebody_holds_stops_nobody(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.writer.start()
        rig.writer.take({"id": "A"})
        rig.writer.flush()
        await rig.until(lambda: rig.count("kept") == 1)
        database = sqlite3.connect(rig.path, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        rig.writer.take({"id": "B"})
        rig.writer.flush()
        await asyncio.sleep(0)  # the loop turns
        database.execute("ROLLBACK")
        database.close()
        await rig.until(lambda: rig.count("kept") == 2)
        await rig.writer.close()

    with_rig(tmp_path, test)


def test_a_record_of_enormous_length_is_cut(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.writer.start()
        rig.writer.take({"id": "A", "recipients": ["x" * 1000] * 1000})
        await rig.writer.close()
        [record] = rig.kept()
        assert record["id"] == "A"
        assert record["shortened"] is True

    with_rig(tmp_path, test)
