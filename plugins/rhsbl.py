"""Refuse mail whose sender's domain, or whose client's name, is on lists in the DNS."""

from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from fastsmtp.plugin import (
    Address,
    Connection,
    DnsError,
    DnsLists,
    Inquiry,
    Plugin,
    Reply,
    Services,
    Transaction,
    at_once,
    canonical_domain,
    check_placeholders,
    packed_address,
    reject,
)

__all__ = ["Options", "Rhsbl"]

NAMES_MAX: Final = 3
"""So many names of the client's address are asked about."""


@dataclass(frozen=True, slots=True)
class Options:
    """Which lists, about which names."""

    lists: DnsLists
    threshold: int = 1
    names: frozenset[Literal["sender", "hello", "reverse"]] = frozenset({"sender", "hello", "reverse"})
    action: Literal["reject", "record"] = "reject"
    reason: str = "{name} is listed by {zone}: {text}"

    def __post_init__(self) -> None:
        if any(one.weight < 0 for one in self.lists):
            raise ValueError("anybody can take a good name for a sender: weights below 0 are for lists of addresses")
        most = sum(one.weight for one in self.lists)
        if not 1 <= self.threshold <= most:
            raise ValueError(f"the threshold is 1 to {most}, what all lists weigh together, and not {self.threshold}")
        check_placeholders(self.reason, ("name", "zone", "text"))
        if not self.names:
            raise ValueError('write at least one of "sender", "hello" and "reverse" into `names`')


class Rhsbl(Plugin[Options]):
    """Asks lists in the DNS about names, all at once: the sender's domain, that of HELO, those of the address (PTR).

    The weights of the lists on which any of them stands are added up; what is certain does not wait for the rest.

    * `lists`: zones, or tables with `zone`, `weight` (1) and `codes`: networks of the answers that count (any).
    * `threshold` (1): the weight from which on mail is refused.
    * `names` (all): "sender", "hello" and "reverse", the names to ask about.
    * `action` ("reject"): refuse at MAIL with `550 5.7.1`; "record" writes it down, no more.
    * `reason`: what the client hears; `{name}`, `{zone}`, and `{text}`, which is what the list says of it.

    A list that does not answer, or says that it does not serve us, is an error in the record and weighs nothing.
    """

    spares_exempt = True
    asks_dns = True

    async def start(self, services: Services) -> None:
        self._resolver = services.resolver

    def on_connect(self, connection: Connection) -> None:
        if "reverse" in self.options.names and packed_address(connection.remote_address):
            with suppress(DnsError):  # it is for the memory: at MAIL the answer is there
                self._resolver.reverse(connection.remote_address.partition("%")[0], connection)

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | Awaitable[Reply | None] | None:
        return at_once(self._judge(txn, sender))

    async def _judge(self, txn: Transaction, sender: Address) -> Reply | None:
        connection, wanted = txn.connection, self.options.names
        inquiry = Inquiry(self._resolver, self.options.lists, self.options.threshold)
        names = dict.fromkeys(
            name
            for kind, text in (("sender", sender.domain), ("hello", connection.hello_name))
            if kind in wanted and (name := _name(text))
        )
        inquiry.ask(names, txn)
        if inquiry.is_refused is not True and "reverse" in wanted and packed_address(connection.remote_address):
            inquiry.ask([name for name in await self._reverse(txn) if name not in names], txn)
        is_refused = await inquiry.settle()
        for trouble in inquiry.troubles:
            self.record(txn, "error", trouble)
        evidence = ", ".join(f"{listing.name} by {listing}" for listing in inquiry.listings) or "not listed"
        self.record(txn, "fail" if is_refused else "pass", evidence)
        if not is_refused or self.options.action == "record":
            return None
        return reject("5.7.1", await inquiry.reason(self.options.reason, txn))

    async def _reverse(self, txn: Transaction) -> list[str]:
        try:
            answer = await self._resolver.reverse(txn.connection.remote_address.partition("%")[0], txn)
        except DnsError as error:
            self.record(txn, "error", f"{txn.connection.remote_address}: {error}")
            return []
        return [name for text in answer.records[:NAMES_MAX] if (name := _name(text))]


def _name(text: str) -> str:
    """A name that a list can know; empty for literals, addresses, single labels and what is no name."""
    try:
        name = canonical_domain(text)
    except ValueError:
        return ""
    return name if "." in name and not name.rpartition(".")[2].isdecimal() else ""
