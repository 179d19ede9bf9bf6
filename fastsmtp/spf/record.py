"""An SPF record (RFC 7208 section 4.6.1 and section 12): its text as mechanisms and modifiers."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from fastsmtp.spf.macros import EXPLANATION_LETTERS, Macro, MacroString, SpfSyntaxError, parse_macros

__all__ = ["Mechanism", "Network", "Record", "is_record", "parse_explanation", "parse_record"]

Network = tuple[int, int, int]
"""Version of IP, mask and masked address."""

_RESULTS: Final = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_BITS: Final = {4: 32, 6: 128}
_MOST_CHARACTERS: Final = 4096  # section 3.4 asks for 450 at most; each check reads ten records, and waits for nobody
_KEPT_CHARACTERS: Final = 2048  # what is kept of other people's records is bounded

_is_record = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE).match
_term = re.compile(r"([+\-?~]?)([A-Za-z][A-Za-z0-9._-]*)(?:(=)(.*)|([:/].*)?)\Z").match
_cidr = re.compile(r"(.*?)(?:/(0|[1-9][0-9]{0,2}))?(?://(0|[1-9][0-9]{0,2}))?\Z").match
_is_top_label = re.compile(r"(?![0-9]+\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z").match


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One directive. `result` is what a match means; `text` is how it is written.

    `target` is the domain that it names, None for the one that is being checked; `network` is that of ip4 and ip6, and
    `prefixes` are how many bits of an address of each version of IP count for a and mx.
    """

    name: str
    result: str
    text: str
    target: MacroString | None = None
    network: Network | None = None
    prefixes: tuple[int, int] = (32, 128)


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record."""

    mechanisms: tuple[Mechanism, ...]
    redirect: MacroString | None = None
    explanation: MacroString | None = None


def is_record(text: str) -> bool:
    """Whether a TXT record is one of SPF, right or wrong (section 4.5)."""
    return _is_record(text) is not None


def parse_record(text: str) -> Record:
    """The record of a text for which `is_record` is true. Raises SpfSyntaxError: nothing of it counts then."""
    return _parse_kept(text) if len(text) <= _KEPT_CHARACTERS else _parse(text)


def _parse(text: str) -> Record:
    if len(text) > _MOST_CHARACTERS:
        raise SpfSyntaxError(f"more than {_MOST_CHARACTERS} characters")
    if not text.isascii():
        raise SpfSyntaxError("characters that are not ASCII")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, MacroString] = {}
    for term in text.split(" ")[1:]:
        if not term:
            continue
        found = _term(term)
        if found is None:
            raise SpfSyntaxError(f"no term: {term!r}")
        qualifier, name, equals, value, argument = found.groups()
        name = name.lower()
        if not equals:
            mechanisms.append(_mechanism(name, _RESULTS[qualifier], term, argument or ""))
            continue
        if qualifier:
            raise SpfSyntaxError(f"no term: {term!r}")
        if name not in ("redirect", "exp"):
            parse_macros(value)  # unknown, and ignored, but a modifier it has to be (section 6)
        elif name in modifiers:
            raise SpfSyntaxError(f"{name} is there twice")
        else:
            modifiers[name] = _domain(value, term)
    return Record(tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"))


_parse_kept = lru_cache(maxsize=1024)(_parse)  # a bad one is parsed each time, and is soon found to be bad


def parse_explanation(text: str) -> MacroString:
    """What `exp` leads to (section 6.2). Raises SpfSyntaxError."""
    return parse_macros(text, EXPLANATION_LETTERS)


def _mechanism(name: str, result: str, text: str, argument: str) -> Mechanism:
    match name:
        case "all" if not argument:
            return Mechanism(name, result, text)
        case "include" | "exists" if argument.startswith(":"):
            return Mechanism(name, result, text, _domain(argument[1:], text))
        case "ptr" if not argument or argument.startswith(":"):
            return Mechanism(name, result, text, _domain(argument[1:], text) if argument else None)
        case "ip4" | "ip6" if argument.startswith(":"):
            return Mechanism(name, result, text, network=_network(int(name[2]), argument[1:], text))
        case "a" | "mx":
            found = _cidr(argument)
            if found is not None and (not found[1] or found[1].startswith(":")):
                target = _domain(found[1][1:], text) if found[1] else None
                prefixes = (_prefix(found[2], 4, text), _prefix(found[3], 6, text))
                return Mechanism(name, result, text, target, prefixes=prefixes)
    raise SpfSyntaxError(f"no mechanism: {text!r}")


def _network(version: int, argument: str, text: str) -> Network:
    address, slash, length = argument.partition("/")
    bits = _BITS[version]
    if slash and (not length.isdecimal() or (length[0] == "0" and length != "0")):
        raise SpfSyntaxError(f"no network: {text!r}")
    try:
        number = int(IPv4Address(address) if version == 4 else IPv6Address(address))
    except AddressValueError:
        raise SpfSyntaxError(f"no network: {text!r}") from None
    if "%" in address:  # a zone, which Python takes
        raise SpfSyntaxError(f"no network: {text!r}")
    mask = mask_of(_prefix(length or None, version, text), bits)
    return version, mask, number & mask


def _prefix(length: str | None, version: int, text: str) -> int:
    """A length of a prefix in bits; all of them where there is none."""
    bits = _BITS[version]
    number = bits if length is None else int(length)
    if number > bits:
        raise SpfSyntaxError(f"a prefix has {bits} bits at most: {text!r}")
    return number


def mask_of(prefix: int, bits: int) -> int:
    """The mask of a prefix of an address of so many bits."""
    return (1 << bits) - (1 << (bits - prefix))


def _domain(text: str, term: str) -> MacroString:
    """`domain-spec` (section 7.1): it ends in a macro, or in a label behind a dot that is no number."""
    macros = parse_macros(text)
    if not (text.endswith(("%%", "%_", "%-")) or isinstance((macros.parts or ("",))[-1], Macro)):
        rest, dot, label = text.removesuffix(".").rpartition(".")
        if not (rest and dot and _is_top_label(label)):
            raise SpfSyntaxError(f"no domain: {term!r}")
    return macros
