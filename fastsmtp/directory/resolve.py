"""What an address leads to, sans-I/O: questions for the database come out, its rows go in.

    resolution = resolve(rules, address)
    question = next(resolution)
    question = resolution.send(rows)            ... until StopIteration brings the answer

Memory, SQLite and PostgreSQL differ only in how they answer a question; `ask` and `ask_later` do the rest. Names are
compared here: a backend may send back too many rows, and nothing of a row gets out but flags and quota.
"""

from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from fastsmtp.directory.lookup import NO_DOMAIN, NO_USER, Rules, same_domain
from fastsmtp.errors import DirectoryError
from fastsmtp.ports import Elsewhere, Found, Mailbox, NoDomain, Whereabouts
from fastsmtp.smtp.address import Address, AddressError, canonical_domain, fold, parse_mailbox

__all__ = [
    "ADDRESSES",
    "CATCH_ALL",
    "HOPS",
    "AliasRow",
    "Question",
    "Resolution",
    "Rows",
    "UserRow",
    "ask",
    "ask_later",
    "home_domain",
    "is_canonical",
    "resolve",
]

CATCH_ALL: Final = "*"
HOPS: Final = 10
"""So many aliases may follow each other."""
ADDRESSES: Final = 1000
"""So many addresses may one alias lead to, other aliases among them."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who has one of these names in this domain? `domain` is canonical, `names` are folded, the best first."""

    domain: str
    names: tuple[str, ...]

    @property
    def is_ascii(self) -> bool:
        """Whether only an ASCII spelling of domain and user can be meant, so that lower() is all SQL has to know."""
        return "xn--" not in self.domain and all(map(str.isascii, self.names))


class UserRow(NamedTuple):
    """A domain and one of its users; without such a user a domain is there once, with None for the user's fields.

    `asked` is the name by which the domain was found: its own, or that of a domain alias (which is active when both
    of them are).
    """

    asked: str
    domain: str
    is_active: int | None
    username: str | None = None
    can_receive: int | None = None
    quota_bytes: int | None = None


class AliasRow(NamedTuple):
    """One target of an active alias of an active domain: `local@domain`. The name `*` is the catch-all."""

    asked: str
    domain: str
    name: str
    target: str


class Rows(NamedTuple):
    """The answer to one question: the domain with its users of these names, and the aliases of these names and `*`."""

    users: Sequence[UserRow] = ()
    aliases: Sequence[AliasRow] = ()


Resolution: TypeAlias = Generator[Question, Rows, Whereabouts]


def ask(resolution: Resolution, fetch: Callable[[Question], Rows]) -> Whereabouts:
    """Answer all questions, now."""
    try:
        question = next(resolution)
        while True:
            question = resolution.send(fetch(question))
    except StopIteration as end:
        answer: Whereabouts = end.value
        return answer


async def ask_later(resolution: Resolution, fetch: Callable[[Question], Awaitable[Rows]]) -> Whereabouts:
    """Answer all questions, each when the database has answered."""
    try:
        question = next(resolution)
        while True:
            question = resolution.send(await fetch(question))
    except StopIteration as end:
        answer: Whereabouts = end.value
        return answer


def resolve(rules: Rules, address: Address) -> Resolution:
    """Where mail for this address goes; one question is enough for most.

    Raises DirectoryError for an alias that leads nowhere or too far: our fault, for which no mail shall bounce.
    """
    return _Journey(rules).answer(address)


@dataclass(slots=True)
class _Domain:
    """What the rows say of an active domain of ours."""

    name: str
    users: dict[str, tuple[bool, int | None]]
    aliases: dict[str, list[str]]


