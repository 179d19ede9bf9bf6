"""What fastsmtp._parser should say, written to be obvious and not to be fast. It sees the whole input at once."""

import re
from dataclasses import dataclass

from fastsmtp._parser import LineFault


@dataclass(frozen=True, slots=True)
class Message:
    """A message that has ended."""

    stored: bytes
    rest: bytes
    bare: bool

    @property
    def header_octets(self) -> int:
        """How much of `stored` is header: up to the first empty line, which belongs to it."""
        if self.stored.startswith(b"\n"):
            return 1
        empty_line = self.stored.find(b"\n\n")
        return len(self.stored) if empty_line < 0 else empty_line + 2

    @property
    def size(self) -> int:
        """Octets with lines that end in CRLF."""
        return len(self.stored.replace(b"\n", b"\r\n"))


def message(wire: bytes) -> Message | None:
    """The message that `wire` begins with, or None while it has not ended."""
    whole = b"\r\n" + wire  # the CRLF of the DATA line counts as the first one
    end = whole.find(b"\r\n.\r\n")
    if end < 0:
        return None
    data, rest = whole[2 : end + 2], whole[end + 5 :]
    lines = data.split(b"\r\n")[:-1]
    stored = b"".join(_stored_line(line) + b"\n" for line in lines)
    return Message(stored, rest, bare=any(b"\r" in line or b"\n" in line for line in lines))


def _stored_line(line: bytes) -> bytes:
    parts = line.removeprefix(b".").split(b"\n")
    if len(parts) > 1:
        parts = [b".." if part == b"." else part for part in parts]
    return b"\n".join(parts)


def chunked(chunks: list[bytes], *, binary: bool) -> Message:
    """The message that came in these chunks (BDAT)."""
    whole = b"".join(chunks)
    empty_line = re.search(rb"(?:\A|\n)\r?\n", whole)
    text_ends = empty_line.end() if binary and empty_line else len(whole)
    text, octets = whole[:text_ends], whole[text_ends:]
    stored = text.replace(b"\r\n", b"\n")
    if stored and not stored.endswith(b"\n"):
        stored += b"\n"
    return Message(stored + octets, b"", bare=re.search(rb"\r(?!\n)|(?<!\r)\n", text) is not None)


def commands(wire: bytes, line_bytes: int) -> list[tuple[bytes, bytes] | LineFault]:
    """What `wire` says, line by line; a line that has not ended counts once its fault is certain."""
    *lines, unfinished = wire.split(b"\r\n")
    said = [_command(line, line_bytes) for line in lines]
    if b"\n" in unfinished[:line_bytes]:
        said.append(_fault(LineFault.BARE_LF, unfinished, line_bytes))
    elif len(unfinished) >= line_bytes:
        said.append(_fault(LineFault.TOO_LONG, unfinished, line_bytes))
    return said


def _fault(fault: LineFault, line: bytes, line_bytes: int) -> LineFault:
    is_bdat = re.match(rb"bdat(?![a-z0-9])", line[:line_bytes], re.IGNORECASE)
    return LineFault.CHUNK_LOST if is_bdat else fault


def _command(line: bytes, line_bytes: int) -> tuple[bytes, bytes] | LineFault:
    if b"\n" in line[:line_bytes]:
        return _fault(LineFault.BARE_LF, line, line_bytes)
    if len(line) + len(b"\r\n") > line_bytes:
        return _fault(LineFault.TOO_LONG, line + b"\r\n", line_bytes)
    if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line):
        return _fault(LineFault.BAD_BYTES, line, line_bytes)
    verb, argument = re.fullmatch(rb"([^ \t]*)(.*)", line.rstrip(b" \t")).groups()  # type: ignore[union-attr]  # it always matches
    return verb.upper(), argument.lstrip(b" \t")
