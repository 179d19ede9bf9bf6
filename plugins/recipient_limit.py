"""Limit the recipients of a message by who sends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from fastsmtp.plugin import (
    Address,
    AddressList,
    NetworkMap,
    Place,
    Plugin,
    Reply,
    Transaction,
    defer,
    parse_address_entry,
    parse_network,
    reject,
)

__all__ = ["Options", "RecipientLimit"]

_NO_LIMIT: Final = 0


@dataclass(frozen=True, slots=True)
class Options:
    """Numbers of recipients; 0 is no limit."""

    recipients: int = 100
    known: int | None = None
    users: int | None = None
    networks: dict[str, int] | None = None
    senders: dict[str, int] | None = None
    action: Literal["defer", "reject"] = "defer"
    reason: str = "Too many recipients for one message of yours"

    def __post_init__(self) -> None:
        for text in self.networks or ():
            parse_network(text)
        for text in self.senders or ():
            parse_address_entry(text)
        for number in (self.recipients, self.known or 0, self.users or 0, *_numbers(self)):
            if number < 0:
                raise ValueError(f"a limit is 0 (none) or more recipients, not {number}")


@dataclass(slots=True)
class _Reached:
    """A note: it has been recorded."""


class RecipientLimit(Plugin[Options]):
    """Limits the recipients of a message by who sends it.

    * `recipients` (100): for everybody of whom nothing else is said.
    * `known`: for clients of whom, or of whose neighbours, mail was stored lately.
    * `users`: for who has logged in.
    * `networks`: by network or address of the client, `{ "192.0.2.0/24" = 1000 }`; the smallest network decides.
    * `senders`: by sender, in any form of entry, `{ "lists.example.org" = 500, "news-*@*" = 10 }`; before all others.
    * `action` ("defer"): `452 4.5.3`, so that the client sends the rest in another transaction; "reject": `550 5.5.3`.
    * `reason`: what the client hears.

    0 is no limit of ours; `limits.recipients` of the server holds all the same. RFC 5321 section 4.5.3.1.8 asks for at
    least 100 in general; less than that is policy, for those whom it is meant for.
    """

    def __init__(self, options: Options, name: str) -> None:
        super().__init__(options, name)
        networks, senders = options.networks or {}, options.senders or {}
        self._networks = NetworkMap((parse_network(text), number) for text, number in networks.items())
        entries = {text: parse_address_entry(text) for text in senders}
        self._senders = AddressList(entries.values())
        self._of_sender = {entry.text: senders[text] for text, entry in entries.items()}

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        options = self.options
        for option, number in (("recipients", options.recipients), ("known", options.known), ("users", options.users)):
            if (number or 0) > place.recipients:
                hint = (
                    f"is more than limits.recipients ({place.recipients}), which hold all the same; write that, or less"
                )
                yield option, f"{number} {hint}"

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | None:
        number = len(txn.recipients)
        if not number:
            return None
        limit = self._limit_of(txn)
        if limit == _NO_LIMIT or number < limit:
            return None
        if txn.notes.get(_Reached) is None:
            txn.notes.put(_Reached())
            self.record(txn, "fail", f"more than {limit} recipients")
        if self.options.action == "defer":
            return defer("4.5.3", self.options.reason, code=452)
        return reject("5.5.3", self.options.reason)

    def _limit_of(self, txn: Transaction) -> int:
        options, connection = self.options, txn.connection
        if self._of_sender and (entry := self._senders.find(txn.sender)) is not None:
            return self._of_sender[entry.text]
        if connection.user and options.users is not None:
            return options.users
        of_network = self._networks.find(connection.remote_address)
        if of_network is not None:
            return of_network
        return options.known if connection.is_known and options.known is not None else options.recipients


def _numbers(options: Options) -> tuple[int, ...]:
    return (*(options.networks or {}).values(), *(options.senders or {}).values())