class _Journey:
    """From one address to all that it leads to."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._deputy: Whereabouts | None = None

    def answer(self, address: Address) -> Resolution:
        """Where mail for this address goes."""
        answer = yield from self._visit(address, is_target=False)
        return (yield from self._follow(address, answer)) if isinstance(answer, list) else answer

    def _visit(self, address: Address, *, is_target: bool) -> Generator[Question, Rows, Whereabouts | list[str]]:
        """The answer for one address, or the targets of an alias."""
        catch_all: list[str] | None = None
        if address.domain:
            if not is_canonical(address.domain):  # a literal, too
                return NO_DOMAIN
            question = Question(address.domain, self._rules.names(address))
            rows = yield question
            domain = _judge(rows, question)
            if domain is None:
                # To an alias, a domain that is switched off is a target that is gone, not one on another server.
                is_off = any(same_domain(row.asked, address.domain) for row in rows.users)
                return NO_USER if is_target and is_off else NO_DOMAIN
            catch_all = domain.aliases.get(CATCH_ALL)
            for name in question.names:
                if name in domain.users:
                    can_receive, quota = domain.users[name]
                    if can_receive:
                        return Found((Mailbox(domain.name, name, quota),))
                    catch_all = None  # is not for the mail of somebody who shall have none
                    break
                if name in domain.aliases:
                    return domain.aliases[name]
        elif not address.is_postmaster:
            return NO_DOMAIN
        if address.is_postmaster and isinstance(deputy := (yield from self._ask_deputy()), Found):
            return deputy
        return catch_all or NO_USER

    def _ask_deputy(self) -> Resolution:
        """RFC 5321 section 4.5.1: mail to postmaster is taken at every domain of ours, and without one."""
        if self._deputy is None:
            self._deputy = NO_USER
            if self._rules.postmaster is not None:
                self._deputy = yield from resolve(Rules(None, self._rules.separator), self._rules.postmaster)
        return self._deputy

    def _follow(self, alias: Address, targets: list[str]) -> Resolution:
        """What the targets of an alias lead to. Who is gone is left out, as long as somebody is there.

        Breadth first: an address that is seen twice was seen by its shortest way, and the order of rows is no matter.
        """
        seen = {(alias.folded_local, alias.domain)}
        mailboxes: dict[tuple[str, str], Mailbox] = {}
        foreign: set[str] = set()
        for _ in range(HOPS):
            further: list[str] = []
            for address in _unseen(targets, seen):
                if len(seen) > ADDRESSES + 1:  # the alias itself is seen, too
                    raise DirectoryError(f"the alias {alias} leads to more than {ADDRESSES} addresses")
                answer = yield from self._visit(address, is_target=True)
                if isinstance(answer, list):
                    further += answer
                elif isinstance(answer, Found):
                    mailboxes.update((mailbox[:2], mailbox) for mailbox in answer.mailboxes)
                elif isinstance(answer, NoDomain):
                    foreign.add(str(address))
            targets = further
        if beyond := next(_unseen(targets, seen), None):
            raise DirectoryError(f"the alias {alias} leads over more than {HOPS} others, to {beyond} and further")
        if foreign:
            return Elsewhere(tuple(sorted(foreign)))
        if not mailboxes:
            raise DirectoryError(f"the alias {alias} leads to no mailbox")
        return Found(tuple(mailboxes[key] for key in sorted(mailboxes)))


def is_canonical(domain: str) -> bool:
    """Whether a domain is one in its canonical form: neither an address literal nor empty."""
    try:
        return canonical_domain(domain) == domain
    except AddressError:
        return False


def _unseen(targets: Sequence[str], seen: set[tuple[str, str]]) -> Iterator[Address]:
    """The addresses among the targets that nobody has seen yet; now they are seen, so that a loop comes to its end."""
    for target in targets:
        try:
            address = parse_mailbox(target)
        except AddressError:
            continue
        key = address.folded_local, address.domain
        if key not in seen:
            seen.add(key)
            yield address


def _judge(rows: Rows, question: Question) -> _Domain | None:
    """What is said of the domain in question; None when it is not ours, or not active."""
    active = [row for row in rows.users if row.is_active and same_domain(row.asked, question.domain)]
    name = home_domain({row.domain for row in active}, question.domain)
    if name is None:
        return None
    users: dict[str, tuple[bool, int | None]] = {}
    for row in active:
        if row.username is not None and same_domain(row.domain, name):
            # A database without our indexes may have a name twice; one that receives is enough.
            user = fold(row.username)
            if not users.get(user, (False, None))[0]:
                users[user] = bool(row.can_receive), row.quota_bytes
    aliases: dict[str, list[str]] = {}
    for alias in rows.aliases:
        if same_domain(alias.asked, question.domain) and same_domain(alias.domain, name):
            aliases.setdefault(fold(alias.name), []).append(alias.target)
    return _Domain(name, users, aliases)


def home_domain(stored: set[str], asked: str) -> str | None:
    """The canonical name of the domain that was found; a domain alias comes before a domain of the same name."""
    names = set()
    for name in stored:
        with suppress(ValueError):  # a domain alias of what is no domain name
            names.add(canonical_domain(name))
    return min(names - {asked}, default=asked if names else None)
