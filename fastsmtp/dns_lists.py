"""Lists in the DNS (RFC 5782): what they are asked, what they say, and when enough of them have said it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address, ip_network
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from pydantic import PlainValidator

from fastsmtp.config.networks import NetworkSet, parse_networks
from fastsmtp.config.units import Spelling
from fastsmtp.errors import DnsError
from fastsmtp.placeholders import fill
from fastsmtp.ports import DnsAnswer, Resolver
from fastsmtp.smtp.address import canonical_domain
from fastsmtp.smtp.transaction import Connection, Transaction

__all__ = ["DnsList", "DnsLists", "Inquiry", "Listing", "listed_name"]

TEXT_CHARACTERS: Final = 200
"""So much of a list's own text goes into a reply."""

LISTED: Final = NetworkSet((ip_network("127.0.0.0/8"),))
"""What an answer may be at all (RFC 5782 section 2.1); others come from a domain that somebody else has now."""

# What lists answer to those whom they do not serve, or who ask too much: 127.255.255.0/24 Spamhaus, 127.0.0.1 URIBL and
# SURBL, 127.0.0.255 DNSWL. RFC 5782 section 5 has 127.0.0.1 for what is listed by nobody.
NOT_SERVED: Final = NetworkSet(tuple(map(ip_network, ("127.255.255.0/24", "127.0.0.1/32", "127.0.0.255/32"))))


@dataclass(frozen=True, slots=True)
class DnsList:
    """One list: its zone, what it weighs to be on it (less than 0 for a list of the good), and which answers count."""

    zone: str
    weight: int = 1
    codes: NetworkSet = LISTED


def _dns_lists(value: object) -> tuple[DnsList, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f'{value!r} is no list of zones; write one like ["zen.spamhaus.org"]')  # noqa: TRY004 - pydantic
    return tuple(map(_dns_list, value))


def _dns_list(value: object) -> DnsList:
    table: Mapping[str, Any] = {"zone": value} if isinstance(value, str) else value if isinstance(value, dict) else {}
    zone, weight = table.get("zone"), table.get("weight", 1)
    if not isinstance(zone, str):
        raise ValueError(f'{value!r} is no list; write its zone, or {{ zone = "zen.spamhaus.org", weight = 2 }}')  # noqa: TRY004 - pydantic
    known = [field.name for field in fields(DnsList)]
    if unknown := sorted(table.keys() - set(known)):
        raise ValueError(f"{zone}: unknown {', '.join(unknown)}; known are {', '.join(known)}")
    if not isinstance(weight, int) or isinstance(weight, bool) or weight == 0:
        raise ValueError(f"{zone}: weight is a whole number, less than 0 for a list of the good, and not {weight!r}")
    return DnsList(canonical_domain(zone), weight, parse_networks(table["codes"]) if "codes" in table else LISTED)


DnsLists: TypeAlias = Annotated[tuple[DnsList, ...], PlainValidator(_dns_lists), Spelling("list of zones")]
"""Lists as an option of a plugin: zones, or tables with `zone`, `weight` and `codes`."""


class Listing(NamedTuple):
    """A name that is on a list, with the answer that said so."""

    zone: str
    name: str
    code: IPv4Address | IPv6Address

    def __str__(self) -> str:
        return f"{self.zone} ({self.code})"


def listed_name(address: IPv4Address | IPv6Address) -> str:
    """What stands before the zone: the octets of an address backwards, of IPv6 the nibbles (RFC 5782 section 2)."""
    return address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


class Inquiry:
    """Asks all lists about some names, and knows when the rest can change nothing any more.

    A list counts once, however many of the names are on it. `listings` are in the order in which they were heard of,
    `troubles` are sentences for the record.
    """

    def __init__(self, resolver: Resolver, lists: Sequence[DnsList], threshold: int) -> None:
        self.listings: list[Listing] = []
        self.troubles: list[str] = []
        self.weight = 0
        self._resolver = resolver
        self._lists = lists
        self._threshold = threshold
        self._is_listed = [False] * len(lists)
        self._is_troubled = [False] * len(lists)
        self._waits = [0] * len(lists)
        self._open: dict[asyncio.Future[DnsAnswer[IPv4Address | IPv6Address]], tuple[int, str]] = {}

    def ask(self, names: Iterable[str], about: Connection | Transaction) -> None:
        """Ask about these names; what is remembered is heard at once."""
        for name in names:
            for index, one in enumerate(self._lists):
                try:
                    lookup = self._resolver.addresses(f"{name}.{one.zone}", about, version=4)
                except DnsError as error:
                    self._is_troubled[index] = True
                    self.troubles.append(f"{one.zone}: {error}")
                    continue
                if isinstance(lookup, DnsAnswer):
                    self._hear(index, name, lookup)
                else:
                    self._open[lookup] = index, name
                    self._waits[index] += 1

    @property
    def is_refused(self) -> bool | None:
        """Whether the weight reaches the threshold; None while what is open may still decide it.

        A list of the good that is in trouble might have spoken up, so it is taken for one that did.
        """
        least = most = self.weight
        for index, one in enumerate(self._lists):
            if self._is_listed[index]:
                continue
            if self._waits[index] and one.weight > 0:
                most += one.weight
            elif one.weight < 0 and (self._waits[index] or self._is_troubled[index]):
                least += one.weight
        if least >= self._threshold:
            return True
        return False if most < self._threshold or not self._open else None

    async def settle(self) -> bool:
        """Whether it is refused, as soon as that is certain. Nobody waits for the other lists."""
        while (verdict := self.is_refused) is None:
            done, _ = await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)
            for lookup in [lookup for lookup in self._open if lookup in done]:  # in the order of the configuration
                index, name = self._open.pop(lookup)
                self._waits[index] -= 1
                try:
                    self._hear(index, name, lookup.result())
                except DnsError as error:
                    self._is_troubled[index] = True
                    self.troubles.append(f"{self._lists[index].zone}: {error}")
        for lookup in self._open:
            lookup.cancel()
        self._open.clear()
        return verdict

    async def reason(
        self, template: str, about: Connection | Transaction, values: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """A text for the client about the first listing: `{name}`, `{zone}`, `{text}` (what the list says itself),
        and further values.
        """
        zone, name, _ = self.listings[0]
        text = ""
        if "{text}" in template:
            try:
                texts = (await self._resolver.txt(f"{name}.{zone}", about)).records
            except DnsError:
                texts = ()
            text = _plain(" ".join(texts))
        return fill(template, {**values, "name": name, "zone": zone, "text": text}).rstrip(" :")

    def _hear(self, index: int, name: str, answer: DnsAnswer[IPv4Address | IPv6Address]) -> None:
        one = self._lists[index]
        for code in answer.records:
            if code.packed in NOT_SERVED or code.packed not in LISTED:
                self._is_troubled[index] = True
                self.troubles.append(f"{one.zone} does not serve us ({code})")
            elif code.packed in one.codes:
                if not self._is_listed[index]:
                    self._is_listed[index] = True
                    self.weight += one.weight
                if one.weight > 0:
                    self.listings.append(Listing(one.zone, name, code))
                return


def _plain(text: str) -> str:
    """The text of a list, of which nobody knows who wrote it: printable ASCII on one line, cut."""
    words = "".join(char if char.isascii() and char.isprintable() else " " for char in text).split()
    return " ".join(words)[:TEXT_CHARACTERS]
