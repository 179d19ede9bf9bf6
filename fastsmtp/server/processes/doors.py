"""The sockets of a server: made once, held by the supervisor, inherited by one worker after the other.

For each listener on TCP every slot has a socket of its own (SO_REUSEPORT), to which the kernel deals out connections.
Whoever succeeds a worker has its socket, with all who wait there: nobody is refused, whatever becomes of workers. A
Unix socket, and one that systemd has made, is the same for all slots.
"""

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.places import ListenAddress, SystemdAddress, UnixAddress
from fastsmtp.errors import StartError
from fastsmtp.server.identifiers import Identifiers
from fastsmtp.server.processes.activation import ActivatedSocket
from fastsmtp.server.sockets import NO_CHANGE, BoundSocket, Owner, bind, set_owner_and_mode
from fastsmtp.smtp.replies import SHUTTING_DOWN

__all__ = ["Doors", "Entrance", "make_doors"]

_log = logging.getLogger("fastsmtp.server")

_SEAT: Final = 1023
"""The supervisor's, as far as ids go; workers count from 0."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """The sockets of one listener; `is_lent`: they are systemd's."""

    entry: ListenerEntry
    sockets: tuple[BoundSocket, ...]
    is_lent: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether all slots have the same socket."""
        return self.is_lent or not isinstance(self.entry.address, ListenAddress)

    def of(self, slot: int, slots: int) -> list[int]:
        """The descriptors for a slot.

        There may be more sockets than slots (the workers have become fewer: who waits there is to be heard), or fewer
        (no more could be made).
        """
        count = len(self.sockets)
        if self.is_shared or count == 0:
            chosen = self.sockets
        elif count < slots:
            chosen = (self.sockets[slot % count],)
        else:
            chosen = self.sockets[slot::slots]
        return [one.socket.fileno() for one in chosen]

    def close(self, kept: Sequence[BoundSocket]) -> None:
        """Let go of all sockets but these. Whoever waits there hears 421, or the next server."""
        for one in self.sockets:
            if any(one.socket is other.socket for other in kept):
                continue
            if not self.is_lent:
                _turn_away(one.socket)
            one.close()


class Doors:
    """The entrances of one generation, in the order of its listeners, for so many slots."""

    def __init__(self, entrances: Sequence[Entrance], slots: int) -> None:
        self.entrances = tuple(entrances)
        self._slots = slots

    def of(self, slot: int) -> tuple[tuple[int, ...], ...]:
        """What the worker in this slot inherits, for each listener."""
        return tuple(tuple(entrance.of(slot, self._slots)) for entrance in self.entrances)

    def own(self, slot: int) -> Iterator[tuple[int, int]]:
        """The descriptors at which nobody else serves, each with the number of its listener."""
        for number, entrance in enumerate(self.entrances):
            if not entrance.is_shared and len(entrance.sockets) >= self._slots:
                yield from ((number, descriptor) for descriptor in entrance.of(slot, self._slots))

    def set_owners_and_modes(self) -> None:
        """Give Unix sockets that were there before what their entries say now. Raises StartError."""
        for entrance in self.entrances:
            if isinstance(entrance.entry.address, UnixAddress) and not entrance.is_lent:
                set_owner_and_mode(entrance.entry, entrance.entry.address)

    def close(self, spared: "Doors | None" = None) -> None:
        """Let go of all sockets but those that `spared` has too."""
        kept = [] if spared is None else [one for entrance in spared.entrances for one in entrance.sockets]
        for entrance in self.entrances:
            entrance.close(kept)


def make_doors(
    entries: Sequence[ListenerEntry],
    slots: int,
    activated: Sequence[ActivatedSocket] = (),
    known: Doors | None = None,
    default_owner: Owner = NO_CHANGE,
) -> Doors:
    """Doors for these listeners: systemd's sockets, those of `known` where the address is the same, and new ones.

    Raises StartError; then nothing has been made. New Unix sockets belong to `default_owner`, if to nobody else.
    """
    lent = _lent(entries, activated)
    left = [] if known is None else list(known.entrances)
    doors = Doors((), slots)
    try:
        for number, entry in enumerate(entries):
            old = next((entrance for entrance in left if entrance.entry.address == entry.address), None)
            if number in lent:
                entrance = Entrance(entry, lent[number], is_lent=True)
            elif old is not None:
                left.remove(old)
                entrance = _grown(replace(old, entry=entry), slots)
            else:
                entrance = _grown(Entrance(entry, (bind(entry, default_owner=default_owner),)), slots)
            doors = Doors([*doors.entrances, entrance], slots)
    except StartError:
        doors.close(known)
        raise
    return doors


def _lent(entries: Sequence[ListenerEntry], activated: Sequence[ActivatedSocket]) -> dict[int, tuple[BoundSocket, ...]]:
    """Systemd's sockets by number of the listener that they are for. Raises StartError for one that is for nobody."""
    lent: dict[int, tuple[BoundSocket, ...]] = {}
    addresses = [entry.address for entry in entries]
    for one in activated:
        fitting = [number for number, address in enumerate(addresses) if address == SystemdAddress(one.name)]
        fitting = fitting or [number for number, entry in enumerate(entries) if one.name and one.name == entry.name]
        fitting = fitting or [number for number, address in enumerate(addresses) if address == one.address]
        # One socket for both families serves the listener for IPv6, and that for IPv4 where there is no other.
        also = [number for number, address in enumerate(addresses) if address == one.also_ipv4]
        if not fitting and not also:
            raise StartError(
                f"systemd has made a socket on {one.address}, and no listener is there; name its address in [listen] "
                f'smtp or in a [[listener]], there also as "systemd:{one.name}", or take it out of the socket unit'
            )
        bound = BoundSocket(one.socket, one.address)
        if fitting:
            lent[fitting[0]] = (*lent.get(fitting[0], ()), bound)
            lent.update((number, ()) for number in also)
        else:
            lent[also[0]] = (bound,)
    for number, address in enumerate(addresses):
        if isinstance(address, SystemdAddress) and number not in lent:
            names = ", ".join(dict.fromkeys(one.name for one in activated)) or "none"
            raise StartError(f"{address}: systemd has given no socket of this name (there are {names})")
    return lent


def _grown(entrance: Entrance, slots: int) -> Entrance:
    """The entrance with a socket for each slot, or with as many as can be had: the first one was the important one."""
    sockets = list(entrance.sockets)
    try:
        while not entrance.is_shared and len(sockets) < slots:
            sockets.append(bind(entrance.entry, beside=sockets[0]))
    except StartError as error:
        # A port below 1024 after root was given up, say: two workers take turns at one socket then.
        _log.warning("%s: some workers share a socket: %s", sockets[0].address, error)
    return replace(entrance, sockets=tuple(sockets))


def _turn_away(listening: socket.socket) -> None:
    """Whoever has come and was not let in yet may come again. No records here: the log hears of the last one's id."""
    ids, times, last_id = Identifiers(time.time, _SEAT), 0, ""
    with suppress(OSError):  # nobody waits, or it never listened
        while True:
            client, _ = listening.accept()
            times, last_id = times + 1, next(ids)
            with client, suppress(OSError):
                client.send(SHUTTING_DOWN.wire_naming(last_id))
    if times:
        _log.info("clients were turned away while closing", extra={"times": times, "last_id": last_id})
