"""Refuse mail for some recipients."""

from dataclasses import dataclass
from itertools import chain

from fastsmtp.plugin import (
    Address,
    AddressEntry,
    BlockList,
    OptionalSitePath,
    Plugin,
    Reply,
    Services,
    Transaction,
    canonical_domain,
    parse_address_entry,
    parse_mailbox,
    reject,
)

__all__ = ["BlockRecipient", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Entries stand in the lists here, in the file, in the directory, or in several of these."""

    addresses: frozenset[str] = frozenset()
    local_parts: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    file: OptionalSitePath = None
    directory: bool = False
    reason: str = "No mail is taken for this recipient"

    def __post_init__(self) -> None:
        if not self.entries() and self.file is None and not self.directory:
            names = "`addresses`, `local_parts`, `domains`, `patterns`, `file` and `directory`"
            raise ValueError(f"name at least one of {names}")

    def entries(self) -> list[AddressEntry]:
        """Those of the lists."""
        addresses = (str(parse_mailbox(text)) for text in self.addresses)
        local_parts = (str(parse_mailbox(f"{local}@invalid")).removesuffix("invalid") for local in self.local_parts)
        domains = map(canonical_domain, self.domains)
        return [*map(parse_address_entry, chain(addresses, local_parts, domains, self.patterns))]


class BlockRecipient(Plugin[Options]):
    """Refuses at RCPT, with `550 5.7.1`, the recipients that you name, whether they exist or not.

    * `addresses`: whole addresses, compared without case, as the client gave them: `ann+shop@example.org` is
      refused when it stands here, and not because `ann@example.org` does.
    * `local_parts`: what stands before the `@`, in every domain.
    * `domains`: everybody in these domains, without their subdomains.
    * `patterns`: entries of any form: addresses, domains, wildcards, regular expressions, and exceptions to them.
    * `file`: such entries, one a line, read again when it changes; behind one may stand what the client hears.
    * `directory` (false): entries of the list `recipient` in the directory, too: `fastsmtp block`.
    * `reason`: what the client hears.

    Everybody must be able to write to the postmaster (RFC 5321 section 4.5.1): they are blocked only by an entry that
    names them, as an address or as a local part.
    """

    def __init__(self, options: Options, name: str) -> None:
        super().__init__(options, name)
        self.reads_lists = ("recipient",) if options.directory else ()
        self._blocked = BlockList(options.entries(), options.file, self.reads_lists, subdomains=False)

    async def start(self, services: Services) -> None:
        await self._blocked.start(services.lists)

    async def stop(self) -> None:
        await self._blocked.stop()

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | None:
        blocked = self._blocked.find(recipient)
        if blocked is None or (recipient.is_postmaster and not blocked.is_by_name):
            return None
        self.record(txn, "fail", f"<{recipient}> is blocked by {blocked.text}")
        return reject("5.7.1", blocked.reason or self.options.reason)
