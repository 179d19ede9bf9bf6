"""Refuse clients whose address is on lists in the DNS."""

from collections.abc import Awaitable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, Literal

from fastsmtp.plugin import (
    PRIVATE,
    Address,
    Connection,
    DnsLists,
    Inquiry,
    Naughty,
    NetworkSet,
    Opinion,
    Plugin,
    Reply,
    Services,
    Transaction,
    at_once,
    check_placeholders,
    listed_name,
    naughty,
    packed_address,
    reject,
)

__all__ = ["Dnsbl", "Options"]

# Nobody lists these, and nobody should learn of them.
LOCAL: Final = NetworkSet((*PRIVATE.networks, ip_network("127.0.0.1/32"), ip_network("::1/128")))


@dataclass(frozen=True, slots=True)
class Options:
    """Which lists, and from what weight on."""

    lists: DnsLists
    threshold: int = 1
    action: Literal["naughty", "reject", "record"] = "naughty"
    reason: str = "{address} is listed by {zone}: {text}"

    def __post_init__(self) -> None:
        most = sum(one.weight for one in self.lists if one.weight > 0)
        if not 1 <= self.threshold <= most:
            raise ValueError(f"the threshold is 1 to {most}, what all lists weigh together, and not {self.threshold}")
        check_placeholders(self.reason, ("address", "zone", "text"))


class _Asked(dict[str, Inquiry | Naughty | None]):
    """By plugin: what is still asked, or the opinion that came of it."""


class Dnsbl(Plugin[Options]):
    """Asks lists in the DNS about the client's address, all of them at once when it connects.

    The weights of those on which it stands are added up. As soon as it is certain on which side of the threshold they
    come to be, nobody waits for the others. Lists of the good have weights below 0.

    * `lists`: zones, or tables with `zone`, `weight` (1) and `codes`: networks of the answers that count (any).
    * `threshold` (1): the weight from which on a client is refused.
    * `action` ("naughty"): "naughty" refuses at RCPT, with `550 5.7.1`, all but postmaster, and keeps nobody waiting
      before MAIL; "reject" with `554 5.7.1` in place of the greeting; "record" writes it down, no more.
    * `reason`: what the client hears; `{address}`, `{zone}`, and `{text}`, which is what the list says of it.

    A list that does not answer, or says that it does not serve us, is an error in the record and weighs nothing.
    """

    spares_exempt = True
    asks_dns = True

    async def start(self, services: Services) -> None:
        self._resolver = services.resolver

    def on_connect(self, connection: Connection) -> Opinion | Awaitable[Opinion]:
        packed = packed_address(connection.remote_address)
        if not packed or packed in LOCAL:
            return None
        inquiry = Inquiry(self._resolver, self.options.lists, self.options.threshold)
        inquiry.ask([listed_name(ip_address(packed))], connection)
        if self.options.action == "reject" or inquiry.is_refused is False:
            return at_once(self._judge(connection, inquiry))
        asked = connection.notes.get(_Asked)
        if asked is None:
            asked = _Asked()
            connection.notes.put(asked)
        asked[self.name] = inquiry
        return None

    def on_mail(self, txn: Transaction, sender: Address) -> Naughty | Awaitable[Naughty | None] | None:
        asked = txn.connection.notes.get(_Asked)
        if asked is None:
            return None
        state = asked.get(self.name)
        return at_once(self._wait(txn.connection, asked, state)) if isinstance(state, Inquiry) else state

    async def _wait(self, connection: Connection, asked: _Asked, inquiry: Inquiry) -> Naughty | None:
        reply = await self._judge(connection, inquiry)
        opinion = asked[self.name] = naughty(reply.text) if reply is not None else None
        return opinion

    async def _judge(self, connection: Connection, inquiry: Inquiry) -> Reply | None:
        is_refused = await inquiry.settle()
        for trouble in inquiry.troubles:
            self.record(connection, "error", trouble)
        listings = ", ".join(map(str, inquiry.listings))
        evidence = f"{listings}: {inquiry.weight} of {self.options.threshold}" if listings else "not listed"
        self.record(connection, "fail" if is_refused else "pass", evidence)
        if not is_refused or self.options.action == "record":
            return None
        values = {"address": connection.remote_address}
        return reject("5.7.1", await inquiry.reason(self.options.reason, connection, values))
