"""Look at what a client calls itself in HELO or EHLO."""

import re
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, TypeAlias

from fastsmtp.plugin import (
    Connection,
    DnsError,
    Hello,
    Naughty,
    Place,
    Plugin,
    Reply,
    Services,
    act,
    at_once,
    canonical_domain,
    packed_address,
)
from fastsmtp.ports import DnsAnswer, Lookup

__all__ = ["Helo", "Options"]

Address: TypeAlias = IPv4Address | IPv6Address
Test: TypeAlias = Literal[
    "own_name", "localhost", "own_address", "plain_ip", "forged_literal",
    "bad_characters", "not_fqdn", "no_such_host", "no_reverse",
    "literal", "no_match",
]  # fmt: skip

LEVELS: Final[dict[str, tuple[Test, ...]]] = {
    "lenient": ("own_name", "localhost", "own_address", "plain_ip", "forged_literal"),
    "rfc": ("bad_characters", "not_fqdn", "no_such_host", "no_reverse"),
    "strict": ("literal", "no_match"),
}
"""The tests that each level adds to the one before; they are made in this order, those that ask the DNS last."""

_SAID: Final[dict[Test, str]] = {
    "own_name": "That is my name, not yours",
    "localhost": "You are not this host",
    "own_address": "That is my address, not yours",
    "plain_ip": "An IP address in HELO stands in brackets (RFC 5321 section 4.1.3)",
    "forged_literal": "That is not the address from which you come",
    "bad_characters": "No host can have this name",
    "not_fqdn": "HELO takes the full name of a host (RFC 5321 section 2.3.5)",
    "no_such_host": "The name in HELO leads to no address",
    "no_reverse": "Your address has no name",
    "literal": "Say the name of your host in HELO, not its address",
    "no_match": "The name in HELO has nothing to do with your address",
}
_ASK: Final = frozenset(("no_such_host", "no_reverse", "no_match"))
_NEAR_BITS: Final = {4: 8, 6: 64}  # of an address, in which a neighbour may differ: a /24 and a /64

_is_name = re.compile(r"(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-|[0-9]+\.?\Z)[a-z0-9-]{1,63}(?<!-)\.?\Z").match


@dataclass(frozen=True, slots=True)
class Options:
    """Names are kept in their canonical spelling."""

    policy: Literal["lenient", "rfc", "strict"] = "lenient"
    skip: frozenset[Test] = frozenset()
    own_names: frozenset[str] = frozenset()
    refusal: Literal["naughty", "reject", "defer"] = "naughty"

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_names", frozenset(map(canonical_domain, self.own_names)))


