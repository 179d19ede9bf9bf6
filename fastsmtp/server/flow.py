"""Back pressure, both ways: replies nobody reads are not produced, input we cannot take yet stays in the kernel."""

import asyncio
from typing import Final

__all__ = ["INPUT_BYTES", "FlowControl"]

INPUT_BYTES: Final = 65_536
"""How much input may pile up unparsed while we wait for an answer."""


class FlowControl:
    """`can_write` is False while the transport has more than it wants to hold, `is_reading` while we have."""

    __slots__ = ("_transport", "can_write", "is_reading")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.is_reading = True
        self.can_write = True

    def hold_input(self, pending: int, *, is_short: bool = False) -> None:
        """Stop reading once too many octets lie there unparsed: with memory `is_short`, any at all."""
        if self.is_reading and (is_short or pending >= INPUT_BYTES):
            self.is_reading = False
            self._transport.pause_reading()

    def release_input(self, pending: int) -> None:
        """Read again, if reading had stopped and no more than this lies there unparsed."""
        if not self.is_reading and pending < INPUT_BYTES:
            self.is_reading = True
            self._transport.resume_reading()
