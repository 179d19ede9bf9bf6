"""Files, pipes and terminals that are real, with several processes where that matters."""

import json
import os
import pty
import resource
import select
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import pytest

from fastsmtp.log.stream import StreamSink

WRITER = """
import sys
from collections import deque
from fastsmtp.log.stream import StreamSink
sink, number, rounds = StreamSink(1), *map(int, sys.argv[1:])
for turn in range(rounds):
    sizes = [10, 200, 4000, 4096, 5000, 30_000]
    sink.write(deque(sink.encode({"writer": number, "turn": turn, "text": str(number) * size}) for size in sizes))
"""
WRITERS, ROUNDS, LINES_A_ROUND = 3, 30, 6


def read_all(descriptor: int) -> bytearray:
    received = bytearray()
    while piece := os.read(descriptor, 65_536):
        received.extend(piece)
    return received


def check_whole(output: bytes | bytearray) -> None:
    found = [json.loads(line) for line in output.splitlines()]
    assert len(found) == WRITERS * ROUNDS * LINES_A_ROUND
    for line in found:
        assert set(line["text"]) == {str(line["writer"])}
    for writer in range(WRITERS):
        turns = [line["turn"] for line in found if line["writer"] == writer]
        assert turns == sorted(turns)


def start_writers(stdout: int) -> list[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", WRITER]
    return [subprocess.Popen([*command, str(number), str(ROUNDS)], stdout=stdout) for number in range(WRITERS)]


def test_lines_of_several_processes_do_not_interleave_in_a_pipe() -> None:
    reader, writer = os.pipe()
    writers = start_writers(writer)
    os.close(writer)
    output = read_all(reader)
    os.close(reader)
    assert [process.wait(60) for process in writers] == [0] * WRITERS
    check_whole(output)


def test_lines_of_several_processes_do_not_interleave_in_a_file(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as file:
        writers = start_writers(file.fileno())
    assert [process.wait(60) for process in writers] == [0] * WRITERS
    check_whole((tmp_path / "log").read_bytes())


def test_short_lines_go_to_a_pipe_in_steps_that_nothing_can_split(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    sizes: list[int] = []
    write = os.write

    def watched(descriptor: int, data: memoryview) -> int:
        sizes.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", watched)
    lines = deque(b"x" * size + b"\n" for size in (1000, 3000, 2000, 4095, 10, 5000, 10))
    StreamSink(writer).write(lines)
    assert sizes == [1001 + 3001, 2001, 4096, 11, 5001, 11]
    assert sum(sizes) == len(os.read(reader, 65_536))
    os.close(reader)
    os.close(writer)


def test_a_file_is_appended_to_and_not_for_everybody(tmp_path: Path) -> None:
    for number in (1, 2):
        sink = StreamSink.open(tmp_path / "log")
        sink.write(deque([sink.encode({"n": number})]))
        sink.close()
    assert (tmp_path / "log").read_bytes() == b'{"n":1}\n{"n":2}\n'
    assert (tmp_path / "log").stat().st_mode & 0o007 == 0


def test_a_moved_file_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "log"
    sink = StreamSink.open(file)
    sink.write(deque([b"1\n"]))
    moved = file.rename(tmp_path / "moved")
    sink.write(deque([b"2\n"]))
    sink.reopen()
    sink.write(deque([b"3\n"]))
    sink.close()
    assert (moved.read_bytes(), file.read_bytes()) == (b"1\n2\n", b"3\n")


def test_what_cannot_be_opened_anew_goes_on(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    sink = StreamSink.open(tmp_path / "folder" / "log")
    (tmp_path / "folder").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        sink.reopen()
    sink.write(deque([b"1\n"]))
    sink.close()
    assert (tmp_path / "moved" / "log").read_bytes() == b"1\n"


def test_after_a_torn_line_comes_a_new_one(tmp_path: Path) -> None:
    sink = StreamSink.open(tmp_path / "log")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (25, limits[1]))
    lines = deque([b"0123456789\n", b"abcdefghij\n", b"torn here\n", b"lost\n"])
    try:
        with pytest.raises(OSError, match="File too large"):
            sink.write(lines)
        assert list(lines) == [b"torn here\n", b"lost\n"]
        with pytest.raises(OSError, match="File too large"):
            sink.write(lines)
        assert len(lines) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sink.write(deque([b"after\n"]))
    sink.close()
    assert (tmp_path / "log").read_bytes() == b"0123456789\nabcdefghij\ntor\nafter\n"


def test_a_full_disk_is_an_error() -> None:
    sink = StreamSink.open(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        sink.write(deque([b"1\n"]))
    sink.close()


def test_a_reader_that_is_gone_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        StreamSink(writer).write(deque([b"1\n"]))
    os.close(writer)


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def read() -> None:
        received.extend(read_all(reader))

    thread = threading.Thread(target=read)
    thread.start()
    StreamSink(writer).write(deque([b"x" * 1_000_000 + b"\n"]))
    os.close(writer)
    thread.join(timeout=30)
    os.close(reader)
    assert received == b"x" * 1_000_000 + b"\n"


def test_a_terminal_is_written_to() -> None:
    ours, theirs = pty.openpty()
    sink = StreamSink(theirs)
    sink.write(deque([sink.encode({"n": 1})]))
    assert select.select([ours], [], [], 10)[0]
    assert os.read(ours, 100) == b'{"n":1}\r\n'
    os.close(ours)
    os.close(theirs)
