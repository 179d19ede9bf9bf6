"""Networks with something about each: the most specific one that has an address decides."""

import ipaddress
from collections.abc import Iterable
from typing import Generic, TypeVar

from fastsmtp.config.networks import packed_address

__all__ = ["Network", "NetworkMap", "parse_network"]

T = TypeVar("T")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(text: str) -> Network:
    """A network or a single address. Raises ValueError with a sentence for the operator."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f'{text!r} is no network; write one like "192.0.2.0/24" or "2001:db8::/48"') from None
    raise ValueError(f'{text!r} is no network, but an address in one; write "{meant}"')


class NetworkMap(Generic[T]):
    """As fast with a hundred thousand networks as with ten: one lookup for each length of prefix that is in it."""

    __slots__ = ("_tables", "size")

    def __init__(self, entries: Iterable[tuple[Network, T]] = ()) -> None:
        tables: dict[tuple[int, int], dict[int, T]] = {}
        for network, value in entries:
            octets, host_bits = network.max_prefixlen // 8, network.max_prefixlen - network.prefixlen
            tables.setdefault((octets, host_bits), {})[int(network.network_address) >> host_bits] = value
        by_octets: dict[int, list[tuple[int, dict[int, T]]]] = {4: [], 16: []}
        for (octets, host_bits), table in sorted(tables.items(), key=lambda item: item[0]):
            by_octets[octets].append((host_bits, table))
        self._tables = {octets: tuple(found) for octets, found in by_octets.items()}
        self.size = sum(map(len, tables.values()))

    def find(self, address: str) -> T | None:
        """What stands at the smallest network that has this address; None where there is none, or no address."""
        packed = packed_address(address)
        if not packed:
            return None
        number = int.from_bytes(packed, "big")
        for host_bits, table in self._tables[len(packed)]:
            found = table.get(number >> host_bits)
            if found is not None:
                return found
        return None
