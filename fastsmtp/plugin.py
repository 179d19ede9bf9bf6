"""What the author of a plugin imports, and the whole contract: every hook, its moment, its arguments, its answers.

A plugin overrides the hooks that it cares about; a hook that nobody overrides costs nothing. A hook returns its answer,
or (being `async def`) something to await for it. No opinion is None; the first opinion of a stage wins.
"""

import logging
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from fastsmtp.config.networks import (
    NOBODY,
    PRIVATE,
    Networks,
    NetworkSet,
    V4Bits,
    V6Bits,
    network_of,
    packed_address,
)
from fastsmtp.config.places import OptionalSitePath, SitePath
from fastsmtp.config.rates import Rate, RateText
from fastsmtp.config.units import Duration
from fastsmtp.dns_lists import DnsList, DnsLists, Inquiry, listed_name
from fastsmtp.errors import DnsError, PluginLoadError, StateError
from fastsmtp.lately import Lately
from fastsmtp.later import at_once, settled, then
from fastsmtp.lists.addresses import NO_ADDRESSES, AddressEntries, AddressEntry, AddressList, parse_address_entry
from fastsmtp.lists.blocked import BlockList
from fastsmtp.lists.domains import DomainMap, parse_domain
from fastsmtp.lists.lines import read_entries
from fastsmtp.lists.networks import Network, NetworkMap, parse_network
from fastsmtp.lists.watched import WatchedFile
from fastsmtp.placeholders import check_placeholders, fill
from fastsmtp.ports import Buckets, Clock, Directory, Records, Resolver, StoredLists
from fastsmtp.reputation import Reputation
from fastsmtp.sightings import Sightings
from fastsmtp.smtp.address import Address, canonical_domain, parse_mailbox
from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.field_text import plain_text, quoted
from fastsmtp.smtp.message import Header, Message
from fastsmtp.smtp.record import Authentication, Outcome, Result
from fastsmtp.smtp.replies import RELAYING_DENIED, USER_UNKNOWN, Reply, accept, defer, reject
from fastsmtp.smtp.sasl import Credentials
from fastsmtp.smtp.transaction import Connection, Hello, Recipient, Transaction
from fastsmtp.state_keys import state_key
from fastsmtp.tokens import Lack, take_each

__all__ = [
    "NOBODY",
    "NO_ADDRESSES",
    "PRIVATE",
    "RELAYING_DENIED",
    "USER_UNKNOWN",
    "Action",
    "Address",
    "AddressEntries",
    "AddressEntry",
    "AddressList",
    "Authentication",
    "BlockList",
    "Connection",
    "Credentials",
    "DnsError",
    "DnsList",
    "DnsLists",
    "DomainMap",
    "Duration",
    "Header",
    "Hello",
    "Inquiry",
    "Lack",
    "Lately",
    "Message",
    "MessageOpinion",
    "Naughty",
    "Network",
    "NetworkMap",
    "NetworkSet",
    "Networks",
    "NoOptions",
    "Opinion",
    "OptionalSitePath",
    "Outcome",
    "PathOpinion",
    "Place",
    "Plugin",
    "PluginLoadError",
    "Rate",
    "RateText",
    "Recipient",
    "Reply",
    "Reputation",
    "Result",
    "Services",
    "Sightings",
    "SitePath",
    "Stage",
    "StateError",
    "StoredLists",
    "Transaction",
    "V4Bits",
    "V6Bits",
    "Verdict",
    "WatchedFile",
    "accept",
    "act",
    "at_once",
    "canonical_domain",
    "check_placeholders",
    "defer",
    "fill",
    "listed_name",
    "naughty",
    "network_of",
    "packed_address",
    "parse_address_entry",
    "parse_domain",
    "parse_mailbox",
    "parse_network",
    "plain_text",
    "quoted",
    "read_entries",
    "reject",
    "settled",
    "state_key",
    "take_each",
    "then",
]


@dataclass(frozen=True, slots=True)
class Naughty:
    """A refusal kept for RCPT, where postmaster is still let through and the log learns sender and recipient.

    `is_observed`: it is about what we have seen of the client, not about what it has said of itself, so that STARTTLS
    does not forget it (RFC 3207 section 4.2). What is found at `on_connect` is always of that kind.
    """

    reply: Reply
    is_observed: bool = False


