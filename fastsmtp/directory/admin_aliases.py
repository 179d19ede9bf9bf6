"""Changes aliases."""

from collections.abc import Iterable
from typing import Final

from fastsmtp.directory.admin_finder import Finder, shown_domain
from fastsmtp.directory.admin_rows import AliasList, DuplicateError, UnknownAliasError
from fastsmtp.directory.names import read_address, read_domain, read_new_address
from fastsmtp.directory.resolve import CATCH_ALL
from fastsmtp.smtp.address import Address, fold

__all__ = ["AliasAdmin", "read_alias"]

_ALIASES: Final = (
    "SELECT CAST(d.domain_name AS TEXT), a.alias_name, a.is_active, a.target"
    " FROM alias AS a JOIN domain AS d ON d.domain_id = a.domain_id"
)


def read_alias(text: str) -> Address:
    """The address of an alias; `*@domain` is the catch-all. Raises BadAddressError, MailboxNameError."""
    local, _, domain = text.rpartition("@")
    return Address(CATCH_ALL, read_domain(domain)) if local == CATCH_ALL else read_new_address(text)


class AliasAdmin(Finder):
    """Each change is a transaction of its own. Every method raises DirectoryError when the database cannot be used."""

    def add_alias(self, address: str, targets: Iterable[str]) -> AliasList:
        """Let mail for an address go to these, too. Raises BadAddressError, UnknownDomainError, DuplicateError."""
        alias = read_alias(address)
        wanted = [read_address(target) for target in targets]
        with self._database.changing():
            domain_id = self._known_domain_ids(alias.domain)[0]
            before = self._alias(alias)
            taken = set(map(fold, before.targets)) if before else set()
            for target in wanted:
                if fold(str(target)) in taken:
                    raise DuplicateError(f"the alias {alias} leads to {target} already")
                taken.add(fold(str(target)))
                self._database.execute(
                    "INSERT INTO alias (domain_id, is_active, alias_name, target) VALUES (?, ?, ?, ?)",
                    domain_id,
                    int(before is None or before.is_active),
                    alias.folded_local,
                    str(target),
                )
            return self._known_alias(alias)

    def list_aliases(self, domain: str | None = None) -> list[AliasList]:
        """The aliases of one domain or of all, by domain and name. Raises BadAddressError, UnknownDomainError."""
        with self._database.reading():
            if domain is None:
                rows = self._database.execute(f"{_ALIASES} ORDER BY a.alias_id")
            else:
                rows = [
                    row
                    for domain_id in self._known_domain_ids(read_domain(domain))
                    for row in self._database.execute(
                        f"{_ALIASES} WHERE d.domain_id = ? ORDER BY a.alias_id", domain_id
                    )
                ]
        found: dict[tuple[str, str], list[tuple[bool, str]]] = {}
        for home, name, is_active, target in rows:
            found.setdefault((shown_domain(home), fold(name)), []).append((bool(is_active), target))
        return [
            AliasList(*key, any(active for active, _ in targets), tuple(target for _, target in targets))
            for key, targets in sorted(found.items())
        ]

    def set_alias_active(self, address: str, is_active: bool) -> AliasList:
        """Switch an alias on or off. Raises BadAddressError, UnknownDomainError, UnknownAliasError."""
        alias = read_alias(address)
        with self._database.changing():
            rows = [(int(is_active), row_id) for row_id, _, _ in self._alias_rows(alias)]
            self._database.execute_many("UPDATE alias SET is_active = ? WHERE alias_id = ?", rows)
            return self._known_alias(alias)

    def remove_alias(self, address: str, targets: Iterable[str] = ()) -> AliasList | None:
        """Forget these targets of an alias, without any the whole alias; returns what is left of it.

        Raises BadAddressError, UnknownDomainError, UnknownAliasError.
        """
        alias = read_alias(address)
        unwanted = {fold(str(read_address(target))) for target in targets}
        with self._database.changing():
            leads_to = {fold(target) for target in self._known_alias(alias).targets}
            if missing := unwanted - leads_to:
                raise UnknownAliasError(f"the alias {alias} does not lead to {', '.join(sorted(missing))}")
            doomed = unwanted or leads_to
            rows = [(row_id,) for row_id, _, target in self._alias_rows(alias) if fold(target) in doomed]
            self._database.execute_many("DELETE FROM alias WHERE alias_id = ?", rows)
            return self._alias(alias)

    def _known_alias(self, alias: Address) -> AliasList:
        if found := self._alias(alias):
            return found
        self._known_domain_ids(alias.domain)
        raise UnknownAliasError(f"the alias {alias} is not in the directory")
