import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.log.handler import LogHandler
from fastsmtp.log.line_log import LineLog


def fail(text: str) -> None:
    raise ValueError(text)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mx.log"


@pytest.fixture
def log(file: Path) -> Iterator[LineLog]:
    log = LineLog.open(file)
    yield log
    log.close()


def test_logging_becomes_lines(log: LineLog, file: Path) -> None:
    logger = logging.getLogger("fastsmtp.test")

    with LogHandler(log).installed("info"):
        logger.debug("not this")
        logger.warning("plugin %s is slow", "greylist", extra={"plugin": "greylist", "time": "never", "event": "slow"})
        try:
            fail("evil\nline")
        except ValueError:
            logging.getLogger("somewhere.else").exception("it broke")
    logger.warning("nobody listens any more")

    warning, error = lines(file)
    assert warning.pop("time").endswith("Z")
    assert warning == {
        "level": "warning",
        "event": "slow",
        "message": "plugin greylist is slow",
        "plugin": "greylist",
    }
    assert (error["level"], error["event"], error["message"]) == ("error", "somewhere.else", "it broke")
    assert error["traceback"].startswith("Traceback (most recent call last):")
    assert error["traceback"].endswith("ValueError: evil\nline\n")


def test_the_level_is_put_back(log: LineLog) -> None:
    before = logging.getLogger().level, list(logging.getLogger().handlers)
    with LogHandler(log).installed("debug"):
        assert logging.getLogger("fastsmtp.test").isEnabledFor(logging.DEBUG)
    assert (logging.getLogger().level, logging.getLogger().handlers) == before


def test_a_record_that_cannot_be_formatted_does_not_raise(
    log: LineLog, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LogHandler(log).handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))

    assert lines(file) == []
    assert "TypeError" in capsys.readouterr().err


def test_logging_from_another_thread_goes_through_the_loop(file: Path) -> None:
    async def scenario() -> None:
        log = LineLog.open(file, asyncio.get_running_loop())
        with LogHandler(log).installed("info"):
            await asyncio.to_thread(logging.getLogger("fastsmtp.test").warning, "from a thread")
            await asyncio.sleep(0)
        log.close()

    asyncio.run(scenario())

    assert [line["message"] for line in lines(file)] == ["from a thread"]
