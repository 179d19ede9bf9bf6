"""Domains and addresses as people type them: the canonical form, or an error that points at what is wrong."""

import string
import unicodedata
from typing import Final

from fastsmtp.directory.lookup import is_mailbox_name
from fastsmtp.errors import FastsmtpError
from fastsmtp.smtp.address import Address, AddressError, canonical_domain, parse_mailbox

__all__ = [
    "AdminError",
    "BadAddressError",
    "BadEntryError",
    "MailboxNameError",
    "read_address",
    "read_domain",
    "read_new_address",
]

_DOMAIN_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + "-_.")
_USER_CHARACTERS: Final = frozenset(
    string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~."
)  # RFC 5321 Dot-string
_ASCII: Final = frozenset(map(chr, range(128)))


class AdminError(FastsmtpError):
    """A change that cannot be made; the text is for the person who asked for it."""


class BadAddressError(AdminError):
    """Not an address, or not a domain name."""


class BadEntryError(AdminError):
    """Nothing that can stand on a list."""


class MailboxNameError(AdminError):
    """A user name that cannot be the name of a mailbox folder."""


def read_domain(text: str) -> str:
    """The canonical form of a domain name. Raises BadAddressError."""
    _check_characters(text, text, _DOMAIN_CHARACTERS, "domain name")
    try:
        return canonical_domain(text)
    except AddressError as error:
        raise BadAddressError(str(error)) from None


def read_address(text: str) -> Address:
    """The address of a user. Raises BadAddressError."""
    local, _, domain = text.rpartition("@")
    if not local or not domain:
        raise BadAddressError(f"{text!r} is not of the form user@domain")
    _check_characters(text, local, _ASCII if local[0] == '"' else _USER_CHARACTERS, "user name")
    _check_characters(text, domain, _DOMAIN_CHARACTERS, "domain name")
    try:
        return parse_mailbox(text)
    except AddressError as error:
        raise BadAddressError(str(error)) from None


def read_new_address(text: str) -> Address:
    """The address of a user who is to get a mailbox. Raises BadAddressError, MailboxNameError."""
    address = read_address(text)
    if not is_mailbox_name(address.folded_local):
        raise MailboxNameError(
            f"{text}: a mailbox folder cannot be called {address.folded_local!r};"
            " such a name has no '/', does not begin with '.', and has at most 255 bytes"
        )
    return address


def _check_characters(text: str, part: str, allowed: frozenset[str], kind: str) -> None:
    for char in part:
        # Invisible characters come with copy and paste, and nobody finds them later.
        if not char.isprintable() or (char.isascii() and char not in allowed):
            name = unicodedata.name(char, "unnamed")
            raise BadAddressError(f"{text!r}: {char!r} (U+{ord(char):04X} {name}) cannot be in a {kind}")
