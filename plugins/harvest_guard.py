"""Who tries one recipient after the other to see which exist is slowed down, and then shut out for a while."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import ClassVar, Final, Literal, TypeAlias

from fastsmtp.plugin import (
    USER_UNKNOWN,
    Address,
    Connection,
    Duration,
    Networks,
    NetworkSet,
    Place,
    Plugin,
    Rate,
    RateText,
    Reply,
    Services,
    Transaction,
    defer,
    network_of,
    packed_address,
    state_key,
    then,
)

__all__ = ["HarvestGuard", "Options"]

_NOBODY: Final = NetworkSet(())
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
    v4_bits: int = 24
    v6_bits: int = 64
    exempt: Networks = _NOBODY
    reason: str = "Too many unknown recipients from your address, come again later"

    def __post_init__(self) -> None:
        if not 1 <= self.slow_after <= self.rate.burst:
            raise ValueError(f"`slow_after` is 1 to {self.rate.burst}, as many as `rate` has at once")
        if self.delayed < 0 or not self.block >= 1:
            raise ValueError("`delayed` is a number of connections, `block` at least a second")
        if not (8 <= self.v4_bits <= 32 and 16 <= self.v6_bits <= 128):
            raise ValueError("`v4_bits` is 8 to 32, `v6_bits` 16 to 128")


_Pace: TypeAlias = Literal["free", "slow", "shut"]


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
        if not origin:
            return None
        return then(
            self._buckets.take(state_key(self.name, "block", origin), self._block, 0), partial(self._greet, connection)
        )

    def _greet(self, connection: Connection, blocked_s: float) -> Reply | None:
        if not blocked_s:
            return None
        self.record(connection, "fail", f"shut out for {blocked_s:.0f} s more")
        return defer("4.7.1", self.options.reason)

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | Awaitable[Reply | None] | None:
        return then(self._count(txn), partial(self._answer, txn)) if txn.refusals else None

    def on_reset(self, txn: Transaction) -> Awaitable[None] | None:
        """The last ones of a transaction, which no other RCPT came after."""
        pending = self._count(txn) if txn.refusals else None
        return _forget(pending) if isawaitable(pending) else None

    def _count(self, txn: Transaction) -> _Pace | Awaitable[_Pace]:
        """Take a token for each unknown recipient since the last time."""
        counted = txn.notes.get(_Counted)
        if counted is None:
            txn.notes.put(counted := _Counted())
        unknown = sum(reply is USER_UNKNOWN for _, reply in txn.refusals[counted.refusals :])
        counted.refusals = len(txn.refusals)
        origin = self._origin(txn.connection)
        if not unknown or not origin:
            return "free"
        rate = self.options.rate
        return then(
            self._buckets.take(state_key(self.name, "all", origin), rate, min(unknown, rate.burst)),
            partial(self._weigh, origin, unknown),
        )

    def _weigh(self, origin: str, unknown: int, over_s: float) -> _Pace | Awaitable[_Pace]:
        if over_s:
            return then(self._buckets.take(state_key(self.name, "block", origin), self._block), _shut)
        slow = self._slow
        return then(
            self._buckets.take(state_key(self.name, "slow", origin), slow, min(unknown, slow.burst)), _slow_or_free
        )

    def _answer(self, txn: Transaction, pace: _Pace) -> Reply | Awaitable[Reply | None] | None:
        if pace == "shut":
            self.record(txn, "fail", f"more than {self.options.rate} unknown recipients")
            return defer("4.7.1", self.options.reason, code=421).hang_up()
        if pace == "free" or self.is_shadow or self._waiting >= self.options.delayed:
            return None
        return self._delay()

    async def _delay(self) -> None:
        self._waiting += 1
        try:
            await asyncio.sleep(self.options.delay)
        finally:
            self._waiting -= 1

    def _origin(self, connection: Connection) -> str:
        """Who is counted; empty for whoever is not."""
        address, options = connection.remote_address, self.options
        if connection.is_exempt or (options.exempt and packed_address(address) in options.exempt):
            return ""
        return network_of(address, options.v4_bits if options.by_network else 32, options.v6_bits)


def _shut(_: float) -> _Pace:
    return "shut"


def _slow_or_free(over_s: float) -> _Pace:
    return "slow" if over_s else "free"


async def _forget(pending: Awaitable[_Pace]) -> None:
    await pending  # nobody is there to be told
