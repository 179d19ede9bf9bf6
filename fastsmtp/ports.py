"""What the policy layer needs from the world: backends implement these, plugins may ask for them."""

import asyncio
from collections.abc import Awaitable, Generator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from fastsmtp.config.rates import Rate
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.sasl import ScramKeys
from fastsmtp.smtp.transaction import Connection, Mailbox, Transaction

__all__ = [
    "Buckets",
    "Clock",
    "Directory",
    "DnsAnswer",
    "Elsewhere",
    "Found",
    "ListRow",
    "Login",
    "Logins",
    "Lookup",
    "MailExchanger",
    "Mailbox",
    "MessageStore",
    "NoDomain",
    "NoUser",
    "Passwords",
    "Quotas",
    "Rate",
    "Records",
    "Resolver",
    "StoredLists",
    "StoredRows",
    "Whereabouts",
]


@dataclass(frozen=True, slots=True)
class Found:
    """The mailboxes of a recipient: one, or several for an alias; each is there once."""

    mailboxes: tuple[Mailbox, ...]


@dataclass(frozen=True, slots=True)
class NoUser:
    """The domain is ours, the user is not there (or cannot receive)."""


@dataclass(frozen=True, slots=True)
class NoDomain:
    """The domain is not ours (or not active)."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An alias of ours that leads (also) to addresses of other servers, to which we cannot send."""

    targets: tuple[str, ...]


Whereabouts = Found | NoUser | NoDomain | Elsewhere


class Directory(Protocol):
    """Who exists, and where does their mail go."""

    def locate(self, address: Address) -> Whereabouts | Awaitable[Whereabouts]:
        """Answer now where that is possible. Raises DirectoryError (now or when awaited) when nobody knows."""
        ...

    async def open(self) -> None:
        """Connect; raises DirectoryError when the database cannot be used at all."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who may log in, under their canonical address, and the hash of their password."""

    address: Address
    password_hash: str = field(repr=False)


@runtime_checkable
class Logins(Protocol):
    """Who may log in."""

    def find_login(self, address: Address) -> Login | Awaitable[Login | None] | None:
        """None: nobody of this name may log in. Nothing is remembered. Raises DirectoryError, now or when awaited."""
        ...


class Passwords(Protocol):
    """Compares passwords with hashes, which takes long on purpose. `password_hash` is None for who does not exist.

    That takes as long as for somebody who does: nobody learns from the time who is there.
    """

    @property
    def is_busy(self) -> bool:
        """Whether `check` would raise PasswordsBusyError at this moment."""
        ...

    def check(self, password: str, password_hash: str | None) -> Awaitable[bool]:
        """Whether this is the password. Raises PasswordsBusyError now, UnknownSchemeError when awaited."""
        ...

    def scram_keys(self, user: str, password_hash: str | None) -> ScramKeys:
        """The keys in a hash; for whoever has none, keys that fit no password, the same each time."""
        ...


class MessageStore(Protocol):
    """Takes a message for all of its recipients, or for none; where each hears his own reply, it may leave some out."""

    def store(self, transaction: Transaction) -> Reply | Awaitable[Reply]:
        """A 2xx reply once the message is in every mailbox as safely as the configuration asks, else a 4xx.

        With `transaction.replies_each` it is about the `remaining` recipients; the store may first set `refusal` of
        some. A future is better than a coroutine here: it costs no task.
        """
        ...

    async def open(self) -> None:
        """Get ready; raises StartError when the place for the mail cannot be used."""
        ...

    async def close(self) -> None:
        """Finish what was given, then stop."""
        ...


class Quotas(Protocol):
    """How much mailboxes may hold, where that is limited."""

    def admits(self, mailboxes: Sequence[Mailbox], size: int | None) -> Reply | Awaitable[Reply | None] | None:
        """None when a message of `size` octets (None: nobody knows) fits into each of them, else the refusal.

        Asked when a recipient has a mailbox with a quota, before the message arrives. Raises nothing, now or later.
        """
        ...


class MailExchanger(NamedTuple):
    """An MX record; the host is empty for "." (RFC 7505: there is no mail here)."""

    preference: int
    host: str


DnsRecord = TypeVar("DnsRecord")


