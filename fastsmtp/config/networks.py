"""Networks as an operator writes them, and addresses as the kernel gives them."""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, PlainValidator

from fastsmtp.config.units import Spelling

__all__ = [
    "NOBODY",
    "PRIVATE",
    "NetworkSet",
    "Networks",
    "V4Bits",
    "V6Bits",
    "network_of",
    "packed_address",
    "parse_networks",
]

_UNIX: Final = "unix"
_V4_MAPPED = bytes(10) + b"\xff\xff"


def packed_address(text: str) -> bytes:
    """The 4 or 16 octets of an IP address, empty for what is none (a Unix socket).

    `::ffff:192.0.2.1` is what a socket for both families says of an IPv4 client, and means that.
    """
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return b""
    return packed[12:] if packed.startswith(_V4_MAPPED) else packed


@lru_cache(4096)  # the same client is asked about again and again
def network_of(address: str, v4_bits: int, v6_bits: int) -> str:
    """The network of an IP address, such as `192.0.2.0/24`, or the address itself when all bits count; else empty."""
    packed = packed_address(address)
    if not packed:
        return ""
    all_bits = 8 * len(packed)
    bits = v4_bits if len(packed) == 4 else v6_bits
    unused = all_bits - bits
    first = (int.from_bytes(packed, "big") >> unused << unused).to_bytes(len(packed), "big")
    name = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, first)
    return f"{name}/{bits}" if unused else name


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Any of these networks; `has_unix` is for clients on a Unix socket, who have no address."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    has_unix: bool = False
    _masks: tuple[tuple[int, int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        masks = ((net.max_prefixlen // 8, int(net.netmask), int(net.network_address)) for net in self.networks)
        no_address = [(0, 0, 0)] if self.has_unix else []
        object.__setattr__(self, "_masks", (*masks, *no_address))

    def __bool__(self) -> bool:
        """Whether there is anybody in it."""
        return bool(self._masks)

    def __contains__(self, packed: bytes) -> bool:
        """Whether an address, as `packed_address` gives it, is in one of them."""
        number, size = int.from_bytes(packed, "big"), len(packed)
        return any(size == octets and number & mask == network for octets, mask, network in self._masks)

    def covers(self, address: str) -> bool:
        """Whether an address, as the kernel gives it, is in one of them; who has none (a Unix socket) with `unix`."""
        return bool(self._masks) and packed_address(address) in self


NOBODY: Final = NetworkSet(())

PRIVATE: Final = NetworkSet(
    tuple(
        ipaddress.ip_network(network)
        for network in (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
            *("fc00::/7", "fe80::/10"),
        )
    )
)
"""Addresses that everybody has at home, and nobody in the DNS (RFC 1918, 6598, 3927, 4193, 4291)."""


def parse_networks(value: object) -> NetworkSet:
    """A list of networks, single addresses, and `unix`. Raises ValueError with a sentence for the operator."""
    if isinstance(value, NetworkSet):
        return value
    if isinstance(value, list | tuple):
        return NetworkSet(tuple(_networks(one for one in value if one != _UNIX)), _UNIX in value)
    raise ValueError(f'{value!r} is no list of networks; write one like ["192.0.2.0/24", "2001:db8::1"]')


def _networks(texts: Iterable[object]) -> Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for text in texts:
        try:
            yield ipaddress.ip_network(text if isinstance(text, str) else "")
        except ValueError:
            raise ValueError(f"{text!r} is no network; write {_right(text)}") from None


def _right(text: object) -> str:
    """What somebody meant who wrote an address of the network in place of its first one."""
    try:
        return f'"{ipaddress.ip_network(str(text), strict=False)}"'
    except ValueError:
        return 'one like "192.0.2.0/24" or "2001:db8::/48", a single address, or "unix"'


Networks = Annotated[NetworkSet, PlainValidator(parse_networks), Spelling("list of networks")]
"""Networks and addresses, in any order, and `unix` for all clients on Unix sockets."""


def _bits(least: int, most: int) -> AfterValidator:
    def check(bits: int) -> int:
        if not least <= bits <= most:
            raise ValueError(f"a network has {least} to {most} bits, not {bits}")
        return bits

    return AfterValidator(check)


V4Bits = Annotated[int, _bits(8, 32)]
"""How large a network of IPv4 is, in an option: its leading bits."""

V6Bits = Annotated[int, _bits(16, 128)]
"""The same for IPv6."""
