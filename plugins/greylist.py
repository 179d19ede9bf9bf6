"""Defer the mail of strangers once: who sends in earnest comes again (RFC 6647)."""

import math
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final, Literal

from fastsmtp.plugin import (
    Address,
    AddressList,
    Authentication,
    Duration,
    Networks,
    NetworkSet,
    Place,
    Plugin,
    Reply,
    Services,
    StateError,
    Transaction,
    defer,
    network_of,
    packed_address,
    parse_address_entry,
    state_key,
    then,
)

__all__ = ["Greylist", "Options"]

_NOBODY: Final = NetworkSet(())
_RENEWED_AFTER: Final = 0.1
"""A lifetime begins anew when so much of it is over: one write in many, and nobody notices."""


@dataclass(frozen=True, slots=True)
class Options:
    """Durations are seconds, or text like "5m"."""

    delay: Duration = 300.0
    window: Duration = 172_800.0
    lifetime: Duration = 3_110_400.0
    auto_allow: int = 2
    by_sender: Literal["domain", "address", "nothing"] = "domain"
    by_recipient: bool = False
    v4_bits: int = 24
    v6_bits: int = 64
    trust: frozenset[str] = frozenset()
    exempt: Networks = _NOBODY
    exempt_senders: tuple[str, ...] = ()
    exempt_recipients: tuple[str, ...] = ()
    reason: str = "Greylisted: nobody knows you here yet, come again"

    def __post_init__(self) -> None:
        if not self.delay < self.window:
            raise ValueError(f"`window` ({self.window:g} s) has to be longer than `delay` ({self.delay:g} s)")
        if not (8 <= self.v4_bits <= 32 and 16 <= self.v6_bits <= 128):
            raise ValueError("`v4_bits` is 8 to 32, `v6_bits` 16 to 128")
        for entry in (*self.exempt_senders, *self.exempt_recipients):
            parse_address_entry(entry)  # says what is wrong with it


@dataclass(slots=True)
class _Decision:
    """What was said in this transaction, by key; `held` are keys that wait for DATA."""

    said: dict[str, Reply | None] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)


