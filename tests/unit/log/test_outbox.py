import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fastsmtp.log import outbox as outbox_module
from fastsmtp.log.encoding import encode_line
from fastsmtp.log.outbox import WAITING_BYTES, Outbox


class Reader:
    """A sink that is read by a test: it can be told to fail, and to block."""

    line_end = None

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.failures: deque[OSError] = deque()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_written_to = threading.Event()
        self.reopened_after: list[int] = []
        self.is_closed = False

    def encode(self, line: Mapping[str, Any]) -> bytes:
        return encode_line(line)

    def write(self, lines: deque[bytes]) -> None:
        self.is_written_to.set()
        assert self.goes_on.wait(30)
        while lines:
            if self.failures and self.failures[0].args[0] == "at" and len(lines) == self.failures[0].args[1]:
                self.failures.popleft()
                raise OSError(28, "No space left on device")
            if self.failures and self.failures[0].args[0] != "at":
                raise self.failures.popleft()
            self.lines.append(lines.popleft())

    def reopen(self) -> None:
        if self.failures:
            raise self.failures.popleft()
        self.reopened_after.append(len(self.lines))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def outbox(reader: Reader) -> Iterator[Outbox]:
    box = Outbox(reader)
    yield box
    reader.goes_on.set()


def test_without_a_thread_all_is_done_at_once(outbox: Outbox, reader: Reader) -> None:
    outbox.put([b"1", b"2"])
    outbox.reopen()
    outbox.put([b"3"])
    assert (reader.lines, reader.reopened_after) == ([b"1", b"2", b"3"], [2])
    assert outbox.close()
    assert reader.is_closed


def test_with_a_thread_all_is_done_in_order(outbox: Outbox, reader: Reader) -> None:
    outbox.start()
    for number in range(100):
        outbox.put([b"%d" % number])
        if number == 49:
            outbox.reopen()
    assert outbox.close()
    assert reader.lines == [b"%d" % number for number in range(100)]
    assert reader.reopened_after == [50]
    assert reader.is_closed


def test_who_does_not_read_stops_nobody(
    outbox: Outbox, reader: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outbox_module, "CLOSE_WITHIN_S", 0.01)
    lost: list[int] = []
    outbox.on_lost = lost.append
    reader.goes_on.clear()
    outbox.start()
    outbox.put([b"first"])
    assert reader.is_written_to.wait(10)
    line = b"x" * 1000
    taken = 0
    while not lost:
        outbox.put([line, line])
        taken += 2
    taken -= 2
    outbox.put([b"another"])  # a short one has room
    outbox.put([line] * 3)
    assert lost == [2, 3]
    assert taken * 1000 <= WAITING_BYTES < (taken + 2) * 1000
    assert not outbox.close()
    reader.goes_on.set()
    assert outbox.close()
    first, *others, another = reader.lines
    assert first == b"first"
    notice = json.loads(others.pop(0))
    assert (notice["event"], notice["level"], notice["lines"]) == ("log_lost", "error", 5)
    assert (others, another) == ([line] * taken, b"another")
    assert capsys.readouterr().err == ""  # it may be the same pipe


def test_lost_lines_are_counted_and_said(outbox: Outbox, reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    lost: list[int] = []
    outbox.on_lost = lost.append
    reader.failures += [BrokenPipeError(32, "Broken pipe"), BrokenPipeError(32, "Broken pipe"), OSError("at", 1)]
    outbox.put([b"1", b"2"])
    outbox.put([b"3"])
    outbox.put([b"4", b"5"])  # the notice and the first of these get through
    outbox.put([b"6"])
    outbox.put([b"7"])
    assert lost == [2, 1, 1]
    notices = [json.loads(line)["lines"] for line in reader.lines if line.startswith(b"{")]
    assert notices == [3, 1]
    assert [line for line in reader.lines if not line.startswith(b"{")] == [b"4", b"6", b"7"]
    assert capsys.readouterr().err == "fastsmtp: log lines are being lost: Broken pipe\n"
    reader.failures.append(OSError(28, "No space left on device"))
    outbox.put([b"8"])
    assert capsys.readouterr().err == "fastsmtp: log lines are being lost: No space left on device\n"


def test_a_file_that_cannot_be_opened_anew_is_told(
    outbox: Outbox, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    reader.failures.append(PermissionError(13, "Permission denied"))
    outbox.reopen()
    outbox.put([b"1"])
    assert reader.lines == [b"1"]
    assert capsys.readouterr().err == (
        "fastsmtp: the log cannot be opened anew and goes on where it was: Permission denied\n"
    )
