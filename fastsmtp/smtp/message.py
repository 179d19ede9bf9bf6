"""One message as it was received: a header, the pieces of a body, and the fields that we put on top.

A body that grows large goes on in a spool while it arrives. This module opens no files: it is given what makes a spool.

Everything is in the form in which it is stored: lines end in LF, transparency is undone; a body that is
BODY=BINARYMIME is as it came. Header fields are bytes, because that is what they are; nothing is re-serialized, so what
was sent is what is stored (RFC 5321 section 6.4).
"""

import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, Protocol

from fastsmtp._header import split_header
from fastsmtp.smtp.replies import Reply

__all__ = ["SPOOL_PIECE", "Header", "Message", "Spool", "SpoolError"]

SPOOL_PIECE: Final = 65_536
"""Octets: a body goes to its spool in pieces of at least this size (but for the last), and is read in such pieces."""

_is_field_name = lru_cache(256)(re.compile(r"[\x21-\x39\x3b-\x7e]{1,76}").fullmatch)  # RFC 5322 section 3.6.8
_line_break = re.compile(rb"[\r\n]+").split
_COALESCE_PIECES: Final = 64
_COALESCE_BYTES: Final = 512


class Header:
    """The header fields of a message, read on demand. Names are compared without case (RFC 5322 section 1.2.2)."""

    __slots__ = ("_fields", "_lines", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._lines = -1  # nobody has counted them yet
        self._fields: list[tuple[bytes, bytes]] | None = None

    def fields(self) -> list[tuple[bytes, bytes]]:
        """All fields in order as (name in lower case, value); values are unfolded (RFC 5322 section 2.2.3), stripped.

        A line that is no field (no colon, or a blank before any field) is skipped.
        """
        if self._fields is None:
            self._fields = split_header(self.raw)
        return self._fields

    def get_all(self, name: str) -> list[bytes]:
        """The values of every field of this name, top to bottom."""
        wanted = name.lower().encode("ascii")
        return [value for field, value in self.fields() if field == wanted]

    def _line_count(self) -> int:
        if self._lines < 0:
            self._lines = self.raw.count(b"\n")
        return self._lines

    def has_more_fields(self, count: int) -> bool:
        """Whether there are more than `count` (0: any number) lines with which a field could begin."""
        raw = self.raw
        if not 0 < count < self._line_count():  # as it is with nearly every header
            return False
        lines = self._line_count() - raw.endswith(b"\n\n")
        return lines - raw.count(b"\n ") - raw.count(b"\n\t") > count

    def begins(self) -> bool:
        """Whether there is a header: the first line is a field (what is before its colon is not looked at)."""
        line = self.raw.partition(b"\n")[0]
        return b":" in line[1:] and line[:1] not in (b" ", b"\t", b":")

    def has_more(self, name: bytes, count: int) -> bool:
        """Whether more than `count` (0: any number) fields have this name, which is in lower case and has no blanks."""
        # Without as many lines there cannot be as many fields: so it is with nearly every header.
        if not 0 < count < self._line_count():
            return False
        return len(re.findall(rb"^%b[ \t]*:" % re.escape(name), self.raw, re.MULTILINE | re.IGNORECASE)) > count

    def get(self, name: str) -> bytes | None:
        """The value of the first field of this name, or None."""
        wanted = name.lower().encode("ascii")
        return next((value for field, value in self.fields() if field == wanted), None)

    def without(self, name: str, is_unwanted: Callable[[bytes], bool]) -> tuple[bytes, int]:
        """What is left of `raw` without the fields of this name whose value is unwanted, and how many those are.

        Values are as in `fields()`. Some readers take a bare CR for the end of a line, or unfold before they look for
        the colon: a field that is one to them goes, too.
        """
        wanted = name.lower().encode("ascii")
        if wanted not in self.raw.lower():  # as it is with nearly every header
            return self.raw, 0
        removed = 0

        def replace(found: re.Match[bytes]) -> bytes:
            nonlocal removed
            value = b" ".join(line.strip(b" \t") for line in _line_break(found[1]))
            if not is_unwanted(value.strip(b" ")):
                return found[0]
            removed += 1
            return b""

        start = re.escape(wanted) + rb"[ \t]*(?:[\r\n]+[ \t]+)*:"
        raw = re.sub(rb"^%b(.*(?:\n[ \t].*)*)\n?" % start, replace, self.raw, flags=re.MULTILINE | re.IGNORECASE)
        if b"\r" in raw:
            raw = re.sub(rb"\r%b([^\r\n]*(?:[\r\n]+[ \t][^\r\n]*)*)" % start, replace, raw, flags=re.IGNORECASE)
        return raw, removed


class SpoolError(Exception):
    """The spool takes nothing (more); `reply` is what the client is to hear. Whoever raises it has told the log."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Spool(Protocol):
    """The body of one message, out of memory. It goes when the last reference to it goes."""

    @property
    def descriptor(self) -> int:
        """The open file, which holds nothing else. Its file offset means nothing: read at offsets of your own."""
        ...

    @property
    def size(self) -> int:
        """Octets written."""
        ...

    def write(self, piece: bytes) -> None:
        """Put all of the piece behind the others. Raises SpoolError."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """What was written, in pieces of `SPOOL_PIECE` octets. Raises OSError."""
        ...


class Message:
    """The bytes of one message while it arrives and after.

    `header` is everything up to and including the empty line (all of it, when there is none), complete from
    `on_headers` on. `size` counts octets as on the wire: lines end in CRLF, transparency undone (RFC 1870 section 3).

    `held` is how many octets of it are in memory. Where `spool_above` was called, a large body is in the `spool` (None
    until then), and from `on_message` on nothing of it is in memory. The spool lives as long as the message.
    """

    __slots__ = (
        "_added",
        "_body",
        "_body_limit",
        "_body_size",
        "_coalesce_at",
        "_header",
        "_header_pieces",
        "_make_spool",
        "header_complete",
        "held",
        "size",
        "spool",
    )

    def __init__(self) -> None:
        self.size = 0
        self.held = 0
        self.header_complete = False
        self.spool: Spool | None = None
        self._header_pieces: list[bytes] = []
        self._header: Header | None = None
        self._body: list[bytes] = []  # all of it, or what is not in the spool yet
        self._body_size = 0
        self._body_limit = sys.maxsize
        self._make_spool: Callable[[], Spool] | None = None
        self._added: list[bytes] = []
        self._coalesce_at = _COALESCE_PIECES

    @property
    def header(self) -> Header:
        """The header; before `on_headers` it is whatever has arrived."""
        if self._header is not None:
            return self._header
        header = Header(b"".join(self._header_pieces))
        if self.header_complete:
            self._header = header
        return header

    @property
    def added(self) -> bytes:
        """The fields added by plugins, the one added last on top."""
        return b"".join(reversed(self._added)) if self._added else b""

    @property
    def stored_size(self) -> int:
        """Octets of header and body as they are stored, without added and trace fields."""
        spooled = 0 if self.spool is None else self.spool.size
        return sum(map(len, self._header_pieces)) + spooled + self._body_size

    @property
    def memory(self) -> list[bytes]:
        """For a store: the header in one piece, then what of the body is in memory, in pieces.

        From `on_message` on the body is here or in the `spool`, never in both.
        """
        return [self.header.raw, *self._body]

    def add_header(self, name: str, value: str) -> None:
        """Put a header field on top of the message, below the trace fields.

        A line break in `value` folds the field; nothing in it can start another one. Raises ValueError for a name
        that is not one, or for a NUL.
        """
        if not _is_field_name(name):
            raise ValueError(f"{name!r} is not the name of a header field")
        if "\0" in value:
            raise ValueError("a header field cannot hold a NUL")
        lines = [line.strip(" \t") for line in value.replace("\r", "\n").split("\n")]
        folded = "\n\t".join(line for line in lines if line)
        self._added.append(f"{name}: {folded}\n".encode())

    def remove_header(self, name: str, is_unwanted: Callable[[bytes], bool] = lambda _: True) -> int:
        """Take the fields of this name whose value is unwanted out of what was received; how many there were.

        `size` stays what came. Raises RuntimeError before `on_headers`, when not all of them may be there.
        """
        if not self.header_complete:
            raise RuntimeError("the header is not complete")
        raw, removed = self.header.without(name, is_unwanted)
        if removed:
            self._replace_header([raw])
        return removed

    def remember(self) -> tuple[int, list[bytes]]:
        """What `take_back` needs to undo whatever plugins do to the header from now on."""
        return len(self._added), self._header_pieces

    def take_back(self, remembered: tuple[int, list[bytes]]) -> None:
        """The header is again what it was when it was remembered."""
        added_count, pieces = remembered
        del self._added[added_count:]
        if pieces is not self._header_pieces:
            self._replace_header(pieces)

    def _replace_header(self, pieces: list[bytes]) -> None:
        self.held += sum(map(len, pieces)) - sum(map(len, self._header_pieces))
        self._header_pieces, self._header = pieces, None

    def begin_body(self) -> None:
        """What has come so far is no header: an empty line on top says so to every reader, and all of it is body."""
        self._body[:0] = self._header_pieces
        self._body_size += sum(map(len, self._header_pieces))
        self._header_pieces, self._header = [b"\n"], None
        self.held += 1
        self.header_complete = True

    def spool_above(self, octets: int, make_spool: Callable[[], Spool]) -> None:
        """Put a body of more than `octets` into what `make_spool` makes; to be said before any of it has come.

        However large the body is, no more of it than the larger of `octets` and `SPOOL_PIECE` is then in memory.
        """
        self._body_limit = octets
        self._make_spool = make_spool

    def append(self, piece: bytes) -> None:
        """Take the next piece as it was received. Raises SpoolError; then the body is lost, and not to be stored."""
        self.held += len(piece)
        if self.header_complete:
            pieces = self._body
            pieces.append(piece)
            self._body_size += len(piece)
            if self._body_size > self._body_limit:
                self._spill()
                return
        else:
            pieces = self._header_pieces
            pieces.append(piece)
        # A client that trickles single bytes must not cost fifty bytes of memory for each.
        if len(pieces) >= self._coalesce_at:
            self._coalesce(pieces)

    def finish(self) -> None:
        """Nothing more comes: where there is a spool, all of the body goes there. Raises SpoolError like `append`."""
        if self.spool is not None and self._body:
            self._spill()

    def drop(self) -> None:
        """Let go of what has come, in memory and in the spool: it will not be stored, and the memory is needed."""
        self._header_pieces.clear()
        self._header = None
        self._body.clear()
        self._body_size = self.held = 0
        self.spool = None

    def content(self) -> Iterator[bytes]:
        """Header and body as stored, in pieces, without added and trace fields.

        Reads the file of a large message. Raises OSError when it cannot be read.
        """
        yield from self._header_pieces
        if self.spool is not None:
            yield from self.spool.pieces()
        yield from self._body

    def __bytes__(self) -> bytes:
        """All of `content()` in memory."""
        return b"".join(self.content())

    def _spill(self) -> None:
        """Move the body from memory to the spool."""
        body = b"".join(self._body)
        self.held -= self._body_size
        self._body.clear()
        self._body_size = 0
        self._body_limit = SPOOL_PIECE - 1
        self._coalesce_at = _COALESCE_PIECES
        try:
            if self.spool is None and self._make_spool is not None:
                self.spool = self._make_spool()
            if self.spool is not None:
                self.spool.write(body)
        except SpoolError:
            self.spool = None  # others may need its space now
            raise

    def _coalesce(self, pieces: list[bytes]) -> None:
        """Join the pieces when they are small on average; looking at ever longer intervals keeps this linear."""
        self._coalesce_at = 2 * len(pieces)
        if sum(map(len, pieces)) < len(pieces) * _COALESCE_BYTES:
            pieces[:] = [b"".join(pieces)]
            self._coalesce_at = _COALESCE_PIECES
