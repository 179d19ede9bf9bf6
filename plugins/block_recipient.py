"""Refuse mail for some recipients."""

from dataclasses import dataclass

from fastsmtp.plugin import Address, Plugin, Reply, Transaction, canonical_domain, parse_mailbox, reject

__all__ = ["BlockRecipient", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Addresses, local parts and domains are kept in their canonical spelling."""

    addresses: frozenset[str] = frozenset()
    local_parts: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    reason: str = "No mail is taken for this recipient"

    def __post_init__(self) -> None:
        if not (self.addresses or self.local_parts or self.domains):
            raise ValueError("name at least one of `addresses`, `local_parts` and `domains`")
        object.__setattr__(self, "addresses", frozenset(_key(parse_mailbox(text)) for text in self.addresses))
        local_parts = frozenset(parse_mailbox(f"{local}@invalid").folded_local for local in self.local_parts)
        object.__setattr__(self, "local_parts", local_parts)
        object.__setattr__(self, "domains", frozenset(map(canonical_domain, self.domains)))


class BlockRecipient(Plugin[Options]):
    """Refuses at RCPT, with `550 5.7.1`, the recipients that you name, whether they exist or not.

    * `addresses`: whole addresses, compared without case, as the client gave them: `ann+shop@example.org` is
      refused when it stands here, and not because `ann@example.org` does.
    * `local_parts`: what stands before the `@`, in every domain.
    * `domains`: everybody in these domains, without their subdomains.
    * `reason`: what the client hears.

    Everybody must be able to write to the postmaster (RFC 5321 section 4.5.1): `domains` does not block them, only
    naming them in `addresses` or `local_parts` does.
    """

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | None:
        options = self.options
        by_name = recipient.folded_local in options.local_parts or _key(recipient) in options.addresses
        if not by_name and (recipient.domain not in options.domains or recipient.is_postmaster):
            return None
        self.record(txn, "fail", f"<{recipient}> is blocked")
        return reject("5.7.1", options.reason)


def _key(address: Address) -> str:
    return f"{address.folded_local}@{address.domain}"
