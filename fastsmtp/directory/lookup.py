"""How addresses are read here, and how names are compared: the same for every backend."""

from dataclasses import dataclass
from typing import Final

from fastsmtp.ports import NoDomain, NoUser
from fastsmtp.smtp.address import Address, canonical_domain

__all__ = ["NO_DOMAIN", "NO_USER", "Rules", "is_mailbox_name", "same_domain"]

NAME_BYTES: Final = 255
"""Longest name of a folder (NAME_MAX of every usual file system)."""

NO_USER: Final = NoUser()
NO_DOMAIN: Final = NoDomain()


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
class Rules:
    """How addresses are read here: who is the postmaster, and what separates a user from a tag ("" for nothing)."""

    postmaster: Address | None = None
    separator: str = "+"

    def names(self, address: Address) -> tuple[str, ...]:
        """The user names to try: the whole local part, then what stands before the first separator."""
        name = address.folded_local
        names = [name]
        if self.separator and self.separator in name:
            names.append(name.partition(self.separator)[0])
        return tuple(filter(is_mailbox_name, names))
