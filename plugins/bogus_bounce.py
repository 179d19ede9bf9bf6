"""Refuse bounces that go to several people at once: a bounce answers one sender."""

from dataclasses import dataclass

from fastsmtp.plugin import Address, Plugin, Reply, Transaction, parse_mailbox, reject

__all__ = ["BogusBounce", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Local parts are kept in their canonical spelling."""

    local_parts: frozenset[str] = frozenset()
    reason: str = "A bounce goes to one recipient"

    def __post_init__(self) -> None:
        folded = frozenset(parse_mailbox(f"{local}@invalid").folded_local for local in self.local_parts)
        object.__setattr__(self, "local_parts", folded)


@dataclass(slots=True)
class _SeveralRecipients:
    """A note: somebody tried."""


class BogusBounce(Plugin[Options]):
    """Refuses, with `550 5.7.1`, the second recipient of a bounce, and then the bounce itself.

    * `local_parts`: senders such as `mailer-daemon` that send bounces, too, whatever their domain.
    * `reason`: what the client hears.

    A message from `<>` answers one message, and so goes to its one sender (RFC 5321 section 4.5.5). Recipients count
    whether they exist or not; the same one twice is one. In LMTP nothing is refused: there one bounce may reach several
    mailboxes.
    """

    spares_exempt = True

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | None:
        if txn.replies_each or not self._is_bounce(txn.sender):
            return None
        before = (*(known.address for known in txn.recipients), *(address for address, _ in txn.refusals))
        if all(_key(address) == _key(recipient) for address in before):
            return None
        if txn.notes.get(_SeveralRecipients) is None:
            txn.notes.put(_SeveralRecipients())
            self.record(txn, "fail", f"a bounce from <{txn.sender}> for several recipients")
        return reject("5.7.1", self.options.reason)

    def on_data(self, txn: Transaction) -> Reply | None:
        return None if txn.notes.get(_SeveralRecipients) is None else reject("5.7.1", self.options.reason)

    def _is_bounce(self, sender: Address) -> bool:
        return sender.is_null or sender.folded_local in self.options.local_parts


def _key(address: Address) -> tuple[str, str]:
    return address.folded_local, address.domain
