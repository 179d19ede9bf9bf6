"""From what c-ares says to an answer of ours, or to trouble. Nothing in it is trusted: whoever has a name wrote it."""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, TypeAlias

from aiodns.error import (
    ARES_EBADRESP,
    ARES_ECONNREFUSED,
    ARES_EFORMERR,
    ARES_ENODATA,
    ARES_ENOTFOUND,
    ARES_EREFUSED,
    ARES_ESERVFAIL,
    ARES_ETIMEOUT,
)
from pycares import (
    QUERY_TYPE_A,
    QUERY_TYPE_AAAA,
    QUERY_TYPE_CNAME,
    QUERY_TYPE_MX,
    QUERY_TYPE_PTR,
    QUERY_TYPE_SOA,
    QUERY_TYPE_TXT,
    DNSResult,
)

from fastsmtp.dns.questions import Kind
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, MailExchanger

__all__ = ["RECORDS_MAX", "answer_of", "failure_of"]

RECORDS_MAX: Final = 100
"""So many records of one answer are taken; nobody who means well has more."""

OCTETS_MAX: Final = 16_384
"""So much text of one answer is taken: the owner of a name decides what we remember, and under how many names."""

ALIASES_MAX: Final = 16

NO_NAME: Final[DnsAnswer[Any]] = DnsAnswer(exists=False)
NO_DATA: Final[DnsAnswer[Any]] = DnsAnswer()

AnyRecord: TypeAlias = IPv4Address | IPv6Address | MailExchanger | str


def answer_of(result: DNSResult, name: str, kind: Kind) -> tuple[DnsAnswer[Any], int]:
    """The records of this kind that are under this name, or under what it is an alias of, and for how many
    seconds that is good. Raises DnsError.
    """
    owner, ttls = _follow(result, name)
    found = [record for record in result.answer if record.type == _TYPES[kind] and _folded(record.name) == owner]
    if found:
        ttls += [record.ttl for record in found]
        records = [_READERS[kind](record.data) for record in found[:RECORDS_MAX]]
        if sum(map(_octets, records)) > OCTETS_MAX:
            raise DnsError("bad answer")
        return DnsAnswer(tuple(sorted(records) if kind == "MX" else records)), min(ttls)
    soa = next((record for record in result.authority if record.type == QUERY_TYPE_SOA), None)
    if soa is None:
        # Neither records nor a word that there are none: of some other name, or cut short.
        raise DnsError("bad answer")
    return NO_DATA, min(soa.ttl, soa.data.minimum)  # type: ignore[union-attr] # RFC 2308 section 5


def failure_of(code: int) -> tuple[DnsAnswer[Any], int | None]:
    """What it means that c-ares reports this instead of records: NXDOMAIN and NODATA are answers, too; of those
    c-ares does not say how long they are good. Raises DnsError.
    """
    if code == ARES_ENOTFOUND:
        return NO_NAME, None
    if code == ARES_ENODATA:
        return NO_DATA, None
    raise DnsError(_TROUBLE.get(code, "other trouble"))


def _follow(result: DNSResult, name: str) -> tuple[str, list[int]]:
    """Where the aliases in an answer lead, and their TTLs."""
    aliases = {_folded(record.name): record for record in result.answer if record.type == QUERY_TYPE_CNAME}
    ttls: list[int] = []
    while (alias := aliases.get(name)) is not None:
        if len(ttls) == ALIASES_MAX:
            raise DnsError("alias loop")
        ttls.append(alias.ttl)
        name = _folded(alias.data.cname)  # type: ignore[union-attr] # of a CNAME
    return name, ttls


def _octets(record: AnyRecord) -> int:
    text = record.host if isinstance(record, MailExchanger) else record
    return len(text) if isinstance(text, str) else 0


def _folded(name: str) -> str:
    return name.lower().removesuffix(".")


_TYPES: Final[Mapping[Kind, int]] = {
    "A": QUERY_TYPE_A,
    "AAAA": QUERY_TYPE_AAAA,
    "MX": QUERY_TYPE_MX,
    "TXT": QUERY_TYPE_TXT,
    "PTR": QUERY_TYPE_PTR,
}

_READERS: Final[Mapping[Kind, Callable[[Any], AnyRecord]]] = {
    "A": lambda data: IPv4Address(data.addr),
    "AAAA": lambda data: IPv6Address(data.addr),
    "MX": lambda data: MailExchanger(data.priority, _folded(data.exchange)),
    "TXT": lambda data: data.data.decode(errors="replace"),
    "PTR": lambda data: _folded(data.dname),
}

_TROUBLE: Final = {
    ARES_ETIMEOUT: "timeout",
    ARES_ESERVFAIL: "server failure",
    ARES_EREFUSED: "refused",
    ARES_ECONNREFUSED: "no server",
    ARES_EBADRESP: "bad answer",
    ARES_EFORMERR: "bad answer",
}
