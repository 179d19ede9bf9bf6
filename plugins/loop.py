"""Refuse mail that goes round in circles."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastsmtp.plugin import (
    Address,
    Header,
    Place,
    Plugin,
    Reply,
    Transaction,
    parse_mailbox,
    reject,
)

__all__ = ["Loop", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Both checks are on; 0 turns the first one off."""

    max_received: int = 100
    delivered_to: bool = True

    def __post_init__(self) -> None:
        if self.max_received < 0:
            raise ValueError(f"`max_received` is a number of fields, or 0, not {self.max_received}")


class Loop(Plugin[Options]):
    """Refuses, with `554 5.4.6`, a message that has been here before or nearly everywhere.

    * `max_received` (100): with more `Received` fields than that it is a loop (RFC 5321 section 6.3 asks for at least
      100); 0 does not count them.
    * `delivered_to` (true): it is a loop when a `Delivered-To` field has the address of one of the recipients, or of
      the mailbox that the address leads to (RFC 9228). There is one answer for all recipients.
    """

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        if not (self.options.max_received or self.options.delivered_to):
            yield "max_received", "is 0, and delivered_to is false: nothing is looked for; write 100"

    def on_headers(self, txn: Transaction, header: Header) -> Reply | None:
        evidence = self._find_loop(txn, header)
        if evidence is None:
            return None
        self.record(txn, "fail", evidence)
        return reject("5.4.6", "This message goes round in circles", code=554)

    def _find_loop(self, txn: Transaction, header: Header) -> str | None:
        limit = self.options.max_received
        if limit and (received := len(header.get_all("Received"))) > limit:
            return f"{received} Received fields"
        if self.options.delivered_to and (earlier := header.get_all("Delivered-To")):
            ours = {_key(recipient.address) for recipient in txn.recipients}
            ours |= {(box.user, box.domain) for recipient in txn.recipients for box in recipient.mailboxes}
            for value in earlier:
                address = _parse(value)
                if address is not None and _key(address) in ours:
                    return f"delivered to <{address}> before"
        return None


def _key(address: Address) -> tuple[str, str]:
    return address.folded_local, address.domain


def _parse(value: bytes) -> Address | None:
    """The address in a Delivered-To field, which whoever wrote it may have put into brackets; None if it is none."""
    try:
        return parse_mailbox(value.decode().strip().removeprefix("<").removesuffix(">"))
    except ValueError:
        return None