@dataclass(frozen=True, slots=True)
class DnsAnswer(Generic[DnsRecord]):
    """What the DNS has under a name. Without records there is no such name (`exists` is false: NXDOMAIN), or it has
    none of this kind. Names are in lower case, without the dot at the end.

    `until_ns` is how long that is good, on the monotonic clock in nanoseconds (0: nobody knows); so long, what follows
    from it need not be concluded again. It may be awaited, too, like the future of one; who is in a hurry looks at the
    type instead.
    """

    records: tuple[DnsRecord, ...] = ()
    exists: bool = True
    until_ns: int = field(default=0, repr=False, compare=False)

    def __await__(self) -> "Generator[None, None, DnsAnswer[DnsRecord]]":
        yield from ()
        return self


Lookup: TypeAlias = DnsAnswer[DnsRecord] | asyncio.Future[DnsAnswer[DnsRecord]]
"""An answer where it is remembered, else a future of it, which may be left alone or cancelled: nobody else minds."""


class Resolver(Protocol):
    """The DNS. Whatever keeps it from answering is a DnsError, now or when awaited; it says nothing about the name.

    `about` is for whom it is asked: all lookups for a connection or transaction together keep them waiting no longer
    than the budget of the configuration. A name that the DNS cannot have (empty labels, too long) does not exist.
    """

    def addresses(
        self, name: str, about: Connection | Transaction | None = None, /, *, version: Literal[4, 6] | None = None
    ) -> Lookup[IPv4Address | IPv6Address]:
        """A and AAAA records, or only those of one version of IP."""
        ...

    def mx(self, name: str, about: Connection | Transaction | None = None, /) -> Lookup[MailExchanger]:
        """MX records, the most preferred first."""
        ...

    def txt(self, name: str, about: Connection | Transaction | None = None, /) -> Lookup[str]:
        """TXT records, the strings of each in one; what is not UTF-8 has U+FFFD in its place."""
        ...

    def reverse(self, address: str, about: Connection | Transaction | None = None, /) -> Lookup[str]:
        """The names of an IP address (PTR). Raises ValueError for what is none."""
        ...


class ListRow(NamedTuple):
    """An entry of a list, as somebody wrote it, and what the client hears; empty where nothing is said of that."""

    entry: str
    reason: str


class StoredRows(NamedTuple):
    """All rows of a list; by the `mark` its backend knows whether it is still the same."""

    mark: object
    rows: tuple[ListRow, ...]


class StoredLists(Protocol):
    """Lists that the operator keeps in the directory's database: `sender` and `recipient`."""

    async def rows(self, name: str, seen: StoredRows | None = None) -> StoredRows:
        """What the list has now; with what was `seen` before, that itself when nothing has changed.

        Nothing is remembered, so that nobody asks for each message. Raises DirectoryError.
        """
        ...


class Clock(Protocol):
    """The time, so that tests can own it."""

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""
        ...


class Buckets(Protocol):
    """Token buckets by key, the same ones for all workers of a host, and for several hosts where `[state]` says so.

    A bucket that nobody has used is full. Nothing is raised, now or later: when the other hosts cannot be reached, the
    buckets of this host answer. A rate belongs to its key: who changes one changes the other.
    """

    def take(self, key: str, rate: Rate, tokens: int = 1) -> float | Awaitable[float]:
        """0.0 when there were so many; they are gone. Else nothing is taken: in how many seconds there will be so many.

        With `tokens=0` nothing is taken in any case, and it is said whether, or when, there is one. More than the
        bucket holds are never there: `inf`.
        """
        ...

    def give_back(self, key: str, rate: Rate, tokens: int = 1) -> None:
        """What was taken was not used after all."""
        ...


class Records(Protocol):
    """Short texts and scores by key, each with a lifetime: for all workers, over restarts, and for several hosts.

    Writing never waits and raises nothing: what cannot be written is lost, and counted. Everybody reads it within a
    second, and who has put a text at once. Reading raises StateError, now or when awaited.
    """

    async def open(self) -> None:
        """Whoever needs records awaits this in `start`. Raises StateError when there is no place for them at all."""
        ...

    def get(self, key: str) -> str | Awaitable[str | None] | None:
        """The text, or None when there is none (any more)."""
        ...

    def put(self, key: str, text: str, lifetime_s: float) -> None:
        """Remember a text for so long, in place of what was there."""
        ...

    def score(self, key: str, half_life_s: float) -> float | Awaitable[float]:
        """The sum of what was added, each part halved in every half-life since; 0.0 where nothing was."""
        ...

    def add(self, key: str, amount: float, half_life_s: float) -> None:
        """Add to a score. One that has been left alone for sixteen half-lives is forgotten."""
        ...