class Helo(Plugin[Options]):
    """Refuses clients by what they call themselves, with `550 5.7.1`. The first test that fails decides.

    * `policy` ("lenient"): lenient tests what no real server says: our own name (own_name) or address (own_address),
      the name of this host (localhost), an address without brackets (plain_ip), the address of somebody else
      (forged_literal). "rfc" adds what RFC 5321 asks for: a name that can be one (bad_characters) and is a full one
      (not_fqdn), which has an address (no_such_host), and a name for the client's address (no_reverse). "strict" adds
      what most servers have: a name, not an address in brackets (literal), which has to do with the client (no_match).
    * `skip` (none): tests that are not made.
    * `own_names` (the hostname, in any case): further names of ours.
    * `refusal` ("naughty"): at RCPT, so that postmaster gets mail and people can log in; "reject" refuses the HELO,
      "defer" does so with `450 4.7.1`.

    Trouble with the DNS refuses nobody.
    """

    spares_exempt = True
    asks_dns = True

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        policy = self.options.policy
        tested = set(_tests_of(policy))
        if idle := ", ".join(sorted(self.options.skip - tested)):
            yield "skip", f'policy = "{policy}" does not test {idle} anyway; leave it out'

    async def start(self, services: Services) -> None:
        self._resolver = services.resolver
        self._own_names = self.options.own_names | {services.hostname.lower()}
        self._tests = [test for test in _tests_of(self.options.policy) if test not in self.options.skip]
        self._asking = _ASK.intersection(self._tests)

    def on_hello(
        self, connection: Connection, hello: Hello
    ) -> Reply | Naughty | Awaitable[Reply | Naughty | None] | None:
        packed = packed_address(connection.remote_address)
        if not packed:
            return None  # it comes by a Unix socket
        client, name = ip_address(packed), hello.name.lower()
        failed = self._look(connection, client, name)
        if failed is not None or not self._asking:
            return self._conclude(connection, hello, failed)
        return at_once(self._ask(connection, hello, client, name))

    async def _ask(self, connection: Connection, hello: Hello, client: Address, name: str) -> Reply | Naughty | None:
        # A literal has no addresses to be looked up; without one of the tests there is nothing to ask either.
        wants_name = not name.startswith("[") and self._asking != {"no_reverse"}
        wants_reverse = self._asking != {"no_such_host"}
        try:
            forward: Lookup[Address] = self._resolver.addresses(name, connection) if wants_name else DnsAnswer()
            reverse: Lookup[str] = self._resolver.reverse(str(client), connection) if wants_reverse else DnsAnswer()
            addresses, names = (await forward).records, (await reverse).records
        except DnsError as error:
            self.record(connection, "error", str(error))
            return None
        return self._conclude(connection, hello, self._compare(client, name, addresses, names))

    def _look(self, connection: Connection, client: Address, name: str) -> Test | None:
        """The first test that fails without any question."""
        claimed = _address(name)
        is_here = client.is_loopback or client.packed == packed_address(connection.local_address)
        host = name.rstrip(".")
        failed: dict[str, bool] = {
            "own_name": host in self._own_names and not is_here,
            "localhost": host in ("localhost", "localhost.localdomain") and not is_here,
            "own_address": claimed is not None
            and claimed != client
            and packed_address(connection.local_address) == claimed.packed,
            "plain_ip": claimed is not None and not name.startswith("["),
            "forged_literal": name.startswith("[") and claimed != client,
            "bad_characters": not name.startswith("[") and _is_name(name) is None,
            "not_fqdn": not name.startswith("[") and "." not in host,
            "literal": name.startswith("["),
        }
        return next((test for test in self._tests if failed.get(test, False)), None)

    def _compare(self, client: Address, name: str, addresses: Iterable[Address], names: Iterable[str]) -> Test | None:
        """The first test that fails by what the DNS says."""
        is_literal = name.startswith("[")
        near = any(_is_near(client, address) for address in addresses)
        failed: dict[str, bool] = {
            "no_such_host": not is_literal and not tuple(addresses),
            "no_reverse": not tuple(names),
            "no_match": not (is_literal or near or _domain(name) in map(_domain, names)),
        }
        return next((test for test in self._tests if failed.get(test, False)), None)

    def _conclude(self, connection: Connection, hello: Hello, failed: Test | None) -> Reply | Naughty | None:
        if failed is None:
            self.record(connection, "pass", hello.name)
            return None
        self.record(connection, "fail", f"{failed}: {hello.name}")
        return act(self.options.refusal, _SAID[failed])


def _tests_of(policy: str) -> list[Test]:
    levels = list(LEVELS)
    return [test for level in levels[: levels.index(policy) + 1] for test in LEVELS[level]]


def _address(name: str) -> Address | None:
    """The address that a name is, with brackets or without."""
    text = name[1:-1].removeprefix("ipv6:") if name.startswith("[") and name.endswith("]") else name
    packed = packed_address(text)
    return ip_address(packed) if packed else None


def _is_near(client: Address, address: Address) -> bool:
    bits = _NEAR_BITS[client.version]
    return client.version == address.version and int(client) >> bits == int(address) >> bits


def _domain(name: str) -> str:
    """The last two labels: hosts of one organization."""
    return ".".join(name.rstrip(".").split(".")[-2:])
