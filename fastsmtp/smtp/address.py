"""Mailboxes and paths: the grammar of RFC 5321 section 4.1.2, with the 8-bit forms of RFC 6531 section 3.3.

Parsing works on bytes with an explicit grammar; what comes out is text in one canonical form.
"""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import idna

from fastsmtp._parser import is_dot_string, plain_path

__all__ = [
    "DOMAIN_OCTETS",
    "NULL_SENDER",
    "PATH_OCTETS",
    "Address",
    "AddressError",
    "canonical_domain",
    "fold",
    "parse_forward_path",
    "parse_mailbox",
    "parse_reverse_path",
]

# RFC 5321 section 4.5.3.1. Its 64 octets for a local part are what everybody must accept, and VERP and SRS senders
# pass it daily, so only the path as a whole is held to its limit. A local part is thus never longer than a file name.
DOMAIN_OCTETS: Final = 255
LABEL_OCTETS: Final = 63
PATH_OCTETS: Final = 256

# No possessive quantifiers, though this grammar asks for them: CPython 3.11.2 (Debian 12) matches wrongly with them.
_UTF8 = rb"\x80-\xff"
_ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-" + _UTF8 + rb"]"
_DOT_STRING = _ATEXT + rb"+(?:\." + _ATEXT + rb"+)*"
_QUOTED_STRING = rb'"(?:[\x20\x21\x23-\x5b\x5d-\x7e' + _UTF8 + rb']|\\[\x20-\x7e])*"'
# Underscores are no host names (RFC 1123), but they are in the DNS and real senders have them.
_LABEL = rb"[A-Za-z0-9_" + _UTF8 + rb"](?:[A-Za-z0-9_\-" + _UTF8 + rb"]*[A-Za-z0-9_" + _UTF8 + rb"])?"
_DOMAIN = _LABEL + rb"(?:\." + _LABEL + rb")*"
_LITERAL = rb"\[[0-9A-Za-z.:]+\]"  # IPv4 and IPv6, without zones (section 4.1.3)
_ROUTE = rb"(?:@" + _DOMAIN + rb"(?:,@" + _DOMAIN + rb")*:)?"  # accepted and ignored (appendix C)
_MAILBOX = rb"(" + _DOT_STRING + rb"|" + _QUOTED_STRING + rb")@(" + _DOMAIN + rb"|" + _LITERAL + rb")"

_match_path = re.compile(rb"<" + _ROUTE + _MAILBOX + rb">").match
_match_mailbox = re.compile(_MAILBOX).fullmatch
_match_domain = re.compile(_DOMAIN).fullmatch
_match_local_plain = re.compile(_DOT_STRING).fullmatch
_match_postmaster = re.compile(rb"<postmaster>", re.IGNORECASE).match
_unquote = re.compile(rb"\\(.)", re.DOTALL).sub

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_split_ascii_lookalikes = re.compile("([\u037e\u1fef\u212a])").split  # the only three whose NFC is an ASCII character


_set = object.__setattr__  # how what is frozen is made


class AddressError(ValueError):
    """The bytes are not a mailbox; `needs_smtputf8` when they are one that only SMTPUTF8 permits."""

    def __init__(self, reason: str, *, needs_smtputf8: bool = False) -> None:
        super().__init__(reason)
        self.needs_smtputf8 = needs_smtputf8


def _nfc(text: str) -> str:
    """NFC, except that nothing becomes ASCII by it (the Kelvin sign would become a `K`)."""
    if unicodedata.is_normalized("NFC", text):
        return text
    parts = _split_ascii_lookalikes(text)
    parts[::2] = [unicodedata.normalize("NFC", part) for part in parts[::2]]
    return "".join(parts)


def fold(text: str) -> str:
    """The form in which local parts and user names are compared: NFC, and the 26 letters of ASCII in lower case.

    Nothing else is folded: neither NFKC nor Unicode's lower case, which turn look-alikes into other people's names
    (the Kelvin sign would become a `k`).
    """
    if text.isascii():
        return text.lower()
    return _nfc(_nfc(text).translate(_ASCII_LOWER))  # twice: a ring composes with `w`, not with `W`


@dataclass(frozen=True)
class Address:
    """A mailbox. `local` is without quotes, as spelled; `domain` is canonical: lower case, IDNs as A-labels.

    `domain` is an address literal with its brackets, or empty for the null reverse-path and for `<postmaster>`.
    """

    local: str
    domain: str
    _text: str = field(init=False, repr=False, compare=False)  # written several times for each message

    def __post_init__(self) -> None:
        local = self.local
        if not (is_dot_string(local) or self.is_null or _match_local_plain(local.encode(errors="surrogatepass"))):
            local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        _set(self, "_text", f"{local}@{self.domain}" if self.domain else local)

    @property
    def is_null(self) -> bool:
        """`<>`: the sender of bounces (RFC 5321 section 4.5.5)."""
        return not self.local and not self.domain

    @property
    def is_postmaster(self) -> bool:
        """The mailbox that everybody must have (RFC 5321 section 4.5.1), with a domain or without."""
        return len(self.local) == 10 and fold(self.local) == "postmaster"

    @property
    def is_ascii(self) -> bool:
        """Whether it can be written without SMTPUTF8."""
        return self.local.isascii()

    @property
    def folded_local(self) -> str:
        """The local part as the directory compares it."""
        return fold(self.local)

    @property
    def unicode_domain(self) -> str:
        """The domain with its A-labels as U-labels (the same text where there are none)."""
        return unicode_domain(self.domain)

    def __str__(self) -> str:
        return self._text