def naughty(reason: str, *, enhanced: str = "5.7.1", code: int = 550, is_observed: bool = False) -> Naughty:
    """Mark the connection: its recipients will be refused with this reason, all but postmaster, unless it is exempt."""
    return Naughty(Reply(code, enhanced, reason), is_observed)


Action: TypeAlias = Literal["record", "naughty", "defer", "reject"]
"""What an operator may want done about a finding, from the mildest on."""


def act(action: Action, reason: str, *, is_observed: bool = False) -> Reply | Naughty | None:
    """The answer that an action is: for policy (5.7.1, 4.7.1), with this text; `is_observed` as in `Naughty`."""
    match action:
        case "record":
            return None
        case "naughty":
            return naughty(reason, is_observed=is_observed)
        case "defer":
            return defer("4.7.1", reason)
        case "reject":
            return reject("5.7.1", reason)


Opinion: TypeAlias = Reply | Naughty | None
PathOpinion: TypeAlias = Reply | Naughty | Address | None
MessageOpinion: TypeAlias = Reply | Naughty | Mapping[Address, Reply] | None


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a plugin that has none."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a plugin is given when its worker starts. `hostname` is our name, by which we greet."""

    directory: Directory
    clock: Clock
    hostname: str
    buckets: Buckets
    records: Records
    resolver: Resolver
    lists: StoredLists


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plugin stands in a configuration: how long a hook of it may take, and which plugins are asked before it
    and behind it: their names, with what their `use` says. `recipients` is how many a message may have.
    """

    timeout_s: float
    before: Mapping[str, str]
    behind: Mapping[str, str]
    recipients: int
    has_logins: bool

    def says_of_wait(self, wait_s: float, what: str) -> str:
        """What is wrong with a hook that waits so long, so that `what` happens; empty when there is time for it."""
        if wait_s < self.timeout_s:
            return ""
        right = f"write less, or timeout = {wait_s + 2:g} into this [[plugin]]"
        return f"is {wait_s:g} s, and a hook of this plugin may take {self.timeout_s:g} s: {what}; {right}"

    def says_of_plugins(self, names: Iterable[str]) -> str:
        """What is wrong with names of plugins of which one is not there; empty when all of them are."""
        there = {**self.before, **self.behind}
        strangers = ", ".join(f'"{name}"' for name in sorted(set(names) - there.keys()))
        return f"no plugin is called {strangers}; there are {', '.join(there) or 'no others'}" if strangers else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer of one plugin, as `on_verdict` sees it. `shadow`: it was recorded and not acted on."""

    plugin: str
    stage: Stage
    opinion: Reply | Naughty | Address | Mapping[Address, Reply]
    shadow: bool
    connection: Connection
    transaction: Transaction | None


OptionsT = TypeVar("OptionsT")
NoteT = TypeVar("NoteT")


class _OwnNotes(dict[tuple[str, type[Any]], Any]):
    """What plugins keep for themselves, by name and class."""


