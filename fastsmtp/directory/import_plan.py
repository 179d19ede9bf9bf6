"""Sorts out what an import has to write: who is new, who is there already, and which lines cannot be."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from fastsmtp.directory.admin_finder import Finder
from fastsmtp.directory.admin_rows import DuplicateError, UnknownDomainError
from fastsmtp.directory.csv_lines import AliasLine, UserLine
from fastsmtp.directory.database import Database
from fastsmtp.smtp.address import fold

__all__ = ["AliasPlan", "UserPlan"]


@dataclass(slots=True)
class _Domain:
    """A domain as it is before the import: users by folded name, aliases by name and target."""

    domain_id: int = 0
    refusal: str = ""
    users: dict[str, list[int]] = field(default_factory=dict)
    aliases: set[tuple[str, str]] = field(default_factory=set)
    is_active: dict[str, bool] = field(default_factory=dict)


class _Plan(Finder, ABC):
    """What both plans share: each domain is read once, and no line may say again what another one said."""

    def __init__(self, database: Database, *, update: bool) -> None:
        super().__init__(database)
        self._update = update
        self._domains: dict[str, _Domain] = {}
        self._lines: dict[tuple[str, ...], int] = {}

    def _domain(self, name: str) -> _Domain:
        if name not in self._domains:
            try:
                self._domains[name] = self._load(self._known_domain_ids(name))
            except UnknownDomainError as error:
                self._domains[name] = _Domain(refusal=str(error))
        domain = self._domains[name]
        if domain.refusal:
            raise UnknownDomainError(domain.refusal)
        return domain

    @abstractmethod
    def _load(self, domain_ids: list[int]) -> _Domain:
        """What is in a domain."""

    def _refuse_second(self, line: int, what: str, *key: str) -> None:
        first = self._lines.setdefault(key, line)
        if first != line:
            raise DuplicateError(f"{what} is in line {first} already")


class UserPlan(_Plan):
    """`new` are lines with the number of their domain, `changed` lines with the number of their user."""

    def __init__(self, database: Database, *, update: bool) -> None:
        super().__init__(database, update=update)
        self.new: list[tuple[int, UserLine]] = []
        self.changed: list[tuple[int, UserLine]] = []

    def take(self, line: UserLine) -> None:
        """Raises UnknownDomainError, DuplicateError."""
        domain, name = self._domain(line.address.domain), line.address.folded_local
        self._refuse_second(line.line, f"the user {line.address}", line.address.domain, name)
        user_ids = domain.users.get(name)
        if user_ids is None:
            self.new.append((domain.domain_id, line))
        elif self._update:
            self.changed += ((user_id, line) for user_id in user_ids)
        else:
            raise DuplicateError(f"the user {line.address} is here already")

    def _load(self, domain_ids: list[int]) -> _Domain:
        domain = _Domain(domain_ids[0])
        for domain_id in domain_ids:
            for user_id, stored in self._database.execute(
                'SELECT user_id, CAST(username AS TEXT) FROM "user" WHERE domain_id = ? AND username IS NOT NULL',
                domain_id,
            ):
                domain.users.setdefault(fold(stored), []).append(user_id)
        return domain


class AliasPlan(_Plan):
    """`new` are lines with the number of their domain and whether their alias is on; `known` counts the others."""

    def __init__(self, database: Database, *, update: bool) -> None:
        super().__init__(database, update=update)
        self.new: list[tuple[int, bool, AliasLine]] = []
        self.known = 0

    def take(self, line: AliasLine) -> None:
        """Raises UnknownDomainError, DuplicateError."""
        domain, name, target = self._domain(line.address.domain), line.address.folded_local, line.target
        self._refuse_second(
            line.line, f"{line.address} to {target}", line.address.domain, name, target.folded_local, target.domain
        )
        if (name, fold(str(target))) not in domain.aliases:
            self.new.append((domain.domain_id, domain.is_active.get(name, True), line))
        elif self._update:
            self.known += 1
        else:
            raise DuplicateError(f"the alias {line.address} leads to {target} already")

    def _load(self, domain_ids: list[int]) -> _Domain:
        domain = _Domain(domain_ids[0])
        for domain_id in domain_ids:
            for name, target, is_active in self._database.execute(
                "SELECT alias_name, target, is_active FROM alias WHERE domain_id = ?", domain_id
            ):
                domain.aliases.add((fold(name), fold(target)))
                domain.is_active[fold(name)] = bool(is_active) or domain.is_active.get(fold(name), False)
        return domain