NULL_SENDER: Final = Address("", "")
_POSTMASTER: Final = Address("postmaster", "")


def _lower_label(label: str) -> str:
    """Lower case for an IDN label, but for the two letters whose lower case has an ASCII letter: IDNA refuses them."""
    return _nfc("".join(char if char in "\u0130\u212a" else char.lower() for char in label))


@lru_cache(maxsize=4096)
def canonical_domain(domain: str) -> str:
    """The one spelling of a domain name: lower case, A-labels.

    Raises AddressError when it is not a domain name or is longer than 255 octets.
    """
    if not _match_domain(domain.encode(errors="surrogatepass")):
        raise AddressError(f"{domain!r} is not a domain name")
    if domain.isascii():
        canonical = domain.lower()
    else:
        try:
            canonical = idna.encode(_lower_label(domain), strict=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise AddressError(f"{domain!r} is not an internationalized domain name: {error}") from None
    if len(canonical) > DOMAIN_OCTETS or any(len(label) > LABEL_OCTETS for label in canonical.split(".")):
        raise AddressError("domain name too long")
    return canonical


@lru_cache(maxsize=4096)
def unicode_domain(domain: str) -> str:
    """A canonical domain with its A-labels decoded, or as it is when they do not decode."""
    if "xn--" not in domain:
        return domain
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain


def _literal(text: str) -> str:
    """An address literal in its canonical spelling (RFC 5321 section 4.1.3)."""
    inner = text[1:-1]
    try:
        if inner[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inner[5:])}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ValueError:
        raise AddressError("not an address literal") from None


@lru_cache(maxsize=8192)
def _build(local: bytes, domain: bytes, smtputf8: bool) -> Address:
    """The parts of a path as an Address. Kept, since the same people write and are written to all day (5 us each)."""
    if not smtputf8 and not (local.isascii() and domain.isascii()):
        raise AddressError("8-bit characters without SMTPUTF8", needs_smtputf8=True)
    if local[0] == 0x22:
        local = _unquote(rb"\1", local[1:-1])
    try:
        # Strict UTF-8: no overlong forms, no surrogates (RFC 3629).
        name, host = local.decode(), domain.decode()
    except UnicodeDecodeError:
        raise AddressError("not UTF-8") from None
    if not name.isascii():
        name = _nfc(name)
    return Address(name, _literal(host) if host[0] == "[" else canonical_domain(host))


def parse_mailbox(text: str) -> Address:
    """`local@domain` as an operator writes it, without angle brackets. Raises AddressError."""
    encoded = text.encode(errors="surrogatepass")
    if len(encoded) > PATH_OCTETS - 2:
        raise AddressError("address too long")
    found = _match_mailbox(encoded)
    if found is None:
        raise AddressError(f"{text!r} is not of the form user@domain")
    return _build(found[1], found[2], True)


def _plain_path(argument: bytes) -> tuple[Address, bytes] | None:
    """What nearly every path is, and what follows it; None where it takes the grammar to tell."""
    plain = plain_path(argument)
    if plain is None:
        return None
    local, domain, end = plain
    return Address(local, domain), argument[end:] if end < len(argument) else b""


def _parse_path(argument: bytes, *, smtputf8: bool) -> tuple[Address, bytes]:
    found = _match_path(argument)
    if found is None:
        raise AddressError("not a path")
    if found.end() > PATH_OCTETS:
        raise AddressError("path too long")
    return _build(found[1], found[2], smtputf8), argument[found.end() :]


def parse_reverse_path(argument: bytes, *, smtputf8: bool = False) -> tuple[Address, bytes]:
    """The path after `MAIL FROM:` and what follows it (the parameters, with their leading space).

    Source routes are dropped. Raises AddressError.
    """
    if argument.startswith(b"<>"):
        return NULL_SENDER, argument[2:]
    return _plain_path(argument) or _parse_path(argument, smtputf8=smtputf8)


def parse_forward_path(argument: bytes, *, smtputf8: bool = False) -> tuple[Address, bytes]:
    """The path after `RCPT TO:` and what follows it; `<postmaster>` needs no domain (section 4.1.1.3).

    Source routes are dropped. Raises AddressError.
    """
    plain = _plain_path(argument)
    if plain is not None:
        return plain
    if found := _match_postmaster(argument):
        return _POSTMASTER, argument[found.end() :]
    return _parse_path(argument, smtputf8=smtputf8)
