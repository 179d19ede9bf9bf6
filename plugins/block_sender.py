"""Refuse mail by its sender."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastsmtp.plugin import Address, Plugin, Reply, Transaction, canonical_domain, parse_mailbox, reject

__all__ = ["BlockSender", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Addresses and domains are kept in their canonical spelling."""

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    subdomains: bool = True
    reason: str = "Mail from this sender is not taken here"

    def __post_init__(self) -> None:
        if not self.addresses and not self.domains:
            raise ValueError("name at least one of `addresses` and `domains`")
        object.__setattr__(self, "addresses", frozenset(_key(parse_mailbox(text)) for text in self.addresses))
        object.__setattr__(self, "domains", frozenset(map(canonical_domain, self.domains)))


class BlockSender(Plugin[Options]):
    """Refuses at MAIL, with `550 5.7.1`, what comes from an address or a domain that you name.

    * `addresses`: whole addresses, compared without case.
    * `domains`: everything from these domains, IDNs in either form.
    * `subdomains` (true): a domain stands for everything below it, too.
    * `reason`: what the client hears.

    The null sender `<>` is nobody's address: bounces always pass.
    """

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
        if not self._is_blocked(sender):
            return None
        self.record(txn, "fail", f"<{sender}> is blocked")
        return reject("5.7.1", self.options.reason)

    def _is_blocked(self, sender: Address) -> bool:
        options = self.options
        if _key(sender) in options.addresses or sender.domain in options.domains:
            return True
        return options.subdomains and any(domain in options.domains for domain in _parents(sender.domain))


def _parents(domain: str) -> Iterator[str]:
    while "." in domain:
        domain = domain.partition(".")[2]
        yield domain


def _key(address: Address) -> str:
    return f"{address.folded_local}@{address.domain}"
