"""Defer the mail of strangers once: who sends in earnest comes again (RFC 6647)."""

import math
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from fastsmtp.plugin import (
    NO_ADDRESSES,
    NOBODY,
    Address,
    AddressEntries,
    Authentication,
    Duration,
    Networks,
    Place,
    Plugin,
    Reply,
    Services,
    Sightings,
    StateError,
    Transaction,
    V4Bits,
    V6Bits,
    at_once,
    defer,
    network_of,
    state_key,
)

__all__ = ["Greylist", "Options"]

_NO_PRAISE: Final = ("dnsbl", "rhsbl", "helo", "resolvable_sender", "fcrdns", "spf")


@dataclass(frozen=True, slots=True)
class Options:
    """Durations are seconds, or text like "5m"."""

    delay: Duration = 300.0
    window: Duration = 172_800.0
    lifetime: Duration = 3_110_400.0
    auto_allow: int = 2
    by_sender: Literal["domain", "address", "nothing"] = "domain"
    by_recipient: bool = False
    v4_bits: V4Bits = 24
    v6_bits: V6Bits = 64
    trust: frozenset[str] = frozenset()
    exempt: Networks = NOBODY
    exempt_senders: AddressEntries = NO_ADDRESSES
    exempt_recipients: AddressEntries = NO_ADDRESSES
    reason: str = "Greylisted: nobody knows you here yet, come again"

    def __post_init__(self) -> None:
        if not self.delay < self.window:
            raise ValueError(f"`window` ({self.window:g} s) has to be longer than `delay` ({self.delay:g} s)")


@dataclass(slots=True)
class _Decision:
    """What was said in this transaction, by key; `held` is the first one that waits for DATA."""

    said: dict[str, Reply | None] = field(default_factory=dict)
    held: str = ""


