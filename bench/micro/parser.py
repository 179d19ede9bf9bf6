"""The parser alone: command lines, messages by DATA and by BDAT, beside what the C library takes for the same bytes."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.load.messages import as_chunk, on_wire
from bench.micro.figures import Figure, NotPlayedError, best_ns
from bench.native import program
from fastsmtp._parser import DataEnd, Parser

__all__ = ["figures", "scanner_shares"]

_COMMANDS: Final = (
    b"EHLO client.load.example\r\n"
    b"MAIL FROM:<sender@load.example> SIZE=4096 BODY=8BITMIME\r\n"
    b"RCPT TO:<recipient@bench.example>\r\n"
    b"RCPT TO:<another@bench.example>\r\n"
    b"NOOP\r\n"
    b"RSET\r\n"
)
_READ: Final = 64 * 1024
"""What a read brings at the most."""
_SCANNED: Final = (4096, 1024 * 1024)
"""Octets of the messages."""
_PLAYED: Final = 32 * 1024 * 1024
"""Octets in a round."""
_CALLS: Final = 10_000
_NEXT_TO_NOTHING: Final = b"a: b\r\n\r\nc\r\n.\r\n"
"""A message that takes the same calls as a small one, and gives as many pieces."""


def figures() -> Iterator[Figure]:
    """Raises NotPlayedError when the parser does not see what was sent."""
    yield _commands()
    for octets in _SCANNED:
        yield from _messages(octets)


def scanner_shares() -> dict[str, float]:
    """Of memchr's speed, by the size of the message: all that happens between the socket's bytes and the pieces, and
    what a byte more costs. Python calls here what the server calls as C.
    """
    shares = {}
    for octets in _SCANNED:
        wire = on_wire(octets)
        data_ns, scan_ns = _data_ns(wire, max(1, _PLAYED // octets))
        lines_ns = _limits(wire)["lines"]
        shares[f"{octets // 1024} KiB"] = lines_ns / data_ns
        shares[f"{octets // 1024} KiB without calls"] = lines_ns / scan_ns
    return shares


def _data_ns(wire: bytes, repeats: int) -> tuple[float, float]:
    """Nanoseconds a byte, with the calls of a message and without."""
    taken_ns = best_ns(_ByData(wire), repeats)
    calls_ns = best_ns(_ByData(_NEXT_TO_NOTHING), _CALLS)
    return taken_ns / len(wire), (taken_ns - calls_ns) / (len(wire) - len(_NEXT_TO_NOTHING))


def _commands() -> Figure:
    parser = Parser()
    lines = _COMMANDS.count(b"\n")

    def play() -> None:
        parser.feed(_COMMANDS)
        for _ in range(lines):
            if not isinstance(parser.next_command(), tuple):
                raise NotPlayedError("a command was not parsed")

    return Figure("command lines", 1e9 / best_ns(play, 5000, per_play=lines), "lines/s")


def _messages(octets: int) -> Iterator[Figure]:
    wire, chunk = on_wire(octets), as_chunk(octets).partition(b"\r\n")[2]
    limit_ns = _limits(chunk)
    repeats = max(1, _PLAYED // octets)
    data_ns, scan_ns = _data_ns(wire, repeats)
    bdat_ns = best_ns(_ByBdat(chunk), repeats, per_play=len(chunk))
    size = f"{octets // 1024} KiB"
    lines_ns = limit_ns["lines"]
    beside = f"{lines_ns / data_ns:.2f} of memchr for every line, {lines_ns / scan_ns:.2f} without the calls"
    yield Figure(f"DATA, {size}", 1e3 / data_ns, "MB/s", beside)
    yield Figure(f"BDAT, {size}", 1e3 / bdat_ns, "MB/s", f"{limit_ns['copy'] / bdat_ns:.2f} of memcpy")
    yield Figure(f"memchr for every line end, {size}", 1e3 / limit_ns["lines"], "MB/s")
    yield Figure(f"memchr for what is not there, {size}", 1e3 / limit_ns["absent"], "MB/s")
    yield Figure(f"memcpy, {size}", 1e3 / limit_ns["copy"], "MB/s")


class _ByData:
    """Plays one message by DATA, in the pieces that a socket brings."""

    def __init__(self, wire: bytes) -> None:
        self._pieces = [wire[at : at + _READ] for at in range(0, len(wire), _READ)]
        self._parser = Parser()

    def __call__(self) -> None:
        parser = self._parser
        parser.start_data()
        for piece in self._pieces:
            parser.feed(piece)
            while isinstance(parser.next_data(), bytes):
                pass
        if parser.pending:
            raise NotPlayedError("something is left behind the end of the data")


class _ByBdat(_ByData):
    """Plays one message by BDAT."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._size = len(content)

    def __call__(self) -> None:
        parser = self._parser
        parser.start_chunks(False)
        parser.start_chunk(self._size, True)
        for piece in self._pieces:
            parser.feed(piece)
            while isinstance(found := parser.next_data(), bytes):
                pass
        if not isinstance(found, DataEnd):
            raise NotPlayedError("the chunk has no end")


def _limits(content: bytes) -> dict[str, float]:
    """Nanoseconds a byte."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        out = subprocess.run([program("limits"), file.name], stdout=subprocess.PIPE, check=True).stdout
    found: dict[str, float] = json.loads(out)
    return found
