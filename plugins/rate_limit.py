"""Take no more in a while than agreed: of an address, a network, a sender, a recipient, a user."""

from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from fastsmtp.plugin import (
    NO_ADDRESSES,
    NOBODY,
    Address,
    AddressEntries,
    Connection,
    Lack,
    Networks,
    Place,
    Plugin,
    RateText,
    Reply,
    Services,
    Transaction,
    V4Bits,
    V6Bits,
    defer,
    network_of,
    state_key,
    take_each,
    then,
)

__all__ = ["Limit", "Options", "RateLimit"]

_OF_CONNECTION = ("address", "network")
_OF_RECIPIENT = ("recipient", "recipient_domain")


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: `by` says who has a bucket of his own, `what` what takes a token out of it."""

    by: Literal["address", "network", "sender", "sender_domain", "recipient", "recipient_domain", "user"]
    rate: RateText
    burst: int | None = None
    what: Literal["connections", "messages", "recipients"] = "messages"
    null_sender: bool = False

    def __post_init__(self) -> None:
        if self.burst is not None:
            if not 1 <= self.burst <= 10**6:
                raise ValueError(f"`burst` is 1 to 1000000, not {self.burst}")
            object.__setattr__(self, "rate", self.rate.with_burst(self.burst))
        if self.what == "connections" and (self.by not in _OF_CONNECTION or self.null_sender):
            raise ValueError('connections are counted by "address" or "network": nothing else is known of them')
        if self.null_sender and self.by.startswith("sender"):
            raise ValueError("with `null_sender` there is one sender only; count by another name")

    @property
    def at_rcpt(self) -> bool:
        """Whether it is counted at RCPT: a message for two recipients is one for each of them."""
        return self.what == "recipients" or (self.what == "messages" and self.by in _OF_RECIPIENT)

    def __str__(self) -> str:
        return f"{self.what} by {self.by.replace('_', ' ')}, {self.rate}"


@dataclass(frozen=True, slots=True)
class Options:
    """`limits` has to be given."""

    limits: tuple[Limit, ...]
    exempt: Networks = NOBODY
    exempt_users: bool = False
    exempt_senders: AddressEntries = NO_ADDRESSES
    exempt_recipients: AddressEntries = NO_ADDRESSES
    v4_bits: V4Bits = 24
    v6_bits: V6Bits = 64
    hang_up: bool = False
    reason: str = "Too much for now, try again later"

    def __post_init__(self) -> None:
        if not self.limits:
            raise ValueError("`limits` has no limit in it")


Named: TypeAlias = tuple[tuple[Limit, str], ...]
Wanted: TypeAlias = list[tuple[Limit, str]]


class RateLimit(Plugin[Options]):
    """Defers, with `451 4.7.1`, what is more than a rate; each limit is a token bucket for each key.

    * `limits`: tables with `by` ("address", "network", "sender", "sender_domain", "recipient", "recipient_domain" or
      "user", who has logged in), `rate` ("20/minute"), `burst` (how many at once; as many as the rate says), `what`
      ("messages", "recipients", or "connections") and `null_sender` (true: only mail from `<>` counts).
    * `exempt`: networks and addresses of clients to whom nothing applies, nor does it to who is vouched for.
    * `exempt_users` (false): nor to who has logged in.
    * `exempt_senders`, `exempt_recipients`: addresses, domains and patterns, likewise.
    * `v4_bits`, `v6_bits` (24, 64): how large a network is. An IPv6 address counts as its /64.
    * `hang_up` (false): say `421 4.7.1` instead, and close the connection.
    * `reason`: what the client hears, followed by the limit.

    What one limit refuses takes no token from any other. Workers of a host share all buckets, several hosts do with
    `[state] url`. A key that a limit has no value for (nobody logged in, no sender) is not limited by it.
    """

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        for index, limit in enumerate(self.options.limits):
            trouble = limit.rate.oddity
            if limit.by == "user" and not place.has_logins:
                trouble = 'nobody can log in here, and by = "user" limits nobody; switch [auth] on, or leave it out'
            elif limit.by == "user" and self.options.exempt_users:
                trouble = "exempt_users spares all whom it is about; leave one of them out"
            if trouble:
                yield f"limits.{index}", trouble

    async def start(self, services: Services) -> None:
        self._buckets = services.buckets
        limits = self.options.limits
        self._at_connect = self._named(limit for limit in limits if limit.what == "connections")
        self._at_mail = self._named(limit for limit in limits if limit.what == "messages" and not limit.at_rcpt)
        self._at_rcpt = self._named(limit for limit in limits if limit.at_rcpt)

    def _named(self, limits: Iterable[Limit]) -> Named:
        """With the beginning of their keys, which has everything in it that makes a bucket another one."""
        return tuple((limit, state_key(self.name, str(limit), str(limit.rate.burst))) for limit in limits)

    def on_connect(self, connection: Connection) -> Reply | Awaitable[Reply | None] | None:
        if not self._at_connect or connection.is_trusted or self.options.exempt.covers(connection.remote_address):
            return None
        return self._take(connection, self._keys(self._at_connect, connection))

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | Awaitable[Reply | None] | None:
        if not self._at_mail or self._is_exempt(txn.connection, sender):
            return None
        return self._take(txn, self._keys(self._at_mail, txn.connection, sender))

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | Awaitable[Reply | None] | None:
        if not self._at_rcpt or self._is_exempt(txn.connection, txn.sender):
            return None
        if self.options.exempt_recipients.find(recipient):
            return None
        return self._take(txn, self._keys(self._at_rcpt, txn.connection, txn.sender, recipient))

    def _is_exempt(self, connection: Connection, sender: Address) -> bool:
        options = self.options
        if connection.is_trusted or (connection.user and options.exempt_users):
            return True
        return options.exempt_senders.find(sender) is not None or options.exempt.covers(connection.remote_address)

    def _keys(
        self,
        limits: Named,
        connection: Connection,
        sender: Address | None = None,
        to: Address | None = None,
    ) -> Wanted:
        """Who is limited by what."""
        wanted: Wanted = []
        for limit, name in limits:
            if limit.null_sender and (sender is None or not sender.is_null):
                continue
            match limit.by:
                case "address":
                    value = network_of(connection.remote_address, 32, 64)
                case "network":
                    value = network_of(connection.remote_address, self.options.v4_bits, self.options.v6_bits)
                case "user":
                    value = connection.user
                case "sender" | "recipient" as by:
                    value = _full(sender if by == "sender" else to)
                case "sender_domain" | "recipient_domain" as by:
                    value = getattr(sender if by == "sender_domain" else to, "domain", "")
            if value:
                wanted.append((limit, f"{name} {state_key(value)}"))
        return wanted

    def _take(self, about: Connection | Transaction, wanted: Wanted) -> Reply | Awaitable[Reply | None] | None:
        lack = take_each(self._buckets, wanted)
        if lack is None:
            return None
        refuse = partial(self._refuse, about, wanted)
        return refuse(lack) if isinstance(lack, Lack) else then(lack, refuse)

    def _refuse(self, about: Connection | Transaction, wanted: Wanted, lack: Lack | None) -> Reply | None:
        if lack is None:
            return None
        limit, key = wanted[lack.index]
        self.record(about, "fail", f"{limit}: {key.rpartition(' ')[2]}, again in {lack.wait_s:.0f} s")
        text = f"{self.options.reason}: {limit}"
        return defer("4.7.1", text, code=421).hang_up() if self.options.hang_up else defer("4.7.1", text, code=451)


def _full(address: Address | None) -> str:
    """Without case; empty for `<>`, which is nobody's address."""
    if address is None or address.is_null:
        return ""
    return f"{address.folded_local}@{address.domain}"
