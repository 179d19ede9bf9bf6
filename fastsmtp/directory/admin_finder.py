"""Finds the rows of a database by the names that people use for them."""

from fastsmtp.directory.admin_rows import AliasList, UnknownDomainError, UnknownUserError
from fastsmtp.directory.database import Database
from fastsmtp.directory.lookup import Rules, same_domain
from fastsmtp.directory.names import AdminError
from fastsmtp.smtp.address import Address, AddressError, canonical_domain, fold

__all__ = ["Finder", "shown_domain"]


def shown_domain(stored: str) -> str:
    """A stored domain name in its canonical form, or as it is when it has none."""
    try:
        return canonical_domain(stored)
    except AddressError:
        return stored


class Finder:
    """Names are compared as for mail: ASCII case, canonical domains; a database of others may have one twice.

    What begins with an underscore is for use inside of a transaction.
    """

    def __init__(self, database: Database, rules: Rules | None = None) -> None:
        self._database = database
        self._rules = rules or Rules()

    def _domain_ids(self, name: str) -> list[int]:
        """The domain of this canonical name, in whatever spelling; the active one first."""
        rows = self._database.execute(
            "SELECT domain_id, CAST(domain_name AS TEXT) FROM domain"
            " WHERE lower(domain_name) = ? OR domain_name GLOB '*[^ -~]*' ORDER BY coalesce(is_active, 0) DESC",
            name,
        )
        return [_identified(row_id, name) for row_id, stored in rows if same_domain(stored, name)]

    def _known_domain_ids(self, name: str) -> list[int]:
        if found := self._domain_ids(name):
            return found
        home = self._home_of_alias(name)
        hint = f"; it is another name of {home}, use that" if home else ""
        raise UnknownDomainError(f"the domain {name} is not in the directory{hint}")

    def _home_of_alias(self, name: str) -> str | None:
        """The domain that this canonical name is another name of."""
        if "domain_alias" not in self._database.tables():
            return None
        rows = self._database.execute(
            "SELECT a.alias_name, CAST(d.domain_name AS TEXT)"
            " FROM domain_alias AS a JOIN domain AS d ON d.domain_id = a.domain_id"
            " WHERE lower(a.alias_name) = ? OR a.alias_name GLOB '*[^ -~]*'",
            name,
        )
        return next((shown_domain(home) for stored, home in rows if same_domain(stored, name)), None)

    def _user_ids(self, domain_ids: list[int], name: str) -> list[int]:
        """The user of this folded name."""
        return [
            _identified(row_id, name)
            for domain_id in domain_ids
            for row_id, stored in self._database.execute(
                'SELECT user_id, CAST(username AS TEXT) FROM "user"'
                " WHERE domain_id = ? AND (lower(username) = ? OR username GLOB '*[^ -~]*')",
                domain_id,
                name,
            )
            if fold(stored) == name
        ]

    def _known_user_ids(self, user: Address) -> list[int]:
        if found := self._user_ids(self._known_domain_ids(user.domain), user.folded_local):
            return found
        raise UnknownUserError(f"the user {user} is not in the directory")

    def _alias(self, alias: Address) -> AliasList | None:
        """The alias of this name in a domain that is not another name itself."""
        rows = self._alias_rows(alias)
        if not rows:
            return None
        is_active = any(active for _, active, _ in rows)
        return AliasList(alias.domain, alias.folded_local, is_active, tuple(target for _, _, target in rows))

    def _alias_rows(self, alias: Address) -> list[tuple[int, int, str]]:
        """Number, is_active and target, in the order in which they were added."""
        return [
            (row_id, is_active, target)
            for domain_id in self._domain_ids(alias.domain)
            for row_id, is_active, target, stored in self._database.execute(
                "SELECT alias_id, is_active, target, alias_name FROM alias"
                " WHERE domain_id = ? AND (lower(alias_name) = ? OR alias_name GLOB '*[^ -~]*') ORDER BY alias_id",
                domain_id,
                alias.folded_local,
            )
            if fold(stored) == alias.folded_local
        ]


def _identified(row_id: int | None, name: str) -> int:
    if row_id is None:  # nobody but the owner of the tables can tell such rows apart
        raise AdminError(f"the row of {name} has no number (domain_id, user_id) in the database; give it one")
    return row_id
