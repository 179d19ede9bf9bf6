"""Where an alias leads, and what the person who made it may not have meant."""

import enum
from typing import Final

from fastsmtp.directory.admin_finder import Finder
from fastsmtp.directory.admin_rows import AliasList
from fastsmtp.directory.resolve import CATCH_ALL
from fastsmtp.smtp.address import Address, AddressError, parse_mailbox

__all__ = ["AliasWarnings"]

LOOKED_AT: Final = 1000
"""A loop behind more addresses than these is not found here; mail does not follow them either."""


class _End(enum.Enum):
    """Where an address leads, if not to an alias."""

    MAILBOX = enum.auto()
    NOBODY = enum.auto()
    FOREIGN = enum.auto()


class AliasWarnings(Finder):
    """Nothing here is an error: who is missing may come, and loops end by themselves."""

    def warnings(self, alias: AliasList) -> list[str]:
        """A sentence for each thing that is odd about this alias. Raises DirectoryError."""
        with self._database.reading():
            return [*self._mailbox_of_that_name(alias), *self._ends(alias), *self._loop(alias)]

    def _mailbox_of_that_name(self, alias: AliasList) -> list[str]:
        if alias.name == CATCH_ALL or not self._user_ids(self._domain_ids(alias.domain), alias.name):
            return []
        return [f"{alias.address} has a mailbox, which comes first: the alias is not used"]

    def _ends(self, alias: AliasList) -> list[str]:
        ends = {target: self._lead(target) for target in alias.targets}
        found = [f"nobody is called {target} yet" for target, end in ends.items() if end is _End.NOBODY]
        foreign = ", ".join(target for target, end in ends.items() if end is _End.FOREIGN)
        if foreign:
            found.append(
                f"not a domain of ours: {foreign}; as long as there is no relay, mail for {alias.address} is refused"
                " (550 5.4.4)"
            )
        return found

    def _loop(self, alias: AliasList) -> list[str]:
        """Follows every alias behind this one, each once."""
        ways: list[tuple[str, ...]] = [(target,) for target in alias.targets]
        seen: set[str] = set()
        while ways and len(seen) < LOOKED_AT:
            way = ways.pop()
            if way[-1] in seen:
                continue
            seen.add(way[-1])
            found = self._lead(way[-1])
            if isinstance(found, AliasList):
                if found.address == alias.address:
                    return [f"the alias leads back to itself: {' -> '.join([alias.address, *way])}"]
                ways += [(*way, target) for target in found.targets]
        return []

    def _lead(self, target: str) -> AliasList | _End:
        """What is asked for this address, in the order that mail meets."""
        try:
            address = parse_mailbox(target)
        except AddressError:  # written into the table by hand
            return _End.NOBODY
        domain = address.domain
        domain_ids = self._domain_ids(domain)
        if not domain_ids:
            home = self._home_of_alias(domain)
            if home is None:
                return _End.FOREIGN
            domain, domain_ids = home, self._domain_ids(home)
        for name in self._rules.names(address):
            if self._user_ids(domain_ids, name):
                return _End.MAILBOX
            if (alias := self._alias(Address(name, domain))) and alias.is_active:
                return alias
        if address.is_postmaster and self._rules.postmaster is not None:
            return _End.MAILBOX
        catch_all = self._alias(Address(CATCH_ALL, domain))
        return catch_all if catch_all and catch_all.is_active else _End.NOBODY
