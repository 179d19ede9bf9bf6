"""Look whether the name of a client's address leads back to the address: forward-confirmed reverse DNS."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple

from fastsmtp.plugin import (
    Address,
    Authentication,
    Connection,
    DnsError,
    Hello,
    Naughty,
    Outcome,
    Plugin,
    Services,
    Transaction,
    at_once,
    naughty,
    packed_address,
)

__all__ = ["Fcrdns", "Options"]

NAMES_MAX: Final = 10
"""So many names of one address are looked at; whoever means well has one."""


@dataclass(frozen=True, slots=True)
class Options:
    """Whom to refuse, and with what words."""

    refuse: Literal["nobody", "no_name", "unconfirmed"] = "nobody"
    reason: str = "Your address has no name that leads back to it"


class Found(NamedTuple):
    """What came of it: the result as in RFC 8601 section 2.7.3, the name that was confirmed, and the evidence."""

    result: Literal["pass", "fail", "temperror", "permerror"]
    name: str
    evidence: str


class _Looked(dict[str, "asyncio.Future[Found] | Naughty | None"]):
    """By plugin: what is still looked for, or the opinion that came of it."""


class Fcrdns(Plugin[Options]):
    """Asks for the name of the client's address (PTR), and for the addresses of the name; `iprev` in RFC 8601.

    It begins when the client connects, and HELO waits for it. A name that is confirmed stands in Received, and in
    `connection.remote_name` for plugins behind this one.

    * `refuse` ("nobody"): it is only written down; "no_name" refuses clients whose address has no name at all,
      "unconfirmed" those, too, whose name does not lead back. With `550 5.7.25`, at RCPT: postmaster still gets mail.
    * `reason`: what they hear.

    Trouble with the DNS refuses nobody.
    """

    spares_exempt = True
    asks_dns = True

    async def start(self, services: Services) -> None:
        self._resolver = services.resolver

    def on_connect(self, connection: Connection) -> None:
        packed = packed_address(connection.remote_address)
        if not packed:
            return
        found = at_once(self._look(connection, str(ip_address(packed))))
        state = self._judge(connection, found) if isinstance(found, Found) else asyncio.ensure_future(found)
        looked = connection.notes.get(_Looked)
        if looked is None:
            looked = _Looked()
            connection.notes.put(looked)
        looked[self.name] = state

    def on_hello(self, connection: Connection, hello: Hello) -> Awaitable[None] | None:
        looked = connection.notes.get(_Looked)
        state = None if looked is None else looked.get(self.name)
        if looked is None or not isinstance(state, asyncio.Future):
            return None
        return at_once(self._know(connection, looked, state))

    async def _know(self, connection: Connection, looked: _Looked, pending: "asyncio.Future[Found]") -> None:
        await self._wait(connection, looked, pending)  # what there is to say of it is said at MAIL

    def on_mail(self, txn: Transaction, sender: Address) -> Naughty | Awaitable[Naughty | None] | None:
        looked = txn.connection.notes.get(_Looked)
        if looked is None:
            return None
        state = looked.get(self.name)
        return at_once(self._wait(txn.connection, looked, state)) if isinstance(state, asyncio.Future) else state

    async def _wait(self, connection: Connection, looked: _Looked, pending: "asyncio.Future[Found]") -> Naughty | None:
        found = await asyncio.shield(pending)
        opinion = looked[self.name] = self._judge(connection, found)
        return opinion

    async def _look(self, connection: Connection, address: str) -> Found:
        try:
            names = (await self._resolver.reverse(address, connection)).records
        except DnsError as error:
            return Found("temperror", "", f"{address}: {error}")
        if not names:
            return Found("permerror", "", f"{address} has no name")
        trouble = ""
        for name in names[:NAMES_MAX]:
            try:
                back = await self._resolver.addresses(name, connection, version=6 if ":" in address else 4)
            except DnsError as error:
                trouble = f"{name}: {error}"
                continue
            if ip_address(address) in back.records:
                return Found("pass", name, f"{address} is {name}")
        if trouble:
            return Found("temperror", "", trouble)
        return Found("fail", "", f"{names[0]} is not {address}")

    def _judge(self, connection: Connection, found: Found) -> Naughty | None:
        address = connection.remote_address
        outcome: Outcome = "pass" if found.name else "error" if found.result == "temperror" else "fail"
        authentication = Authentication("iprev", found.result, (("policy", "iprev", address),), found.name)
        self.record(connection, outcome, found.evidence, authentication)
        if found.name and not connection.remote_name:
            connection.remote_name = found.name
        refused = {"nobody": (), "no_name": ("permerror",), "unconfirmed": ("permerror", "fail")}[self.options.refuse]
        return naughty(self.options.reason, enhanced="5.7.25") if found.result in refused else None
