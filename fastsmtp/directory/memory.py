"""A directory in memory: for tests, for the test kit, and for sites that are written down in a program."""

from collections.abc import Iterable, Iterator

from fastsmtp.directory.logins import LoginRow, login_of, login_question
from fastsmtp.directory.lookup import Rules, is_mailbox_name
from fastsmtp.directory.resolve import CATCH_ALL, AliasRow, Question, Rows, UserRow, ask, resolve
from fastsmtp.ports import Login, Whereabouts
from fastsmtp.smtp.address import Address, canonical_domain, parse_mailbox

__all__ = ["MemoryDirectory"]


class MemoryDirectory:
    """Domains and users in dictionaries; `users` are addresses whose domains become ours.

    `postmaster` gets the mail for postmaster where a domain has no such user. Raises ValueError for an address that
    is none or whose user name cannot be a mailbox.
    """

    def __init__(self, users: Iterable[str] = (), *, postmaster: Address | None = None, separator: str = "+") -> None:
        self._rules = Rules(postmaster, separator)
        self._active: dict[str, bool] = {}
        self._users: dict[tuple[str, str], tuple[bool, int | None]] = {}
        self._logins: dict[tuple[str, str], tuple[bool, str | None]] = {}
        self._aliases: dict[tuple[str, str], list[str]] = {}
        self._domain_aliases: dict[str, tuple[str, bool]] = {}
        for user in users:
            self.add_user(user)

    def add_domain(self, domain: str, *, is_active: bool = True) -> None:
        """Make a domain ours, or change whether it is active."""
        self._active[canonical_domain(domain)] = is_active

    def remove_domain(self, domain: str) -> None:
        """Forget a domain, its users and aliases. Raises KeyError when it is not there."""
        name = canonical_domain(domain)
        del self._active[name]
        self._users = {key: user for key, user in self._users.items() if key[0] != name}
        self._logins = {key: login for key, login in self._logins.items() if key[0] != name}
        self._aliases = {key: targets for key, targets in self._aliases.items() if key[0] != name}
        self._domain_aliases = {alias: real for alias, real in self._domain_aliases.items() if real[0] != name}

    def add_domain_alias(self, alias: str, domain: str, *, is_active: bool = True) -> None:
        """Let mail for anybody at `alias` be mail for the same user at `domain`; while it is inactive, do not."""
        self._domain_aliases[canonical_domain(alias)] = canonical_domain(domain), is_active

    def add_alias(self, address: str, target: str) -> None:
        """Let mail for this address go to the target, too; `*@domain` is the catch-all. Raises ValueError."""
        local, _, domain = address.rpartition("@")
        key = (canonical_domain(domain), CATCH_ALL) if local == CATCH_ALL else self._key(address)
        parse_mailbox(target)
        self._active.setdefault(key[0], True)
        self._aliases.setdefault(key, []).append(target)

    def add_user(
        self,
        address: str,
        *,
        can_receive: bool = True,
        can_login: bool = True,
        quota_bytes: int | None = None,
        password_hash: str | None = None,
    ) -> None:
        """Add a user, or change what is said of them; a domain that is not there yet is added."""
        key = self._key(address)
        if not is_mailbox_name(key[1]):
            raise ValueError(f"{address}: the user name cannot be the name of a mailbox folder")
        self._active.setdefault(key[0], True)
        self._users[key] = can_receive, quota_bytes
        self._logins[key] = can_login, password_hash

    def remove_user(self, address: str) -> None:
        """Forget a user. Raises KeyError when they are not there."""
        key = self._key(address)
        del self._users[key], self._logins[key]

    def locate(self, address: Address) -> Whereabouts:
        """Where mail for this address goes."""
        return ask(resolve(self._rules, address), self._rows)

    def find_login(self, address: Address) -> Login | None:
        """Whoever may log in under this name."""
        question = login_question(address)
        return None if question is None else login_of(self._login_rows(question), question)

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""

    @staticmethod
    def _key(address: str) -> tuple[str, str]:
        mailbox = parse_mailbox(address)
        return mailbox.domain, mailbox.folded_local

    def _homes(self, question: Question) -> Iterator[tuple[str, bool]]:
        """The domains that may be meant, and whether they are active."""
        homes = [(question.domain, True)]
        if (alias := self._domain_aliases.get(question.domain)) is not None:
            homes.append(alias)
        for domain, is_reachable in homes:
            if domain in self._active:
                yield domain, self._active[domain] and is_reachable

    def _login_rows(self, question: Question) -> Iterator[LoginRow]:
        [name] = question.names
        for domain, is_active in self._homes(question):
            known = self._logins.get((domain, name))
            yield LoginRow(question.domain, domain, is_active, name if known else None, *(known or (None, None)))

    def _rows(self, question: Question) -> Rows:
        users: list[UserRow] = []
        aliases: list[AliasRow] = []
        for domain, is_active in self._homes(question):
            users.append(UserRow(question.domain, domain, is_active))
            if not is_active:
                continue
            users += [
                UserRow(question.domain, domain, is_active, name, *user)
                for name in question.names
                if (user := self._users.get((domain, name))) is not None
            ]
            aliases += [
                AliasRow(question.domain, domain, name, target)
                for name in (*question.names, CATCH_ALL)
                for target in self._aliases.get((domain, name), ())
            ]
        return Rows(users, aliases)
