"""One message as it was received: a header, the pieces of a body, and the fields that we put on top.

Everything is in the form in which it is stored: lines end in LF, transparency is undone. Header fields are bytes,
because that is what they are; nothing is re-serialized, so what was sent is what is stored (RFC 5321 section 6.4).
"""

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["HEADER_FIELDS", "Header", "Message"]

HEADER_FIELDS: Final = 1000
"""How many fields `Header` looks at; whatever comes behind them is stored, not parsed."""

_FIELD_NAME = re.compile(r"[\x21-\x39\x3b-\x7e]{1,76}\Z")  # RFC 5322 section 3.6.8: printable, no colon
_COALESCE_PIECES: Final = 64
_COALESCE_BYTES: Final = 512


class Header:
    """The header fields of a message, read on demand. Names are compared without case (RFC 5322 section 1.2.2)."""

    __slots__ = ("_fields", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._fields: list[tuple[bytes, bytes]] | None = None

    def fields(self) -> list[tuple[bytes, bytes]]:
        """All fields in order as (name in lower case, value); values are unfolded (RFC 5322 section 2.2.3), stripped.

        A line that is no field (no colon, or a blank before any field) is skipped.
        """
        if self._fields is None:
            self._fields = list(_split(self.raw))
        return self._fields

    def get_all(self, name: str) -> list[bytes]:
        """The values of every field of this name, top to bottom."""
        wanted = name.lower().encode("ascii")
        return [value for field, value in self.fields() if field == wanted]

    def get(self, name: str) -> bytes | None:
        """The value of the first field of this name, or None."""
        wanted = name.lower().encode("ascii")
        return next((value for field, value in self.fields() if field == wanted), None)


def _split(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    name = b""
    value: list[bytes] = []
    count = 0
    for line in raw.split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            if name:
                value.append(line.strip(b" \t\r"))
            continue
        if name:
            yield name, b" ".join(value).strip(b" ")
            name = b""
        if count == HEADER_FIELDS:
            return
        field, colon, rest = line.partition(b":")
        if colon and (field := field.rstrip(b" \t")):
            count += 1
            name, value = field.lower(), [rest.strip(b" \t\r")]
    if name:
        yield name, b" ".join(value).strip(b" ")


class Message:
    """The bytes of one message while it arrives and after.

    `header` is everything up to and including the empty line (all of it, when there is none), complete from
    `on_headers` on. `size` counts octets as on the wire: lines end in CRLF, transparency undone (RFC 1870 section 3).
    """

    __slots__ = ("_added", "_coalesce_at", "_header", "_header_pieces", "body", "header_complete", "size")

    def __init__(self) -> None:
        self.size = 0
        self.body: list[bytes] = []
        self.header_complete = False
        self._header_pieces: list[bytes] = []
        self._header: Header | None = None
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
        return sum(map(len, self._header_pieces)) + sum(map(len, self.body))

    def add_header(self, name: str, value: str) -> None:
        """Put a header field on top of the message, below the trace fields.

        A line break in `value` folds the field; nothing in it can start another one. Raises ValueError for a name
        that is not one, or for a NUL.
        """
        if not _FIELD_NAME.match(name):
            raise ValueError(f"{name!r} is not the name of a header field")
        if "\0" in value:
            raise ValueError("a header field cannot hold a NUL")
        lines = [line.strip(" \t") for line in re.split(r"\r\n|\r|\n", value)]
        folded = "\n\t".join(line for line in lines if line)
        self._added.append(f"{name}: {folded}\n".encode())

    @property
    def added_count(self) -> int:
        """How many fields were added."""
        return len(self._added)

    def take_back(self, count: int) -> None:
        """Keep the first `count` of the added fields only."""
        del self._added[count:]

    def append(self, piece: bytes) -> None:
        """Take the next piece as it was received."""
        pieces = self.body if self.header_complete else self._header_pieces
        pieces.append(piece)
        # A client that trickles single bytes must not cost fifty bytes of memory for each.
        if len(pieces) >= self._coalesce_at:
            self._coalesce(pieces)

    def content(self) -> list[bytes]:
        """Header and body as stored, in pieces, without added and trace fields."""
        return self._header_pieces + self.body

    def __bytes__(self) -> bytes:
        return b"".join(self.content())

    def _coalesce(self, pieces: list[bytes]) -> None:
        """Join the pieces when they are small on average; looking at ever longer intervals keeps this linear."""
        self._coalesce_at = 2 * len(pieces)
        if sum(map(len, pieces)) < len(pieces) * _COALESCE_BYTES:
            pieces[:] = [b"".join(pieces)]
            self._coalesce_at = _COALESCE_PIECES
