import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.log.encoding import LINE_BYTES
from fastsmtp.log.line_log import FLUSH_BYTES, LineLog
from fastsmtp.log.syslog_socket import SyslogSink
from fastsmtp.stats import Stats


def lines(file: Path) -> list[dict[str, Any]]:
    """Those that are whole: while a thread writes, the last one may not be."""
    return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line[-1] == "\n"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mx.log"


def move_away(file: Path) -> None:
    file.rename(file.with_suffix(".1"))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a file tells nobody that it has grown
            await asyncio.sleep(0.01)


def test_without_a_loop_every_line_is_written_at_once(file: Path) -> None:
    log = LineLog.open(file)
    log.write({"n": 1})
    assert lines(file) == [{"n": 1}]
    log.close()


def test_lines_are_gathered_and_written_soon(file: Path) -> None:
    async def scenario() -> None:
        log = LineLog.open(file, asyncio.get_running_loop())
        log.write({"n": 1})
        log.write({"n": 2})
        assert lines(file) == []
        await until(lambda: lines(file))
        assert lines(file) == [{"n": 1}, {"n": 2}]
        log.write({"n": 3})
        log.close()
        assert lines(file)[2:] == [{"n": 3}]

    asyncio.run(scenario())


def test_many_lines_are_written_before_the_time_is_over(file: Path) -> None:
    async def scenario() -> None:
        log = LineLog.open(file, asyncio.get_running_loop())
        log.write({"text": "x" * FLUSH_BYTES})
        assert log._timer is None  # noqa: SLF001 - there is nothing to wait for
        await until(lambda: len(lines(file)) == 1)
        log.close()

    asyncio.run(scenario())


def test_a_line_that_is_json_already(file: Path) -> None:
    log = LineLog.open(file)
    log.write_encoded(b'{"n":1}')
    log.write_encoded(b'{"text":"%b"}' % (b"x" * LINE_BYTES))
    log.close()
    first, second = lines(file)
    assert first == {"n": 1}
    assert second["shortened"] is True


def test_a_line_that_is_json_already_for_who_wants_more(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "s"))
        log = LineLog(SyslogSink(tmp_path / "s", "mail"))
        log.write_encoded(b'{"event":"transaction"}')
        assert listener.recv(8192).endswith(b': {"event":"transaction"}')
        log.close()


@pytest.mark.parametrize("with_loop", [True, False])
def test_lines_before_and_after_the_file_was_moved_away(file: Path, with_loop: bool) -> None:
    async def scenario() -> None:
        log = LineLog.open(file, asyncio.get_running_loop() if with_loop else None)
        log.write({"n": 1})
        move_away(file)
        log.reopen()
        log.write({"n": 2})
        log.close()
        assert (lines(file.with_suffix(".1")), lines(file)) == ([{"n": 1}], [{"n": 2}])

    asyncio.run(scenario())


def test_losses_are_counted(tmp_path: Path) -> None:
    stats = Stats()
    log = LineLog.open(Path("/dev/full"))
    log.count_losses(stats)
    log.write({"n": 1})
    log.write({"n": 2})
    [family] = stats.families()
    assert family.name == "fastsmtp_log_lines_lost_total"
    assert list(stats.cells)[stats.cell(family)] == 2
    log.close()
