"""Who tries one recipient after the other to see which exist is slowed down, and then shut out for a while."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from fastsmtp.plugin import (
    NOBODY,
    USER_UNKNOWN,
    Address,
    Connection,
    Duration,
    Networks,
    Place,
    Plugin,
    Rate,
    RateText,
    Reply,
    Services,
    Transaction,
    V4Bits,
    V6Bits,
    at_once,
    defer,
    network_of,
    settled,
    state_key,
)

__all__ = ["HarvestGuard", "Options"]

_RATE: Final = Rate(20, 3600.0, 20)


@dataclass(frozen=True, slots=True)
class Options:
    """Durations are seconds, or text like "5m"."""

    rate: RateText = _RATE
    slow_after: int = 5
    delay: Duration = 3.0
    delayed: int = 100
    block: Duration = 3600.0
    by_network: bool = False
    v4_bits: V4Bits = 24
    v6_bits: V6Bits = 64
    exempt: Networks = NOBODY
    reason: str = "Too many unknown recipients from your address, come again later"

    def __post_init__(self) -> None:
        if not 1 <= self.slow_after <= self.rate.burst:
            raise ValueError(f"`slow_after` is 1 to {self.rate.burst}, as many as `rate` has at once")
        if self.delayed < 0 or not self.block >= 1:
            raise ValueError("`delayed` is a number of connections, `block` at least a second")


@dataclass(slots=True)
class _Counted:
    """How many refusals of a transaction have been looked at."""

    refusals: int = 0


class HarvestGuard(Plugin[Options]):
    """Counts the recipients whom the directory does not know, for each address, across connections.

    * `rate` ("20/hour"): so many unknown recipients an address may name; with the next one it hears `421 4.7.1`, and
      for the time of `block` (1 hour) in place of each greeting.
    * `slow_after` (5): from so many on, each RCPT waits for `delay` (3 s; below the plugin's `timeout`). At most
      `delayed` (100) connections of a worker wait at once: who comes then is not held up, and is counted all the same.
    * `by_network` (false): count networks of `v4_bits`, `v6_bits` (24, 64) and not addresses. An IPv6 address counts as
      its /64 in any case.
    * `exempt`: networks and addresses to which it does not apply; nor does it to who has logged in, or is vouched for.
    * `reason`: what the client hears.

    A mistyped address costs nobody anything. Workers of a host count together, several hosts do with `[state] url`.
    """

    spares_exempt: ClassVar[bool] = True

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        delay_s = self.options.delay
        if self.options.delayed and (trouble := place.says_of_wait(delay_s, "who guesses would hear 451 and no more")):
            yield "delay", trouble

    async def start(self, services: Services) -> None:
        options = self.options
        self._buckets = services.buckets
        self._slow = options.rate.with_burst(options.slow_after)
        self._block = Rate(1, options.block, 1)
        self._waiting = 0

    def on_connect(self, connection: Connection) -> Reply | Awaitable[Reply | None] | None:
        origin = self._origin(connection)
        return at_once(self._greet(connection, origin)) if origin else None

    async def _greet(self, connection: Connection, origin: str) -> Reply | None:
        blocked_s = await self._take("block", origin, self._block, 0)
        if not blocked_s:
            return None
        self.record(connection, "fail", f"shut out for {blocked_s:.0f} s more")
        return defer("4.7.1", self.options.reason)

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | Awaitable[Reply | None] | None:
        return at_once(self._answer(txn)) if txn.refusals else None

    def on_reset(self, txn: Transaction) -> Awaitable[None] | None:
        """The last ones of a transaction, which no other RCPT came after."""
        return at_once(self._settle(txn)) if txn.refusals else None

    async def _settle(self, txn: Transaction) -> None:
        await self._count(txn)  # nobody is there to be told

    async def _answer(self, txn: Transaction) -> Reply | None:
        pace = await self._count(txn)
        if pace == "shut":
            self.record(txn, "fail", f"more than {self.options.rate} unknown recipients")
            return defer("4.7.1", self.options.reason, code=421).hang_up()
        if pace == "slow" and not self.is_shadow and self._waiting < self.options.delayed:
            self._waiting += 1
            try:
                await asyncio.sleep(self.options.delay)
            finally:
                self._waiting -= 1
        return None

    async def _count(self, txn: Transaction) -> Literal["free", "slow", "shut"]:
        """Take a token for each unknown recipient since the last time."""
        counted = self.kept(txn, _Counted)
        if counted is None:
            self.keep(txn, counted := _Counted())
        unknown = sum(reply is USER_UNKNOWN for _, reply in txn.refusals[counted.refusals :])
        counted.refusals = len(txn.refusals)
        origin = self._origin(txn.connection)
        if not unknown or not origin:
            return "free"
        if await self._take("all", origin, self.options.rate, unknown):
            await self._take("block", origin, self._block, 1)
            return "shut"
        return "slow" if await self._take("slow", origin, self._slow, unknown) else "free"

    async def _take(self, what: str, origin: str, rate: Rate, tokens: int) -> float:
        return await settled(self._buckets.take(state_key(self.name, what, origin), rate, min(tokens, rate.burst)))

    def _origin(self, connection: Connection) -> str:
        """Who is counted; empty for whoever is not."""
        options = self.options
        if connection.is_exempt or options.exempt.covers(connection.remote_address):
            return ""
        return network_of(connection.remote_address, options.v4_bits if options.by_network else 32, options.v6_bits)
