"""Stands between the transport of a connection and the connection itself, and is each one's other side.

`asyncio` and `uvloop` have a `start_tls` of their own. What it does with bytes that were received before it differs by
version: some hand them to the program behind the handshake, as if they had come encrypted. Here nothing does.
"""

import asyncio
import ssl
from typing import Any, Protocol

from fastsmtp.server.tls.layer import PIECE_BYTES, Context, Endpoint, TlsLayer

__all__ = ["Secured", "TlsTransport"]


class Secured(Protocol):
    """Who speaks through a TlsTransport: an `asyncio.Protocol` that also hears of the handshake."""

    def secured(self, tls: Endpoint) -> None:
        """The handshake is complete."""
        ...

    def not_secured(self, reason: str) -> None:
        """There was none, and the connection is closed; `reason` is OpenSSL's word, empty when the client left."""
        ...

    def data_received(self, data: bytes) -> None: ...

    def eof_received(self) -> bool | None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """The protocol of `transport`, and the transport of `owner`; `start` begins.

    The owner is given plain text in pieces, and no piece after it has paused reading, so that neither input nor output
    piles up here: what waits, waits encrypted, and the network is not read meanwhile.
    """

    __slots__ = (
        "_input_ended",
        "_is_closing",
        "_is_reading",
        "_is_secured",
        "_layer",
        "_loop",
        "_network_ended",
        "_owner",
        "_transport",
    )

    def __init__(
        self, transport: asyncio.Transport, context: Context, owner: Secured, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self._transport = transport
        self._owner = owner
        self._loop = loop
        self._layer = TlsLayer(context)
        self._is_secured = False
        self._is_reading = True
        self._network_ended = False
        self._input_ended = False
        self._is_closing = False

    def start(self) -> None:
        """From here on, what the network gives is TLS."""
        self._transport.set_protocol(self)

    # --- what the network says ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Records, in any portions."""
        if self._is_closing or self._input_ended:
            return  # behind a close_notify nothing counts, encrypted or not (RFC 8446 section 6.1)
        self._layer.receive(data)
        if not self._is_secured:
            self._shake_hands()
        if self._is_secured:
            self._decrypt()

    def eof_received(self) -> bool:
        """The client has shut its side of TCP, with or without close_notify."""
        self._network_ended = True
        if not self._is_secured:
            return False
        if self._is_reading:
            self._end_input()
        return True  # whoever is behind us closes

    def connection_lost(self, exc: Exception | None) -> None:
        """The network is gone."""
        if not self._is_secured and not self._is_closing:
            self._owner.not_secured("")
        self._is_closing = True
        self._owner.connection_lost(exc)
        del self._owner, self._layer  # no cycle: what OpenSSL holds goes with the connection

    def pause_writing(self) -> None:
        """The network takes no more."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._owner.resume_writing()

    # --- what the owner says -----------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, encrypted. Nothing is sent once we are closing."""
        if self._is_closing:
            return
        try:
            for start in range(0, len(data), PIECE_BYTES):
                self._layer.write(data[start : start + PIECE_BYTES])
                self._transport.write(self._layer.take_output())
        except ssl.SSLError:  # only after something that came has broken the connection already
            self.abort()

    def close(self) -> None:
        """Say close_notify, and close when everything is sent."""
        if self._is_closing:
            return
        self._is_closing = True
        self._layer.end()
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close now; what was not sent is lost."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Give the owner no further piece."""
        if not self._is_closing:
            self._is_reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on, in a later turn of the loop."""
        if self._is_closing:
            return
        self._is_reading = True
        self._transport.resume_reading()
        if self._layer.has_input or self._network_ended:
            self._loop.call_soon(self._go_on)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport below knows of the connection."""
        return self._transport.get_extra_info(name, default)

    # --- in between --------------------------------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self._is_secured = self._layer.handshake()
        except ssl.SSLError as error:
            self._is_closing = True
            self._flush()  # the alert says to the client why
            self._transport.close()
            self._owner.not_secured(error.reason or "UNKNOWN")
            return
        if self._is_secured:
            self._owner.secured(self._layer.object)
        self._flush()

    def _decrypt(self) -> None:
        """Hand on what there is, as long as somebody takes it."""
        layer, owner = self._layer, self._owner
        try:
            while self._is_reading and not self._is_closing:
                piece = layer.read()
                if piece:
                    owner.data_received(piece)
                elif piece is None:
                    break
                else:
                    self._end_input()
                    break
        except ssl.SSLError:  # a record that was forged or broken: nothing behind it can be believed
            self._is_closing = True
            self._flush()
            self._transport.close()
        else:
            self._flush()  # the answer to an update of keys

    def _go_on(self) -> None:
        if self._is_reading and not self._input_ended and not self._is_closing:
            self._decrypt()
            if self._network_ended and self._is_reading:
                self._end_input()

    def _end_input(self) -> None:
        """The client says no more. Where it did not say so itself, an incomplete message is incomplete all the same."""
        if not self._input_ended and not self._is_closing:
            self._input_ended = True
            if not self._owner.eof_received():
                self.close()

    def _flush(self) -> None:
        if output := self._layer.take_output():
            self._transport.write(output)
