"""What one address may mean, and what the rows of a database make of it. Every backend asks and judges by this.

A backend is free to send back too many rows: names are compared here, and nothing of a row but its flags gets out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from fastsmtp.ports import Found, Mailbox, NoDomain, NoUser, Whereabouts
from fastsmtp.smtp.address import Address, canonical_domain, fold

__all__ = ["NO_DOMAIN", "NO_USER", "Lookup", "Row", "Rules", "is_mailbox_name", "same_domain"]

NAME_BYTES: Final = 255
"""Longest name of a folder (NAME_MAX of every usual file system)."""

NO_USER: Final = NoUser()
NO_DOMAIN: Final = NoDomain()

Row: TypeAlias = tuple[str, int | None, str | None, int | None]
"""domain_name, is_active, username, can_receive; the last two are None for a domain without such a user."""


def is_mailbox_name(name: str) -> bool:
    """Whether a folded user name can be the name of a folder: one path component, not hidden, at most 255 bytes."""
    if not name or name[0] == "." or "/" in name or "\0" in name:
        return False
    try:
        return len(name.encode()) <= NAME_BYTES
    except UnicodeEncodeError:
        return False


def same_domain(stored: str, domain: str) -> bool:
    """Whether a domain name as somebody stored it (any case, A-labels or U-labels) is this canonical one."""
    try:
        return stored == domain or canonical_domain(stored) == domain
    except ValueError:  # not a domain name, or not even UTF-8
        return False


@dataclass(frozen=True, slots=True)
class Lookup:
    """One address, ready to be asked for: a canonical domain and the user names that may have it, best first.

    `deputy` is asked when nobody has it (the configured postmaster). An empty `domain` is `<postmaster>`'s.
    """

    domain: str
    names: tuple[str, ...]
    deputy: "Lookup | None" = None

    @property
    def is_ascii(self) -> bool:
        """Whether only an ASCII spelling of domain and user can be meant, so that lower() is all SQL has to know."""
        return "xn--" not in self.domain and all(map(str.isascii, self.names))

    def parts(self) -> Iterator["Lookup"]:
        """What to fetch rows for: itself and its deputy, each with one domain."""
        if self.domain:
            yield self
        if self.deputy is not None:
            yield self.deputy

    def answer(self, rows: Iterable[Row]) -> Whereabouts:
        """The answer that these rows give, which are those of all parts and may be more."""
        if self.deputy is None:
            return self._judge(rows)
        rows = list(rows)
        own = self._judge(rows) if self.domain else NO_USER
        if own != NO_USER:
            return own
        deputy = self.deputy.answer(rows)
        return deputy if isinstance(deputy, Found) else NO_USER

    def _judge(self, rows: Iterable[Row]) -> Whereabouts:
        is_ours = False
        users: dict[str, bool] = {}  # a database without our indexes may have a name twice; one that receives is enough
        for domain, is_active, username, can_receive in rows:
            if not is_active or not same_domain(domain, self.domain):
                continue
            is_ours = True
            if username is not None:
                name = fold(username)
                users[name] = bool(can_receive) or users.get(name, False)
        if not is_ours:
            return NO_DOMAIN
        for name in self.names:
            if name in users:
                return Found((Mailbox(self.domain, name),)) if users[name] else NO_USER
        return NO_USER


@dataclass(frozen=True, slots=True)
class Rules:
    """How addresses are read here: who is the postmaster, and what separates a user from a tag ("" for nothing)."""

    postmaster: Address | None = None
    separator: str = "+"

    def lookup(self, address: Address) -> Lookup | NoUser | NoDomain:
        """What to ask for this address, or the answer where there is nothing to ask."""
        domain = address.domain
        if domain[:1] == "[" or not domain.isascii():  # a literal, or not canonical
            return NO_DOMAIN
        if address.is_postmaster:
            # RFC 5321 section 4.5.1: mail to postmaster is taken at every domain of ours, and without one.
            deputy = self._plain(self.postmaster) if self.postmaster is not None else None
            if deputy is not None or domain:
                return Lookup(domain, self._names(address), deputy)
            return NO_USER
        return self._plain(address) if domain else NO_DOMAIN

    def _plain(self, address: Address) -> Lookup:
        return Lookup(address.domain, self._names(address))

    def _names(self, address: Address) -> tuple[str, ...]:
        """The user names to try: the whole local part, then what stands before the first separator."""
        name = address.folded_local
        names = [name]
        if self.separator and self.separator in name:
            names.append(name.partition(self.separator)[0])
        return tuple(filter(is_mailbox_name, names))
