"""Refuse mail by its sender."""

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

__all__ = ["BlockSender", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Entries stand in the lists here, in the file, in the directory, or in several of these."""

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    file: OptionalSitePath = None
    directory: bool = False
    subdomains: bool = True
    reason: str = "Mail from this sender is not taken here"

    def __post_init__(self) -> None:
        if not self.entries() and self.file is None and not self.directory:
            raise ValueError("name at least one of `addresses`, `domains`, `patterns`, `file` and `directory`")

    def entries(self) -> list[AddressEntry]:
        """Those of the lists."""
        addresses = (str(parse_mailbox(text)) for text in self.addresses)
        return [*map(parse_address_entry, chain(addresses, map(canonical_domain, self.domains), self.patterns))]


class BlockSender(Plugin[Options]):
    """Refuses at MAIL, with `550 5.7.1`, what comes from an address or a domain that you name.

    * `addresses`: whole addresses, compared without case.
    * `domains`: everything from these domains, IDNs in either form.
    * `patterns`: entries of any form: addresses, domains, wildcards, regular expressions, and exceptions to them.
    * `file`: such entries, one a line, read again when it changes; behind one may stand what its sender hears.
    * `directory` (false): entries of the list `sender` in the directory, too: `fastsmtp block`.
    * `subdomains` (true): a domain stands for everything below it, too.
    * `reason`: what the client hears.

    The null sender `<>` is nobody's address: bounces always pass.
    """

    def __init__(self, options: Options, name: str) -> None:
        super().__init__(options, name)
        self.reads_lists = ("sender",) if options.directory else ()
        self._blocked = BlockList(options.entries(), options.file, self.reads_lists, subdomains=options.subdomains)

    async def start(self, services: Services) -> None:
        await self._blocked.start(services.lists)

    async def stop(self) -> None:
        await self._blocked.stop()

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
        if sender.is_null:
            return None
        blocked = self._blocked.find(sender)
        if blocked is None:
            return None
        self.record(txn, "fail", f"<{sender}> is blocked by {blocked.text}")
        return reject("5.7.1", blocked.reason or self.options.reason)
