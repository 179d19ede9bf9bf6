"""Find clients that do not wait for their turn, which is what programs that only send do."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from fastsmtp.plugin import (
    Action,
    Connection,
    Duration,
    Hello,
    Naughty,
    Networks,
    NetworkSet,
    Place,
    Plugin,
    Reply,
    Services,
    Transaction,
    act,
    packed_address,
)

__all__ = ["EarlyTalker", "Options"]

_MOST_S: Final = 60.0
_PATIENCE_S: Final = 30.0
_NOWHERE: Final = NetworkSet(())

Opinion: TypeAlias = Reply | Naughty | None


@dataclass(slots=True)
class _Seen:
    """A note: this client has been found out, and that is enough."""


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds, or as text like "5s"."""

    delay: Duration = 5.0
    tarpit: Duration = 0.0
    action: Action = "reject"
    pipelining: Action = "record"
    waiting: int = 1000
    exempt: Networks = _NOWHERE
    reason: str = "You have to wait until you are greeted"

    def __post_init__(self) -> None:
        for option, seconds in (("delay", self.delay), ("tarpit", self.tarpit)):
            if seconds > _MOST_S:
                raise ValueError(
                    f"`{option}` is at most {_MOST_S:g} s, not {seconds:g}: clients have better things to do"
                )
        if self.waiting < 1:
            raise ValueError(f"`waiting` is at least 1, not {self.waiting}")


class EarlyTalker(Plugin[Options]):
    """Keeps strangers waiting for the greeting, and refuses those who speak before it (RFC 5321 section 4.3.1).

    * `delay` (5 s): how long. Whoever is known does not wait: mail of them, or of a neighbour, was stored lately.
    * `tarpit` (0 s): who has spoken hears the refusal so much later still.
    * `action` ("reject"): "defer" says 421, "naughty" refuses at RCPT, "record" only notes it.
    * `pipelining` ("record"): the same for who does not wait for the reply to HELO or DATA (RFC 2920 section 3.1).
    * `waiting` (1000): so many strangers wait at once in each worker; who comes then is greeted at once, and noted.
    * `exempt`: networks that need not wait, and may speak when they like.
    * `reason`: what the client hears.

    Who waits costs a timer and no thread. Clients who speak TLS from the start (465) are looked at in there. In shadow
    nobody waits, so that only who speaks at once is found.
    """

    spares_exempt = True

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        delay_s, tarpit_s = self.options.delay, self.options.tarpit
        if delay_s and (trouble := place.says_of_wait(delay_s + tarpit_s, "every stranger would hear 421")):
            yield "delay", trouble
        elif delay_s > _PATIENCE_S:  # RFC 5321 section 4.5.3.2.1 wants five minutes of them
            yield "delay", f'is {delay_s:g} s: many clients have gone by then; a few seconds are enough, like "5s"'
        if tarpit_s and self.options.action == "record":
            yield "tarpit", 'is for a refusal, and with action = "record" nobody hears a refusal; write 0'

    async def start(self, services: Services) -> None:
        self._waiting = 0

    def on_connect(self, connection: Connection) -> Opinion | Awaitable[Opinion]:
        if packed_address(connection.remote_address) in self.options.exempt:
            connection.notes.put(_Seen())
            return None
        if not connection.early_talker and (connection.is_known or not self.options.delay):
            return None
        if self.is_shadow:
            return self._judge(connection)
        if self._waiting >= self.options.waiting:
            self.record(connection, "skip", f"{self._waiting} wait already")
            return self._judge(connection)
        return self._wait(connection)

    def on_hello(self, connection: Connection, hello: Hello) -> Opinion:
        return self._judge_pipelining(connection)

    def on_data(self, txn: Transaction) -> Opinion:
        return self._judge_pipelining(txn.connection)

    async def _wait(self, connection: Connection) -> Opinion:
        self._waiting += 1
        try:
            if not connection.early_talker:
                await asyncio.sleep(self.options.delay)
            if connection.early_talker:
                await asyncio.sleep(self.options.tarpit)
        finally:
            self._waiting -= 1
        return self._judge(connection)

    def _judge(self, connection: Connection) -> Opinion:
        if not connection.early_talker:
            return None
        connection.notes.put(_Seen())
        self.record(connection, "fail", "spoke before the greeting")
        return act(self.options.action, self.options.reason)

    def _judge_pipelining(self, connection: Connection) -> Opinion:
        if not connection.pipelined_too_much or connection.notes.get(_Seen) is not None:
            return None
        connection.notes.put(_Seen())
        self.record(connection, "fail", "did not wait for the reply to HELO, EHLO, DATA or AUTH")
        return act(self.options.pipelining, self.options.reason, is_observed=True)
