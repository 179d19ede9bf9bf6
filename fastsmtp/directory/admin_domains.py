"""Changes domains, and the other names that they have."""

from fastsmtp.directory.admin_finder import Finder, shown_domain
from fastsmtp.directory.admin_rows import (
    DomainAlias,
    DomainInUseError,
    DomainRow,
    DuplicateError,
    UnknownAliasError,
)
from fastsmtp.directory.lookup import same_domain
from fastsmtp.directory.names import read_domain

__all__ = ["DomainAdmin"]


class DomainAdmin(Finder):
    """Each change is a transaction of its own. Every method raises DirectoryError when the database cannot be used."""

    def add_domain(self, domain: str, *, is_active: bool = True) -> DomainRow:
        """Make a domain ours. Raises BadAddressError, DuplicateError."""
        name = read_domain(domain)
        with self._database.changing():
            self._refuse_taken_name(name)
            [domain_id] = self._database.new_ids("domain", "domain_id")
            self._database.execute(
                "INSERT INTO domain (domain_id, is_active, domain_name) VALUES (?, ?, ?)",
                domain_id,
                int(is_active),
                name,
            )
        return DomainRow(name, is_active, users=0)

    def list_domains(self) -> list[DomainRow]:
        """All domains, by name."""
        rows = self._database.execute(
            "SELECT coalesce(CAST(d.domain_name AS TEXT), ''), d.is_active, count(u.domain_id)"
            ' FROM domain AS d LEFT JOIN "user" AS u ON u.domain_id = d.domain_id'
            " GROUP BY d.domain_id, d.domain_name, d.is_active"
        )
        domains = [DomainRow(shown_domain(name), bool(active), users) for name, active, users in rows]
        return sorted(domains, key=lambda row: row.name)

    def set_domain_active(self, domain: str, is_active: bool) -> None:
        """Switch a domain on or off. Raises BadAddressError, UnknownDomainError."""
        name = read_domain(domain)
        with self._database.changing():
            for domain_id in self._known_domain_ids(name):
                self._database.execute("UPDATE domain SET is_active = ? WHERE domain_id = ?", int(is_active), domain_id)

    def remove_domain(self, domain: str, *, force: bool = False) -> int:
        """Forget a domain and its other names, with `force` its users and aliases too; returns how many users.

        Raises BadAddressError, UnknownDomainError, and DomainInUseError when it has any (without `force`).
        """
        name = read_domain(domain)
        with self._database.changing():
            domain_ids = self._known_domain_ids(name)
            users = self._count('SELECT count(*) FROM "user" WHERE domain_id = ?', domain_ids)
            aliases = 0
            if "alias" in self._database.tables():
                aliases = self._count("SELECT count(*) FROM alias WHERE domain_id = ?", domain_ids)
            if (users or aliases) and not force:
                still = f"users: {users}" + (f", targets of aliases: {aliases}" if aliases else "")
                raise DomainInUseError(f"the domain {name} still has {still}")
            for domain_id in domain_ids:
                # Triggers take what else belongs to a user and to a domain.
                self._database.execute('DELETE FROM "user" WHERE domain_id = ?', domain_id)
                self._database.execute("DELETE FROM domain WHERE domain_id = ?", domain_id)
        return users

    def add_domain_alias(self, alias: str, domain: str) -> DomainAlias:
        """Give a domain another name. Raises BadAddressError, UnknownDomainError, DuplicateError."""
        row = DomainAlias(read_domain(alias), read_domain(domain))
        with self._database.changing():
            domain_id = self._known_domain_ids(row.domain)[0]
            self._refuse_taken_name(row.name)
            self._database.execute(
                "INSERT INTO domain_alias (alias_name, domain_id, is_active) VALUES (?, ?, 1)", row.name, domain_id
            )
        return row

    def list_domain_aliases(self) -> list[DomainAlias]:
        """All other names of domains, by name."""
        rows = self._database.execute(
            "SELECT a.alias_name, CAST(d.domain_name AS TEXT)"
            " FROM domain_alias AS a JOIN domain AS d ON d.domain_id = a.domain_id"
        )
        aliases = [DomainAlias(shown_domain(name), shown_domain(home)) for name, home in rows]
        return sorted(aliases, key=lambda row: row.name)

    def remove_domain_alias(self, alias: str) -> None:
        """Take a name from a domain. Raises BadAddressError, UnknownAliasError."""
        name = read_domain(alias)
        with self._database.changing():
            names = self._database.execute("SELECT domain_alias_id, alias_name FROM domain_alias")
            row_ids = [row_id for row_id, stored in names if same_domain(stored, name)]
            if not row_ids:
                raise UnknownAliasError(f"{name} is not another name of a domain")
            self._database.execute_many(
                "DELETE FROM domain_alias WHERE domain_alias_id = ?", [(row_id,) for row_id in row_ids]
            )

    def _refuse_taken_name(self, name: str) -> None:
        if self._domain_ids(name):
            raise DuplicateError(f"the domain {name} is here already")
        if home := self._home_of_alias(name):
            raise DuplicateError(f"{name} is here already, as another name of {home}")

    def _count(self, statement: str, domain_ids: list[int]) -> int:
        return sum(self._database.execute(statement, domain_id)[0][0] for domain_id in domain_ids)
