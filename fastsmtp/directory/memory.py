"""A directory in memory: for tests, for the test kit, and for sites that are written down in a program."""

from collections.abc import Iterable, Iterator

from fastsmtp.directory.lookup import Lookup, Row, Rules, is_mailbox_name
from fastsmtp.ports import Whereabouts
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
        self._users: dict[tuple[str, str], bool] = {}
        for user in users:
            self.add_user(user)

    def add_domain(self, domain: str, *, is_active: bool = True) -> None:
        """Make a domain ours, or change whether it is active."""
        self._active[canonical_domain(domain)] = is_active

    def remove_domain(self, domain: str) -> None:
        """Forget a domain and its users. Raises KeyError when it is not there."""
        name = canonical_domain(domain)
        del self._active[name]
        self._users = {key: can_receive for key, can_receive in self._users.items() if key[0] != name}

    def add_user(self, address: str, *, can_receive: bool = True) -> None:
        """Add a user, or change whether they can receive; a domain that is not there yet is added."""
        key = self._key(address)
        if not is_mailbox_name(key[1]):
            raise ValueError(f"{address}: the user name cannot be the name of a mailbox folder")
        self._active.setdefault(key[0], True)
        self._users[key] = can_receive

    def remove_user(self, address: str) -> None:
        """Forget a user. Raises KeyError when they are not there."""
        del self._users[self._key(address)]

    def locate(self, address: Address) -> Whereabouts:
        """Where mail for this address goes."""
        lookup = self._rules.lookup(address)
        return lookup.answer(self._rows(lookup)) if isinstance(lookup, Lookup) else lookup

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""

    @staticmethod
    def _key(address: str) -> tuple[str, str]:
        mailbox = parse_mailbox(address)
        return mailbox.domain, mailbox.folded_local

    def _rows(self, lookup: Lookup) -> Iterator[Row]:
        for part in lookup.parts():
            is_active = self._active.get(part.domain)
            if is_active is None:
                continue
            yield part.domain, is_active, None, None
            for name in part.names:
                if (can_receive := self._users.get((part.domain, name))) is not None:
                    yield part.domain, is_active, name, can_receive
