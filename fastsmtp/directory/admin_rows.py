"""What the administration shows, and what it says when a change cannot be made."""

from dataclasses import dataclass
from typing import NamedTuple

from fastsmtp.directory.names import AdminError
from fastsmtp.smtp.address import Address

__all__ = [
    "AliasList",
    "BlockRow",
    "DomainAlias",
    "DomainInUseError",
    "DomainRow",
    "DuplicateError",
    "UnknownAliasError",
    "UnknownDomainError",
    "UnknownEntryError",
    "UnknownUserError",
    "UserRow",
]


class DuplicateError(AdminError):
    """The domain, user, alias or entry is there already."""


class UnknownDomainError(AdminError):
    """The domain is not in the directory."""


class UnknownUserError(AdminError):
    """The user is not in the directory."""


class UnknownAliasError(AdminError):
    """The alias, or a target of it, is not in the directory."""


class UnknownEntryError(AdminError):
    """The entry is not on the list."""


class DomainInUseError(AdminError):
    """The domain still has users or aliases."""


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A domain in its canonical form, and how many users it has."""

    name: str
    is_active: bool
    users: int


@dataclass(frozen=True, slots=True)
class DomainAlias:
    """Mail for anybody at `name` is mail for the same user at `domain`; both are canonical."""

    name: str
    domain: str


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user: canonical domain, folded name, what they may do, how many octets of mail they may have, and whether a
    password is set.
    """

    domain: str
    name: str
    can_receive: bool
    can_login: bool
    quota_bytes: int | None = None
    has_password: bool = False

    @property
    def address(self) -> str:
        """The address as it is written, with quotes where the name needs them."""
        return str(Address(self.name, self.domain))


@dataclass(frozen=True, slots=True)
class AliasList:
    """An alias with its targets: canonical domain, folded name (or `*`), addresses."""

    domain: str
    name: str
    is_active: bool
    targets: tuple[str, ...]

    @property
    def address(self) -> str:
        """The address as it is written; `*@domain` is everybody who has no mailbox and no alias."""
        return str(Address(self.name, self.domain))


class BlockRow(NamedTuple):
    """An entry of the list `sender` or `recipient`, and what the client hears; empty for what the plugin says."""

    list: str
    entry: str
    reason: str