class Greylist(Plugin[Options]):
    """Defers, with `451 4.7.1`, whoever is seen for the first time, and takes their mail when they come again.

    * `delay` (5 minutes): how soon a try is too soon. `window` (2 days): after that a first try is forgotten.
    * `lifetime` (36 days): how long who has passed is known; each message begins it anew.
    * `auto_allow` (2): a network of which so many senders have passed is let in whatever it sends. 0: never.
    * `by_sender` ("domain"): what is known together with the network: the sender's "domain", "address" or "nothing".
    * `by_recipient` (false): the recipient, too.
    * `v4_bits`, `v6_bits` (24, 64): how large a network is. When SPF has passed, the sender's domain stands for it, so
      that those who try again from another of their hosts are known.
    * `trust`: names of plugins; who has a `pass` of theirs in the record is let in (`karma`; `access`, what it allows).
    * `exempt`: networks and addresses of clients; `exempt_senders`, `exempt_recipients`: addresses, domains and
      patterns, as in the lists of `block_sender`.
    * `reason`: what the client hears, followed by how long to wait.

    Who has logged in, or is vouched for, is never greylisted. Mail from `<>` is asked to come again at DATA, not at
    RCPT: servers that only see whether a recipient exists (callouts) are not held up. When the state cannot be read,
    mail passes.
    """

    spares_exempt: ClassVar[bool] = True

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        options, second_try_s = self.options, self.options.window - self.options.delay
        if options.delay < 60:
            yield "delay", f'is {options.delay:g} s: spam comes again as soon (RFC 6647 section 5); write "5m"'
        if second_try_s < 4 * 3600:  # RFC 5321 section 4.5.4.1: servers try again after 30 minutes or more
            yield "window", f'leaves {second_try_s:g} s for the second try, which many make later; write "2d"'
        if options.lifetime < 7 * 86_400:
            hint = "who writes once a week stays a stranger (RFC 6647 section 5)"
            yield "lifetime", f'is {options.lifetime:g} s: {hint}; write "36d"'
        if trouble := place.says_of_plugins(options.trust):
            yield "trust", trouble
        for name in sorted(options.trust):
            if {**place.before, **place.behind}.get(name) in _NO_PRAISE:
                yield "trust", f"{name} has a pass for all of whom it finds nothing bad; name karma, or access"

    async def start(self, services: Services) -> None:
        self._sightings = Sightings(services.records, services.clock)
        await services.records.open()

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | Awaitable[Reply | None] | None:
        options, connection = self.options, txn.connection
        if not connection.remote_address or options.exempt.covers(connection.remote_address):
            return None
        if options.exempt_senders.find(txn.sender) or options.exempt_recipients.find(recipient):
            return None
        if any(one.plugin in options.trust and one.outcome == "pass" for one in (*connection.results, *txn.results)):
            return None
        decision = self.kept(txn, _Decision)
        if decision is None:
            self.keep(txn, decision := _Decision())
        key = self._key(txn, recipient)
        if txn.sender.is_null:
            decision.held = decision.held or key
            return None
        return decision.said[key] if key in decision.said else at_once(self._decide(txn, decision, key))

    def on_data(self, txn: Transaction) -> Reply | Awaitable[Reply | None] | None:
        decision = self.kept(txn, _Decision)
        return at_once(self._decide(txn, decision, decision.held)) if decision is not None and decision.held else None

    def _key(self, txn: Transaction, recipient: Address) -> str:
        options, sender = self.options, txn.sender
        origin = network_of(txn.connection.remote_address, options.v4_bits, options.v6_bits)
        checks = (one.authentication for one in txn.results if one.authentication is not None)
        if sender.domain and any(map(_vouches_for_the_sender, checks)):
            origin = f"spf:{sender.domain}"
        by_sender = {"domain": sender.domain, "address": f"{sender.folded_local}@{sender.domain}", "nothing": "*"}
        to = f"{recipient.folded_local}@{recipient.domain}" if options.by_recipient else "*"
        return state_key(self.name, origin, by_sender[options.by_sender], to)

    async def _decide(self, txn: Transaction, decision: _Decision, key: str) -> Reply | None:
        try:
            reply = decision.said[key] = await self._meet(txn, key)
        except StateError as error:
            self.record(txn, "error", f"let in, since nobody knows: {error}")
            return None
        return reply

    async def _meet(self, txn: Transaction, key: str) -> Reply | None:
        """Somebody comes, of whom "passed" or "seen" is known, or nothing; of their network, how many have passed."""
        options, sightings, origin = self.options, self._sightings, key.rsplit(" ", 2)[0]
        known, age_s = await sightings.find(key)
        if known == "passed":
            sightings.renew(key, known, age_s, options.lifetime)
            self.record(txn, "pass", f"known: {_shown(key)}")
            return None
        if known == "seen" and age_s >= options.delay:
            sightings.put(key, "passed", options.lifetime)
            self.record(txn, "pass", f"came again: {_shown(key)}")
            passes, _ = await sightings.find(origin)
            sightings.put(origin, str(int(passes or 0) + 1), options.lifetime)
            return None
        passes, passed_age_s = await sightings.find(origin)
        if 0 < options.auto_allow <= int(passes or 0):
            sightings.renew(origin, passes, passed_age_s, options.lifetime)
            self.record(txn, "pass", f"of {passes} who came again: {_shown(origin)}")
            return None
        if not known:
            sightings.put(key, "seen", options.window)
        self.record(txn, "fail", f"first seen {age_s:.0f} s ago: {_shown(key)}")
        return defer("4.7.1", f"{options.reason} in {math.ceil(options.delay - age_s)} seconds", code=451)


def _shown(key: str) -> str:
    """A key without the name of the plugin."""
    return key.partition(" ")[2]


def _vouches_for_the_sender(check: Authentication) -> bool:
    """Whether SPF has passed for MAIL: for HELO it passes in anybody's own name."""
    is_of_mail = any(name == "mailfrom" for _, name, _ in check.properties)
    return is_of_mail and check.method == "spf" and check.result == "pass"
