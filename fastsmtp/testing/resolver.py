"""A DNS in memory, for plugins that ask it."""

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, TypeVar

from fastsmtp.dns.names import is_dns_name
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, Lookup, MailExchanger
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.testing.zone import ZoneSpec, find, read_zone, strings

__all__ = ["MemoryResolver"]

T = TypeVar("T")

_CNAMES: Final = 8
"""So many steps a chain of aliases may have."""


class MemoryResolver:
    """Answers from a zone, at once like a cache; names that are not in it do not exist. `asked` is what was asked.

    >>> resolver = MemoryResolver("example.test MX 10 mx.example.test")
    >>> resolver.mx("Example.TEST")
    DnsAnswer(records=(MailExchanger(preference=10, host='mx.example.test'),), exists=True)
    >>> resolver.mx("example.net")
    DnsAnswer(records=(), exists=False)

    With `is_remembered = False` every answer is waited for, as if nothing had been asked before. `until_ns` is how long
    answers say that they are good: 0, so that nobody remembers what followed from them.
    """

    def __init__(self, zone: ZoneSpec = "") -> None:
        self.zone = read_zone(zone)
        self.is_remembered = True
        self.until_ns = 0
        self.asked: list[tuple[str, str]] = []
        self._failing: dict[str, str] = {}
        self._delays_s: dict[str, float] = {}
        self._held: set[str] = set()

    def fail(self, *names: str, error: str = "timeout") -> None:
        """Whatever is asked about these names is trouble; without names, about all; one kind of it with "AAAA name"."""
        self._failing.update(dict.fromkeys(names or ("",), error))

    def delay(self, seconds: float, *names: str) -> None:
        """Answers about these names (or all) take real time."""
        self._delays_s.update(dict.fromkeys(names or ("",), seconds))

    def hold(self, *names: str) -> None:
        """Questions about these names (or all) are never answered, not even by an error: nobody may wait for them."""
        self._held.update(names or ("",))

    def addresses(
        self, name: str, _about: Connection | Transaction | None = None, /, *, version: Literal[4, 6] | None = None
    ) -> Lookup[IPv4Address | IPv6Address]:
        """A and AAAA records, or only those of one version of IP."""
        kinds = {4: ("A",), 6: ("AAAA",), None: ("A", "AAAA")}[version]
        return self._look_up(name, kinds, ip_address)

    def mx(self, name: str, _about: Connection | Transaction | None = None, /) -> Lookup[MailExchanger]:
        """MX records, the most preferred first."""
        return self._look_up(name, ("MX",), _mail_exchanger, sorted)

    def txt(self, name: str, _about: Connection | Transaction | None = None, /) -> Lookup[str]:
        """TXT records, the strings of each in one."""
        return self._look_up(name, ("TXT",), lambda data: "".join(strings(data)))

    def reverse(self, address: str, _about: Connection | Transaction | None = None, /) -> Lookup[str]:
        """The names of an IP address. Raises ValueError for what is none."""
        return self._look_up(ip_address(address).reverse_pointer, ("PTR",), _host)

    def _look_up(
        self,
        name: str,
        kinds: tuple[str, ...],
        parse: Callable[[str], T],
        arrange: Callable[[list[T]], Iterable[T]] = tuple,
    ) -> Lookup[T]:
        name = _host(name)
        if not is_dns_name(name):
            return DnsAnswer(exists=False)
        self.asked.extend((kind, name) for kind in kinds)
        delay_s = next((self._delays_s[key] for key in (name, "") if key in self._delays_s), 0.0)
        is_held = not self._held.isdisjoint((name, ""))
        if self.is_remembered and not delay_s and not is_held:
            return self._answer(name, kinds, parse, arrange)
        future: asyncio.Future[DnsAnswer[T]] = asyncio.get_running_loop().create_future()

        def settle() -> None:
            if future.done():
                return
            try:
                future.set_result(self._answer(name, kinds, parse, arrange))
            except DnsError as trouble:
                future.set_exception(trouble)
                future.exception()  # nobody has to look

        if not is_held:
            future.get_loop().call_later(delay_s, settle)
        return future

    def _answer(
        self,
        name: str,
        kinds: tuple[str, ...],
        parse: Callable[[str], T],
        arrange: Callable[[list[T]], Iterable[T]],
    ) -> DnsAnswer[T]:
        for key in (name, "", *(f"{kind} {name}" for kind in kinds)):
            if key in self._failing:
                raise DnsError(self._failing[key])
        for _ in range(_CNAMES):
            here = find(self.zone, name)
            if here is None:
                return DnsAnswer(exists=False, until_ns=self.until_ns)
            if "CNAME" not in here:
                records = tuple(arrange([parse(data) for kind in kinds for data in here.get(kind, ())]))
                return DnsAnswer(records, until_ns=self.until_ns)
            name = _host(here["CNAME"][0])
        raise DnsError("loop of aliases")


def _host(data: str) -> str:
    return data.lower().rstrip(".")


def _mail_exchanger(data: str) -> MailExchanger:
    preference, host = data.split()
    return MailExchanger(int(preference), _host(host))
