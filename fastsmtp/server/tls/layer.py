"""One TLS connection, sans-I/O: records in and out on one side, plain text on the other (RFC 8446, RFC 5246).

    layer.receive(data)                         what the network gave
    layer.handshake()                           until it says True
    while piece := layer.read():                plain text, piece by piece
        ...
    layer.write(reply)                          the other way
    transport.write(layer.take_output())        records; to be asked for after every one of the others

Everything that goes wrong is an `ssl.SSLError`; what the client is to be told about it is in the output then.
"""

import ssl
from contextlib import suppress
from typing import Final, Protocol

__all__ = ["PIECE_BYTES", "Context", "Endpoint", "TlsLayer", "TlsObject"]

PIECE_BYTES: Final = 16_384
"""The most plain text in one record, and so the longest piece (RFC 8446 section 5.1)."""

# OpenSSL's buffers never shrink, so they are never given more than this at once, whatever the network gave.
_PORTION_BYTES: Final = 2 * PIECE_BYTES


class Endpoint(Protocol):
    """One end of a connection, as `ssl.SSLObject` is one."""

    def do_handshake(self) -> None: ...

    def read(self, len: int = ..., /) -> bytes: ...  # noqa: A002 - as `ssl` has it

    def write(self, data: bytes | bytearray | memoryview, /) -> int: ...

    def unwrap(self) -> None: ...

    def pending(self) -> int: ...

    def version(self) -> str | None: ...

    def cipher(self) -> tuple[str, str, int] | None: ...


class Context(Protocol):
    """What makes one, as `ssl.SSLContext` does."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = ...) -> Endpoint: ...


class TlsObject(ssl.SSLObject):
    """What `ssl` makes for a connection of ours; `asked_name` is by which name the client asked for us."""

    asked_name: str = ""


class TlsLayer:
    """The server's end. Input is decrypted only when somebody reads: what is not read yet waits as it came.

    `object` is for what is known once the handshake is complete.
    """

    __slots__ = ("_held", "_incoming", "_outgoing", "_position", "object")

    def __init__(self, context: Context) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._held = b""
        self._position = 0

    @property
    def has_input(self) -> bool:
        """Whether something was received that nobody has read; it may be less than a record."""
        return bool(self.object.pending() or self._incoming.pending or self._position < len(self._held))

    def receive(self, data: bytes) -> None:
        """Take what the network gave."""
        if self._position < len(self._held):
            self._held = self._held[self._position :] + data
            self._position = 0
        elif len(data) <= _PORTION_BYTES:
            self._incoming.write(data)
        else:
            self._held = data
            self._position = 0

    def handshake(self) -> bool:
        """Go on with the handshake; whether it is complete. Raises ssl.SSLError."""
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                if not self._feed_portion():
                    return False
            else:
                return True

    def read(self) -> bytes | None:
        """The next piece of plain text; None: more input is needed; empty: the client has ended its side properly.

        The end is a close_notify. That the connection breaks off is no end (RFC 8446 section 6.1). Raises ssl.SSLError.
        """
        while True:
            # Where nothing lies there, nothing has to be tried: an exception costs more than the rest of this.
            if self._incoming.pending or self.object.pending():
                try:
                    piece = self.object.read(PIECE_BYTES)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLZeroReturnError:
                    return b""
                else:
                    return piece
            if not self._feed_portion():
                return None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt. Raises ssl.SSLError."""
        self.object.write(data)

    def end(self) -> None:
        """Say close_notify: nothing more comes from us."""
        with suppress(ssl.SSLError):  # it would wait for the client's own, or there was no handshake yet
            self.object.unwrap()

    def take_output(self) -> bytes:
        """Records for the network."""
        return self._outgoing.read()

    def _feed_portion(self) -> bool:
        """Give OpenSSL the next portion of what is held; False when there is none."""
        position, held = self._position, self._held
        if position >= len(held):
            return False
        end = position + _PORTION_BYTES
        self._incoming.write(memoryview(held)[position:end])
        if end >= len(held):
            self._held, self._position = b"", 0
        else:
            self._position = end
        return True
