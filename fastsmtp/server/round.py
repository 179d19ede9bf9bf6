"""What came in one turn of the event loop is answered together: first everybody thinks, then everybody speaks.

The kernel's code and ours push each other out of the processor's caches: read, think, write for one client after the
other costs a tenth more CPU than read for all, think for all, write for all.
"""

import asyncio
import logging
from typing import Final, Protocol

__all__ = ["AtOnce", "Member", "Round"]

_log: Final = logging.getLogger("fastsmtp.server")


class Member(Protocol):
    """Who has something to answer."""

    def think(self) -> bool:
        """Find the answers. Whether there is something to say."""
        ...

    def speak(self) -> None:
        """Say them."""
        ...

    def abort(self) -> None:
        """Close without a word."""
        ...


class Round:
    """One per worker. Whoever is added thinks, and then speaks, once, before the loop looks for input again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._members: list[Member] = []

    def add(self, member: Member) -> None:
        """Let it answer in this round."""
        self._members.append(member)
        if len(self._members) == 1:
            self._loop.call_soon(self._go)

    def _go(self) -> None:
        members, self._members = self._members, []
        speakers = []
        for member in members:
            try:
                if member.think():
                    speakers.append(member)
            except Exception:  # noqa: BLE001 - logged there; whatever it is, the others are not to wait for it
                self._fault(member)
        for member in speakers:
            try:
                member.speak()
            except Exception:  # noqa: BLE001 - as above
                self._fault(member)

    def _fault(self, member: Member) -> None:
        """A fault of ours costs one connection, and nobody else's answer."""
        _log.exception("internal error")
        member.abort()


class AtOnce:
    """For who drives a connection by hand: it answers before `add` returns."""

    def add(self, member: Member) -> None:
        """Let it answer."""
        if member.think():
            member.speak()
