"""Which addresses are meant: whole ones, domains, wildcards, regular expressions, and exceptions to all of these.

| entry | means |
|---|---|
| `ann@example.org` | this address, without case |
| `example.org`, `@example.org` | everybody there, and below it |
| `.example.org` | everybody below it |
| `ann@` | this local part, in every domain |
| `news-*@*.example.org` | `*` stands for any characters, or none |
| `/bounce-[0-9]+@.*/` | a regular expression for the whole address |
| `!ann@example.org` | not this one, whatever else is there; likewise with the other forms |

Behind an entry of a file, after a blank, may stand what the client hears.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple, TypeAlias

from pydantic import PlainValidator

from fastsmtp.config.units import Spelling
from fastsmtp.lists.domains import DomainMap, parse_domain
from fastsmtp.smtp.address import Address, fold, parse_mailbox

__all__ = ["NO_ADDRESSES", "AddressEntries", "AddressEntry", "AddressList", "find_in", "parse_address_entry"]

_REPEATS: Final = 3
_CHOICES: Final = 8
_REGEX_CHARS: Final = 200

_first_word = re.compile(r'(?:"(?:[^"\\]|\\.)*")?\S*').match
_SYNTAX: Final = ("(", "*", "+", "?", "}")
"""Behind these a question mark makes nothing optional."""

_token = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)

Matches: TypeAlias = Callable[[str], bool]
"""Whether a canonical address is meant: folded local part, `@`, domain."""


class AddressEntry(NamedTuple):
    """One entry: its `key` in the table of its `kind`, or (`pattern`) what matches; `text` is as it was written."""

    kind: str
    key: str
    text: str
    reason: str = ""
    matches: Matches | None = None
    excepts: bool = False

    @property
    def is_by_name(self) -> bool:
        """Whether it names the local part, alone or with a domain."""
        return self.kind in ("address", "local")


def parse_address_entry(line: str) -> AddressEntry:
    """One entry with its reason. Raises ValueError with a sentence for the operator."""
    excepts = line.startswith("!")
    rest = line[1:] if excepts else line
    if rest.startswith("/"):
        end = rest.rfind("/")  # an expression may have slashes, so its reason has none
        text, reason = rest[: end + 1], rest[end + 1 :].strip()
        return AddressEntry("pattern", text, text, reason, _regex(text[1:-1]), excepts)
    text = _word(rest)
    reason = rest[len(text) :].strip()
    if "*" in text:
        return AddressEntry("pattern", text, text, reason, _wildcard(text), excepts)
    kind, key = _key(text)
    return AddressEntry(kind, key, text, reason, None, excepts)


def _word(line: str) -> str:
    """What stands before the first blank that is not in a quoted local part."""
    found = _first_word(line)
    return found[0] if found else ""


def _key(text: str) -> tuple[str, str]:
    local, at, domain = text.rpartition("@")
    if not at or not local:
        return "domain", parse_domain(domain)
    if not domain:
        return "local", parse_mailbox(f"{local}@invalid").folded_local
    return "address", canonical(parse_mailbox(text))


def canonical(address: Address) -> str:
    """An address as it is compared."""
    return f"{address.folded_local}@{address.domain}"


@dataclass(slots=True)
class _Tables:
    addresses: dict[str, AddressEntry] = field(default_factory=dict)
    locals: dict[str, AddressEntry] = field(default_factory=dict)
    domains: DomainMap[AddressEntry] = field(default_factory=DomainMap)
    patterns: tuple[AddressEntry, ...] = ()
    is_empty: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_empty = not (self.addresses or self.locals or self.domains or self.patterns)

    def find(self, address: Address) -> AddressEntry | None:
        if self.is_empty:
            return None
        text = canonical(address)
        found = self.addresses.get(text) or self.locals.get(address.folded_local) or self.domains.find(address.domain)
        if found is not None:
            return found
        for entry in self.patterns:
            if entry.matches is not None and entry.matches(text):
                return entry
        return None


class AddressList:
    """The entries, ready to be asked: whole addresses first, then local parts, domains and patterns in their order."""

    __slots__ = ("_exceptions", "_tables")

    def __init__(self, entries: Iterable[AddressEntry] = (), *, subdomains: bool = True) -> None:
        kept = list(entries)
        self._tables = _tables([entry for entry in kept if not entry.excepts], subdomains=subdomains)
        exceptions = [entry for entry in kept if entry.excepts]
        self._exceptions = _tables(exceptions, subdomains=subdomains) if exceptions else None

    def find(self, address: Address) -> AddressEntry | None:
        """The entry by which an address is meant, or None."""
        found = self._tables.find(address)
        return None if found is None or self.excepts(address) else found

    def find_excepted(self, address: Address) -> AddressEntry | None:
        """The same, whatever is excepted."""
        return self._tables.find(address)

    def excepts(self, address: Address) -> bool:
        """Whether an exception is about it."""
        return self._exceptions is not None and self._exceptions.find(address) is not None


def find_in(lists: Sequence[AddressList], address: Address) -> AddressEntry | None:
    """As `find` of one list in which all of them stood, one after the other."""
    for one in lists:
        found = one.find_excepted(address)
        if found is not None:
            return None if any(each.excepts(address) for each in lists) else found
    return None


def _tables(entries: list[AddressEntry], *, subdomains: bool) -> _Tables:
    of_kind: dict[str, dict[str, AddressEntry]] = {"address": {}, "local": {}, "domain": {}, "pattern": {}}
    for entry in entries:
        of_kind[entry.kind].setdefault(entry.key, entry)
    domains = DomainMap(of_kind["domain"].items(), exact=not subdomains)
    return _Tables(of_kind["address"], of_kind["local"], domains, tuple(of_kind["pattern"].values()))


def _wildcard(text: str) -> Matches:
    """Any number of stars, in time that is proportional to the length of the address."""
    if "@" not in text:
        raise ValueError(f'{text!r} is no pattern for addresses; write one with an @, like "*@*.example.org"')
    first, *inner, last = fold(text).split("*")

    def matches(address: str) -> bool:
        end = len(address) - len(last)
        if not address.startswith(first) or not address.endswith(last) or end < len(first):
            return False
        position = len(first)
        for part in inner:
            position = address.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return True

    return matches


def _regex(text: str) -> Matches:
    """Not every expression: a stranger chooses the address, and some take years for one of 256 octets."""
    if not text:
        raise ValueError("a regular expression stands between two slashes")
    if len(text) > _REGEX_CHARS:
        raise ValueError(f"a regular expression has at most {_REGEX_CHARS} characters, not {len(text)}")
    tokens = _token.findall(text)
    repeats = [index for index, token in enumerate(tokens) if token in ("*", "+", "{")]
    if any(index and tokens[index - 1] == ")" for index in repeats):
        raise ValueError(f"/{text}/ repeats a group, which may take forever; write it without")
    if len(repeats) > _REPEATS:
        raise ValueError(f"/{text}/ repeats {len(repeats)} times, which may take long; at most {_REPEATS} times it can")
    optional = (index for index, one in enumerate(tokens) if one == "?" and index and tokens[index - 1] not in _SYNTAX)
    choices = tokens.count("|") + len(list(optional))  # each may double the time
    if choices > (most := _CHOICES - 2 * len(repeats)):
        raise ValueError(
            f"/{text}/ has {choices} times | and ?, which may take long; with its repeats at most {most} do"
        )
    try:
        with warnings.catch_warnings(action="error"):
            fullmatch = re.compile(text, re.IGNORECASE).fullmatch
    except (re.error, OverflowError, Warning) as error:
        raise ValueError(f"/{text}/ is no regular expression: {error}") from None
    return lambda address: fullmatch(address) is not None


def _address_list(value: object) -> AddressList:
    if isinstance(value, AddressList):
        return value
    if isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        return AddressList(map(parse_address_entry, value))
    raise ValueError(f'{value!r} is no list of entries; write one like ["ann@example.org", "example.net"]')


NO_ADDRESSES: Final = AddressList()

AddressEntries = Annotated[AddressList, PlainValidator(_address_list), Spelling("list of addresses")]
"""Entries of any form as an option of a plugin."""
