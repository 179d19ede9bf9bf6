"""Check whether the client may send mail in the name of the sender's domain (SPF, RFC 7208)."""

from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple, TypeAlias

from fastsmtp.plugin import (
    PRIVATE,
    Address,
    Authentication,
    Outcome,
    Plugin,
    Reply,
    Result,
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
from fastsmtp.spf.check import Finding, Identity, SpfResult
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
_is_private = lru_cache(4096)(PRIVATE.__contains__)  # who sends a message sends more


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


class Claim(NamedTuple):
    """Whose mail it claims to be: which identity, how it is called in the message, and the parts of it."""

    scope: Scope
    what: str
    local: str
    domain: str


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

    Who is exempt is not checked, nor is a client on a Unix socket or in a private network: no policy can know it.
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
        if _is_private(client):
            self.record(txn, "skip", f"{txn.connection.remote_address} is a private address, of which no policy knows")
            return None
        left = self._claims(txn.connection.hello_name, sender)
        while left:
            finding = self._policies.known(client, left[0].domain)
            if finding is None:
                return at_once(self._ask(txn, client, left))
            reply = self._act(txn, client, left.pop(0), finding)
            if reply is not None:
                return reply
        return None

    def _claims(self, helo: str, sender: Address) -> list[Claim]:
        """What is to be checked."""
        claims: list[Claim] = []
        if sender.is_null or self.options.helo == "always":
            with suppress(ValueError):  # an address literal has no policy (RFC 7208 section 2.3)
                claims.append(Claim("helo", helo, "postmaster", canonical_domain(helo)))
        if not sender.is_null and not sender.domain.startswith("["):
            claims.append(Claim("mailfrom", str(sender), sender.local, sender.domain))
        return claims

    def _identity(self, txn: Transaction, client: bytes, claim: Claim) -> Identity:
        helo, time = txn.connection.hello_name, int(self._clock.time())
        return Identity(ip_address(client), claim.local, claim.domain, helo, self._hostname, time)

    async def _ask(self, txn: Transaction, client: bytes, left: list[Claim]) -> Reply | None:
        for claim in left:
            finding = await self._policies.find(self._identity(txn, client, claim), txn)
            reply = self._act(txn, client, claim, finding)
            if reply is not None:
                return reply
        return None

    def _act(self, txn: Transaction, client: bytes, claim: Claim, finding: Finding) -> Reply | None:
        """Put a finding on record, and do as the options say."""
        options, result = self.options, finding.result
        txn.results.append(_result(self.name, claim.scope, claim.what, result, finding.reason))
        if options.received_spf:
            identity = self._identity(txn, client, claim)
            txn.message.add_header("Received-SPF", received_spf(identity, claim.scope, finding))
        action: Action = "record" if result == "pass" else getattr(options, result)
        if action == "record":
            return None
        text = self._text(self._identity(txn, client, claim), finding)
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


@lru_cache(4096)  # who sends a message sends more
def _result(plugin: str, scope: Scope, what: str, result: SpfResult, reason: str) -> Result:
    found = Authentication("spf", result, (("smtp", scope, what),), reason)
    return Result(plugin, _OUTCOMES[result], f"{scope} {result}: {reason}", found)