class Greylist(Plugin[Options]):
    """Defers, with `451 4.7.1`, whoever is seen for the first time, and takes their mail when they come again.

    * `delay` (5 minutes): how soon a try is too soon. `window` (2 days): after that a first try is forgotten.
    * `lifetime` (36 days): how long who has passed is known; each message begins it anew.
    * `auto_allow` (2): a network of which so many senders have passed is let in whatever it sends. 0: never.
    * `by_sender` ("domain"): what is known together with the network: the sender's "domain", "address" or "nothing".
    * `by_recipient` (false): the recipient, too.
    * `v4_bits`, `v6_bits` (24, 64): how large a network is. When SPF has passed, the sender's domain stands for it, so
      that those who try again from another of their hosts are known.
    * `trust`: names of plugins; who has a `pass` of theirs in the record is let in (`karma`, a list of good hosts).
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

    async def start(self, services: Services) -> None:
        self._records = services.records
        self._now = services.clock.time
        self._exempt_senders = AddressList(map(parse_address_entry, self.options.exempt_senders))
        self._exempt_recipients = AddressList(map(parse_address_entry, self.options.exempt_recipients))
        await self._records.open()

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | Awaitable[Reply | None] | None:
        options, connection = self.options, txn.connection
        if not connection.remote_address:
            return None
        if self._exempt_senders.find(txn.sender) or self._exempt_recipients.find(recipient):
            return None
        if options.exempt and packed_address(connection.remote_address) in options.exempt:
            return None
        if any(one.plugin in options.trust and one.outcome == "pass" for one in (*connection.results, *txn.results)):
            return None
        decision = txn.notes.get(_Decision)
        if decision is None:
            txn.notes.put(decision := _Decision())
        key = self._key(txn, recipient)
        if txn.sender.is_null:
            decision.held.append(key)
            return None
        return decision.said[key] if key in decision.said else self._decide(txn, decision, key)

    def on_data(self, txn: Transaction) -> Reply | Awaitable[Reply | None] | None:
        decision = txn.notes.get(_Decision)
        if decision is None or not decision.held:
            return None
        return self._decide(txn, decision, decision.held[0])

    def _key(self, txn: Transaction, recipient: Address) -> str:
        options, sender = self.options, txn.sender
        origin = network_of(txn.connection.remote_address, options.v4_bits, options.v6_bits)
        checks = (one.authentication for one in txn.results if one.authentication is not None)
        if sender.domain and any(map(_vouches_for_the_sender, checks)):
            origin = f"spf:{sender.domain}"
        by_sender = {"domain": sender.domain, "address": f"{sender.folded_local}@{sender.domain}", "nothing": "*"}
        to = f"{recipient.folded_local}@{recipient.domain}" if options.by_recipient else "*"
        return state_key(self.name, origin, by_sender[options.by_sender], to)

    def _decide(self, txn: Transaction, decision: _Decision, key: str) -> Reply | Awaitable[Reply | None] | None:
        try:
            answer = then(self._records.get(key), partial(self._meet, txn, decision, key))
        except StateError as error:
            return self._let_pass(txn, error)
        return answer if answer is None or isinstance(answer, Reply) else self._decide_later(txn, answer)

    async def _decide_later(self, txn: Transaction, pending: Awaitable[Reply | None]) -> Reply | None:
        try:
            return await pending
        except StateError as error:
            return self._let_pass(txn, error)

    def _let_pass(self, txn: Transaction, error: StateError) -> Reply | None:
        self.record(txn, "error", f"let in, since nobody knows: {error}")
        return None

    def _meet(
        self, txn: Transaction, decision: _Decision, key: str, found: str | None
    ) -> Reply | Awaitable[Reply | None] | None:
        """Somebody comes of whom `found` is known: "passed SINCE", "seen SINCE" or nothing."""
        what, _, since = (found or "").partition(" ")
        if what == "passed":
            return self._pass(txn, decision, key, "known", float(since))
        if what == "seen" and self._now() - float(since) >= self.options.delay:
            self._records.put(key, f"passed {self._now():.0f}", self.options.lifetime)
            self._pass(txn, decision, key, "came again", self._now())
            return then(self._records.get(_origin(key)), partial(self._count, _origin(key)))
        return then(self._records.get(_origin(key)), partial(self._hold, txn, decision, key, since))

    def _pass(self, txn: Transaction, decision: _Decision, key: str, why: str, since_s: float) -> Reply | None:
        if self._now() - since_s > _RENEWED_AFTER * self.options.lifetime:
            self._records.put(key, f"passed {self._now():.0f}", self.options.lifetime)
        decision.said[key] = None
        self.record(txn, "pass", f"{why}: {key.partition(' ')[2]}")
        return None

    def _count(self, origin: str, found: str | None) -> Reply | None:
        """One more of this network has passed."""
        passes, _, _ = (found or "0 0").partition(" ")
        self._records.put(origin, f"{int(passes) + 1} {self._now():.0f}", self.options.lifetime)
        return None

    def _hold(self, txn: Transaction, decision: _Decision, key: str, seen: str, found: str | None) -> Reply | None:
        options, origin = self.options, _origin(key)
        passes, _, since = (found or "0 0").partition(" ")
        if 0 < options.auto_allow <= int(passes):
            if self._now() - float(since) > _RENEWED_AFTER * options.lifetime:
                self._records.put(origin, f"{passes} {self._now():.0f}", options.lifetime)
            decision.said[key] = None
            self.record(txn, "pass", f"of {passes} who came again: {origin.partition(' ')[2]}")
            return None
        if not seen:
            self._records.put(key, f"seen {self._now()}", options.window)
        age_s = self._now() - float(seen) if seen else 0.0
        self.record(txn, "fail", f"first seen {age_s:.0f} s ago: {key.partition(' ')[2]}")
        wait_s = math.ceil(options.delay - age_s)
        decision.said[key] = defer("4.7.1", f"{options.reason} in {wait_s} seconds", code=451)
        return decision.said[key]


def _origin(key: str) -> str:
    """The key of who is counted for `auto_allow`."""
    return key.rsplit(" ", 2)[0]


def _vouches_for_the_sender(check: Authentication) -> bool:
    """Whether SPF has passed for MAIL: for HELO it passes in anybody's own name."""
    is_of_mail = any(name == "mailfrom" for _, name, _ in check.properties)
    return is_of_mail and check.method == "spf" and check.result == "pass"
