"""Refuse mail from domains that could not get an answer to it."""

from collections.abc import Awaitable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, Literal, TypeAlias

from fastsmtp.plugin import (
    Address,
    DnsError,
    Lately,
    Networks,
    NetworkSet,
    Plugin,
    Reply,
    Services,
    Transaction,
    at_once,
    defer,
    packed_address,
    reject,
)

__all__ = ["Options", "ResolvableSender"]

HOSTS_MAX: Final = 10

_DOMAINS: Final = 4096

Found: TypeAlias = tuple[str, str]
"""The enhanced status, empty where an answer would arrive, and what was found."""

# Where no mail server of somebody else can be (RFC 6890).
UNREACHABLE: Final = NetworkSet(
    tuple(
        ip_network(network)
        for network in (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.168.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10", "ff00::/8"),
        )
    )
)


@dataclass(frozen=True, slots=True)
class Options:
    """What counts as nowhere, and what trouble is to a sender."""

    bogus: Networks = UNREACHABLE
    on_trouble: Literal["pass", "defer"] = "pass"
    reason: str = "Sender refused"


class ResolvableSender(Plugin[Options]):
    """Refuses at MAIL what comes from a domain to which nobody could answer.

    There is no such domain, or it has neither mail servers nor an address, or only bogus ones: `550 5.1.8`. It says
    that it has no mail (a null MX, RFC 7505): `550 5.7.27`. Bounces (`<>`) pass, and address literals that are not
    bogus. When the DNS is in trouble, nobody is refused.

    * `bogus`: networks in which no mail server can be; private ones, loopback, multicast.
    * `on_trouble` ("pass"): "defer" answers `451 4.4.3` while the DNS does not say.
    * `reason` ("Sender refused"): the beginning of what the client hears.
    """

    spares_exempt = True
    asks_dns = True

    async def start(self, services: Services) -> None:
        self._resolver = services.resolver
        self._lately: Lately[Found] = Lately(_DOMAINS, services.clock.monotonic_ns)

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | Awaitable[Reply | None] | None:
        if not sender.domain:
            return None
        if sender.domain.startswith("["):
            return self._judge_literal(txn, sender.domain)
        found = self._lately.get(sender.domain)
        return at_once(self._ask(txn, sender.domain)) if found is None else self._judge(txn, found)

    def _judge_literal(self, txn: Transaction, literal: str) -> Reply | None:
        address = literal[1:-1]
        if packed_address(address[5:] if address[:5].lower() == "ipv6:" else address) not in self.options.bogus:
            return None
        return self._judge(txn, ("5.1.8", f"mail for {literal} would go there"))

    async def _ask(self, txn: Transaction, domain: str) -> Reply | None:
        try:
            found, until_ns = await self._look(txn, domain)
        except DnsError as error:
            self.record(txn, "error", f"{domain}: {error}")
            if self.options.on_trouble == "pass":
                return None
            sentence = f"{self.options.reason}: nobody can say at the moment whether {domain} exists"
            return defer("4.4.3", sentence, code=451)
        self._lately.keep(domain, found, until_ns)
        return self._judge(txn, found)

    def _judge(self, txn: Transaction, found: Found) -> Reply | None:
        enhanced, sentence = found
        if not enhanced:
            self.record(txn, "pass", sentence)
            return None
        self.record(txn, "fail", sentence)
        return reject(enhanced, f"{self.options.reason}: {sentence}")

    async def _look(self, txn: Transaction, domain: str) -> tuple[Found, int]:
        """And until when the DNS stands by it, on the monotonic clock. Raises DnsError."""
        exchangers = await self._resolver.mx(domain, txn)
        until_ns = exchangers.until_ns
        if not exchangers.exists:
            return ("5.1.8", f"there is no domain {domain}"), until_ns
        hosts = [mx.host for mx in exchangers.records if mx.host]
        if exchangers.records and not hosts:
            return ("5.7.27", f"{domain} says that it has no mail"), until_ns  # RFC 7505 section 4.2
        trouble: DnsError | None = None
        bogus = ""
        for host in hosts[:HOSTS_MAX] or [domain]:  # RFC 5321 section 5.1
            for version in (4, 6):  # who has an A record is not asked for another
                try:
                    answer = await self._resolver.addresses(host, txn, version=version)
                except DnsError as error:
                    trouble = error
                    continue
                until_ns = min(until_ns, answer.until_ns)
                if any(packed_address(str(address)) not in self.options.bogus for address in answer.records):
                    return ("", domain), until_ns
                bogus = bogus or (str(answer.records[0]) if answer.records else "")
        if trouble is not None and hosts:  # who has named mail servers exists, and waits for answers
            return ("", f"{domain} has mail servers, of whose addresses nobody knows: {trouble}"), 0
        if trouble is not None:
            raise trouble
        if bogus:
            return ("5.1.8", f"mail for {domain} would go to {bogus}"), until_ns
        return ("5.1.8", f"{domain} has no mail server"), until_ns
