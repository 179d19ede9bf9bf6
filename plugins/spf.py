"""Check whether the client may send mail in the name of the sender's domain (SPF, RFC 7208)."""

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Literal, TypeAlias

from fastsmtp.plugin import (
    Address,
    Authentication,
    Outcome,
    Plugin,
    Reply,
    Services,
    Transaction,
    at_once,
    canonical_domain,
    check_placeholders,
    defer,
    fill,
    packed_address,
    reject,
)
from fastsmtp.spf.check import Finding, Identity
from fastsmtp.spf.lookup import Policies
from fastsmtp.spf.received import received_spf

__all__ = ["Options", "Spf"]

Action: TypeAlias = Literal["record", "defer", "reject"]
Scope: TypeAlias = Literal["mailfrom", "helo"]

PLACEHOLDERS: Final = ("client", "domain", "result")

_OUTCOMES: Final[dict[str, Outcome]] = {
    "pass": "pass",
    "fail": "fail",
    "softfail": "fail",
    "neutral": "skip",
    "none": "skip",
    "permerror": "error",
    "temperror": "error",
}
_client = lru_cache(4096)(ip_address)  # who sends a message sends more


@dataclass(frozen=True, slots=True)
class Options:
    """What to do by result, and what to look at."""

    fail: Action = "reject"
    softfail: Action = "record"
    neutral: Action = "record"
    none: Action = "record"
    permerror: Action = "record"
    temperror: Literal["record", "defer"] = "record"
    helo: Literal["null_sender", "always"] = "null_sender"
    reason: str = "{client} may not send mail for {domain}"
    explain: bool = True
    received_spf: bool = False

    def __post_init__(self) -> None:
        check_placeholders(self.reason, PLACEHOLDERS)


class Spf(Plugin[Options]):
    """Asks the policy of the sender's domain, at MAIL, whether the client may send for it, and does as you say.

    * `fail` (reject), `softfail`, `neutral`, `none`, `permerror` (record): `reject` is `550 5.7.23`, or for a policy
      with an error `550 5.7.24`; `defer` is the same with 451; `record` takes the mail.
    * `temperror` (record): trouble of the DNS is no reason to reject; `defer` is `451 4.7.24`.
    * `helo` (null_sender): bounces have no sender, so the name of HELO is checked; `always` checks it for every mail,
      before the sender.
    * `reason`: what the client hears; `{client}`, `{domain}` and `{result}` are filled in.
    * `explain` (true): what the domain has to say to those who fail is the second line of the reply.
    * `received_spf` (false): put a Received-SPF field for each identity on top of the message.

    Who is exempt is not checked, and nobody can check a client on a Unix socket, which has no address.
    """

    spares_exempt = True
    asks_dns = True

    async def start(self, services: Services) -> None:
        self._policies = Policies(services.resolver, services.clock.monotonic_ns)
        self._clock = services.clock
        self._hostname = services.hostname

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | Awaitable[Reply | None] | None:
        client = packed_address(txn.connection.remote_address)
        if not client:
            return None
        left = self._identities(txn.connection.hello_name, sender, client)
        while left:
            finding = self._policies.known(client, left[0][2].domain)
            if finding is None:
                return at_once(self._ask(txn, left))
            reply = self._act(txn, *left.pop(0), finding)
            if reply is not None:
                return reply
        return None

    def _identities(self, helo: str, sender: Address, packed: bytes) -> list[tuple[Scope, str, Identity]]:
        """What is to be checked, and how it is called in the message."""
        client, receiver, time = _client(packed), self._hostname, int(self._clock.time())
        identities: list[tuple[Scope, str, Identity]] = []
        if sender.is_null or self.options.helo == "always":
            try:
                domain = canonical_domain(helo)
            except ValueError:
                pass  # an address literal: it has no policy (RFC 7208 section 2.3)
            else:
                identities.append(("helo", helo, Identity(client, "postmaster", domain, helo, receiver, time)))
        if not sender.is_null and not sender.domain.startswith("["):
            identity = Identity(client, sender.local, sender.domain, helo, receiver, time)
            identities.append(("mailfrom", str(sender), identity))
        return identities

    async def _ask(self, txn: Transaction, left: list[tuple[Scope, str, Identity]]) -> Reply | None:
        for scope, what, identity in left:
            finding = await self._policies.find(identity, txn)
            reply = self._act(txn, scope, what, identity, finding)
            if reply is not None:
                return reply
        return None

    def _act(self, txn: Transaction, scope: Scope, what: str, identity: Identity, finding: Finding) -> Reply | None:
        """Put a finding on record, and do as the options say."""
        options, result = self.options, finding.result
        found = Authentication("spf", result, (("smtp", scope, what),), finding.reason)
        self.record(txn, _OUTCOMES[result], f"{scope} {result}: {finding.reason}", found)
        if options.received_spf:
            txn.message.add_header("Received-SPF", received_spf(identity, scope, finding))
        action: Action = "record" if result == "pass" else getattr(options, result)
        if action == "record":
            return None
        text = self._text(identity, finding)
        # RFC 7372 section 3.2
        detail = "7.24" if result in ("permerror", "temperror") else "7.23"
        return reject(f"5.{detail}", text) if action == "reject" else defer(f"4.{detail}", text, code=451)

    def _text(self, identity: Identity, finding: Finding) -> str:
        if finding.result in ("permerror", "temperror"):
            return f"The SPF policy of {identity.domain} cannot be evaluated: {finding.reason}"
        values = {"client": str(identity.client), "domain": identity.domain, "result": finding.result}
        text = fill(self.options.reason, values)
        if finding.explanation and self.options.explain:
            text = f"{text}\n{finding.domain} says: {finding.explanation}"  # RFC 7208 section 8.4: say whose words
        return text