class Plugin(Generic[OptionsT]):
    """Base of every plugin. `Plugin[Options]` names the dataclass that the `options` of its entry must fit.

    One instance serves all connections of a worker: what belongs to one connection or transaction goes into its notes.

    `spares_exempt`: it is not asked about connections that are exempt, since somebody vouches for them or has logged
    in. What looks for junk of strangers says so; what it is told it still is. `asks_dns`: without the DNS it knows
    nothing, so that `fastsmtp check` tries it, as it does the lists of the directory that are named in `reads_lists`.
    `is_shadow`: its answers have no effect, and whatever else it does to others (let them wait, write files) is up to
    it not to do.
    """

    is_shadow: bool = False
    spares_exempt: ClassVar[bool] = False
    asks_dns: ClassVar[bool] = False
    reads_lists: tuple[str, ...] = ()

    def __init__(self, options: OptionsT, name: str) -> None:
        self.options = options
        self.name = name
        self.log = logging.getLogger(f"fastsmtp.plugin.{name}")

    def record(
        self,
        about: Connection | Transaction,
        outcome: Outcome,
        evidence: str,
        authentication: Authentication | None = None,
    ) -> None:
        """Write a finding (`pass`, `fail`, `skip`, `error`) into the record that the log and other plugins read.

        With `authentication` the plugin `authentication_results` writes it into the message, too.
        """
        about.results.append(Result(self.name, outcome, evidence, authentication))

    def keep(self, about: Connection | Transaction, note: object) -> None:
        """Keep a note of this plugin alone: the same class under another name has its own."""
        own = about.notes.get(_OwnNotes)
        if own is None:
            about.notes.put(own := _OwnNotes())
        own[self.name, type(note)] = note

    def kept(self, about: Connection | Transaction, kind: type[NoteT]) -> NoteT | None:
        """The note of this class that this plugin keeps, or None."""
        own = about.notes.get(_OwnNotes)
        return None if own is None else own.get((self.name, kind))

    def warnings(self, place: Place) -> Iterable[tuple[str, str]]:  # noqa: ARG002 - for those who override it
        """Options that are permitted and can hardly be meant so, each with what is wrong and what would be right.

        `fastsmtp check` tells them; nothing has been started then.
        """
        return ()

    async def start(self, services: Services) -> None:
        """Before the first connection, in each worker. An exception, or a minute, keeps the server from starting."""

    async def stop(self) -> None:
        """After the last connection; it may take five seconds."""

    def on_connect(self, connection: Connection) -> Opinion | Awaitable[Opinion]:
        """Before the banner. A refusal goes out in place of it (554, or 421 for a temporary one) and hangs up."""

    def on_hello(self, connection: Connection, hello: Hello) -> Opinion | Awaitable[Opinion]:
        """HELO or EHLO, not answered yet: `hello.offer()` and `hello.withdraw()` change what EHLO lists."""

    def on_auth(self, connection: Connection, credentials: Credentials) -> Opinion | Awaitable[Opinion]:
        """AUTH, where the configuration offers it: `accept()` lets them in, `reject("5.7.8", ..., code=535)` does not.

        Without an opinion the directory's password decides. `credentials.password` is empty where the mechanism sends
        none; then `is_proven` is true. It is gone when the hook is over: never keep it, log it or put it into a text.
        """

    def on_mail(self, txn: Transaction, sender: Address) -> PathOpinion | Awaitable[PathOpinion]:
        """MAIL. An Address as the answer replaces the sender and lets the next plugin go on with it."""

    def on_rcpt(self, txn: Transaction, recipient: Address) -> PathOpinion | Awaitable[PathOpinion]:
        """RCPT, before the directory is asked. An Address as the answer replaces the recipient for the next plugin.

        `accept()` takes a recipient whom the directory need not know; who gets the mail is then up to `on_queue`.
        """

    def on_data(self, txn: Transaction) -> Opinion | Awaitable[Opinion]:
        """DATA, before the 354, or the first BDAT."""

    def on_headers(self, txn: Transaction, header: Header) -> Opinion | Awaitable[Opinion]:
        """The header is complete, the body is not read. A refusal is given at the end of data; nothing is kept."""

    def on_message(self, txn: Transaction, message: Message) -> MessageOpinion | Awaitable[MessageOpinion]:
        """The message is complete and not stored: the place for `message.add_header()`.

        A mapping answers recipient by recipient. SMTP has one reply for all of them, so that a single refusal refuses
        the message for everybody: nobody loses mail that its sender believes delivered. In LMTP each hears his own
        (`recipient.refusal`), and the others get the message.
        """

    def on_queue(self, txn: Transaction, message: Message) -> Opinion | Awaitable[Opinion]:
        """Who takes the message: the first 2xx has it and has made it durable. Nobody: the Maildirs do."""

    def on_stored(self, txn: Transaction, reply: Reply) -> Awaitable[None] | None:
        """Told, not asked: the message was taken, the client has been told so."""

    def on_reset(self, txn: Transaction) -> Awaitable[None] | None:
        """Told: the transaction is over, whatever `txn.outcome` says."""

    def on_disconnect(self, connection: Connection) -> Awaitable[None] | None:
        """Told: the client is gone."""

    def on_verb(self, connection: Connection, verb: str, argument: str) -> Opinion | Awaitable[Opinion]:
        """A verb that the engine does not know, or VRFY, HELP, NOOP, QUIT. `verb` is in upper case."""

    def on_verdict(self, verdict: Verdict) -> Awaitable[None] | None:
        """Told: some plugin has answered something, at any stage."""


AnyPlugin: TypeAlias = Plugin[Any]
