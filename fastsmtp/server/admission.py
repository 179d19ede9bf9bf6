"""Who gets in: how many connections there are at once, in all and of each client, and how often somebody comes.

What is counted is right across the workers of a server (`fastsmtp._clients`). A client is an IPv4 address, or an IPv6
network of 64 bits, which is what one host has (RFC 4291 section 2.5.1); its network is 24 bits of IPv4, 48 of IPv6.
"""

import sys
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from fastsmtp._clients import NOT_COUNTED, ClientTable
from fastsmtp.config.limits import LimitSettings
from fastsmtp.config.networks import packed_address
from fastsmtp.server.overload import Overload, Shed
from fastsmtp.server.refusals import Refusals
from fastsmtp.smtp.replies import Reply

__all__ = ["NOWHERE", "Admission", "Place"]

_ADDRESS_BYTES: Final = {4: 4, 16: 8}
_NETWORK_BYTES: Final = {4: 3, 16: 6}
_HASH_BYTES: Final = 8


class Place(NamedTuple):
    """Where a connection is counted, to be given back when it is closed."""

    address: int = NOT_COUNTED
    network: int = NOT_COUNTED


NOWHERE: Final = Place()
"""That of a client that is counted in all, and not by itself."""


class Admission:
    """One per worker. Times are whole seconds of the clock of `ClientTable`.

    `known_s` is how long somebody of whom mail was stored is no stranger. A connection of descriptor `descriptors`
    or higher is one too many: the kernel always gives the least that is free.
    """

    def __init__(
        self,
        table: ClientTable,
        limits: LimitSettings,
        overload: Overload,
        refusals: Refusals,
        *,
        known_s: float,
        descriptors: int = sys.maxsize,
    ) -> None:
        self._table = table
        self._hash_key = table.hash_key
        self._limits = limits
        self.overload = overload
        self.refusals = refusals
        self._known_s = known_s
        self._descriptors = descriptors

    @property
    def open(self) -> int:
        """Connections of all workers."""
        return self._table.open

    def enter(self, address: str, now_s: int, descriptor: int = 0) -> Place | Reply:
        """Somebody whose address is known is at the door: `come` and `admit` in one."""
        refusal = self.come(address, descriptor)
        if refusal is not None:
            return refusal
        place = self.admit(address, now_s)
        if isinstance(place, Reply):
            self.go(NOWHERE, now_s)
        return place

    def come(self, address: str, descriptor: int = 0) -> Reply | None:
        """Somebody is at the door. None: it is counted, until it goes; a reply: it is not, and hears this."""
        if descriptor >= self._descriptors:
            return self.refusals.refuse("descriptors", address)
        if self._table.join() > self._limits.connections:
            self._table.part()
            return self.refusals.refuse("connections", address)
        return None

    def go(self, place: Place, now_s: int) -> None:
        """One who came, and was counted there, is gone."""
        self._table.part()
        self.leave(place, now_s)

    def leave(self, place: Place, now_s: int) -> None:
        """The connection stays, and its client is another one."""
        for slot in place:
            if slot != NOT_COUNTED:
                self._table.leave(slot, now_s)

    def admit(self, address: str, now_s: int) -> Place | Reply:
        """The client is known now: where it is counted, or what it hears instead of the greeting.

        Whoever is turned away is not counted: a client that comes too often gets in as often as it may.
        """
        packed = packed_address(address)
        if not packed or packed in self._limits.exempt:
            return NOWHERE
        table = self._table
        client = self._name(packed[: _ADDRESS_BYTES[len(packed)]])
        network = self._name(packed[: _NETWORK_BYTES[len(packed)]])
        place = Place(table.enter(client, now_s), table.enter(network, now_s))
        passed = self._judge(table.look(client, now_s), table.look(network, now_s), now_s)
        if not passed:
            return place
        for slot in place:
            if slot != NOT_COUNTED:
                table.take_back(slot, now_s)
        return self.refusals.refuse(passed, address)

    def is_known(self, address: str, place: Place, now_s: int) -> bool:
        """Whether mail of this client, or of a neighbour, was stored lately; who is counted nowhere is no stranger."""
        if place is NOWHERE:
            return True
        packed = packed_address(address)
        names = (packed[: _ADDRESS_BYTES[len(packed)]], packed[: _NETWORK_BYTES[len(packed)]])
        return any(self._is_recent(self._table.look(self._name(name), now_s)[2], now_s) for name in names)

    def stored(self, place: Place, now_s: int) -> None:
        """Mail of this client was stored: it is no stranger, and neither are its neighbours."""
        for slot in place:
            if slot != NOT_COUNTED:
                self._table.mark_stored(slot, now_s)

    def _judge(self, client: tuple[int, int, int], network: tuple[int, int, int], now_s: int) -> str:
        """What is passed, if anything."""
        limits = self._limits
        if 0 < limits.connections_per_address < client[0]:
            return "connections_per_address"
        if 0 < limits.connections_per_network < network[0]:
            return "connections_per_network"
        if 0 < limits.arrivals_per_address < client[1]:
            return "arrivals_per_address"
        if 0 < limits.arrivals_per_network < network[1]:
            return "arrivals_per_network"
        if self.overload.sheds is not Shed.NOTHING and not self._is_recent(max(client[2], network[2]), now_s):
            return "stranger"
        return ""

    def _is_recent(self, stored_s: int, now_s: int) -> bool:
        return stored_s > 0 and now_s - stored_s <= self._known_s

    def _name(self, octets: bytes) -> int:
        return _keyed(self._hash_key, octets)


@lru_cache(4096)  # who comes again is most of who comes
def _keyed(key: bytes, octets: bytes) -> int:
    """What the table calls them; without the key nobody can tell who shares a bucket with whom."""
    return int.from_bytes(blake2b(octets, digest_size=_HASH_BYTES, key=key).digest(), "little")
