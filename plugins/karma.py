"""Remember what became of the mail of an address, and of its network, and put who did badly into a penalty box."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final, Literal

from fastsmtp.plugin import (
    RELAYING_DENIED,
    USER_UNKNOWN,
    Address,
    Connection,
    Duration,
    Naughty,
    Networks,
    NetworkSet,
    Place,
    Plugin,
    Reply,
    Services,
    StateError,
    Transaction,
    Verdict,
    defer,
    naughty,
    network_of,
    packed_address,
    reject,
    state_key,
    then,
)

__all__ = ["Karma", "Options"]

_NOBODY: Final = NetworkSet(())
_NEUTRAL: Final = frozenset(("greylist", "naughty", "rate_limit"))


@dataclass(frozen=True, slots=True)
class Options:
    """Weights of events are added to the score; what is bad is below 0."""

    penalty_below: float = -10.0
    penalty: Literal["naughty", "defer", "reject"] = "defer"
    good_from: float = 5.0
    best: float = 20.0
    half_life: Duration = 86_400.0
    network_share: float = 0.1
    v4_bits: int = 24
    v6_bits: int = 48
    stored: float = 1.0
    rejected: float = -1.0
    deferred: float = 0.0
    unknown_recipient: float = -1.0
    relay: float = -3.0
    early_talker: float = -3.0
    protocol_error: float = -0.5
    neutral: frozenset[str] = _NEUTRAL
    exempt: Networks = _NOBODY
    reason: str = "Too much of what came from your address was bad, come again later"

    def __post_init__(self) -> None:
        if not self.penalty_below < 0 < self.good_from <= self.best:
            raise ValueError("`penalty_below` is below 0, `good_from` above it and not above `best`")
        if not 0 <= self.network_share <= 1:
            raise ValueError("`network_share` is 0 to 1")
        if not self.half_life >= 60:
            raise ValueError("`half_life` is at least a minute")
        if not (8 <= self.v4_bits <= 32 and 16 <= self.v6_bits <= 64):
            raise ValueError("`v4_bits` is 8 to 32, `v6_bits` 16 to 64")


@dataclass(slots=True)
class _Karma:
    """Of a connection: the score that it came with, and what it has earned since."""

    before: float = 0.0
    earned: float = 0.0
    marks: set[tuple[str, str]] = field(default_factory=set)  # by whom, for what


class Karma(Plugin[Options]):
    """Keeps a score of each address, and of each network, and turns away who is below `penalty_below`.

    * `penalty_below` (-10), `penalty` ("defer"): below that score a client is in the penalty box: "defer" says `421` in
      place of the greeting, "reject" `554`, "naughty" refuses its recipients. Who gets there while connected hears
      `421 4.7.1` at the next MAIL.
    * `good_from` (5): from that score on there is a `pass` in the record, which other plugins may trust.
    * `best` (20): more than that nobody earns.
    * `half_life` (1 day): in each of them a score loses half of itself; so everybody leaves the box in the end.
    * `network_share` (0.1): how much of the network's score counts; `v4_bits`, `v6_bits` (24, 48) say how large one is.
    * `stored` (1), `rejected` (-1), `deferred` (0), `unknown_recipient` (-1), `relay` (-3), `early_talker` (-3),
      `protocol_error` (-0.5): what a message, an answer of another plugin, a recipient, and a bad command are worth.
    * `neutral` (greylist, naughty and rate_limit): plugins whose answers say nothing about the client.
    * `exempt`: networks and addresses without a score; who has logged in, or is vouched for, has none either.
    * `reason`: what the client hears.

    What other plugins say in shadow mode does not count. When the state cannot be read nobody is in the box.
    """

    spares_exempt: ClassVar[bool] = True

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        if trouble := place.says_of_plugins(self.options.neutral - _NEUTRAL):
            yield "neutral", trouble

    async def start(self, services: Services) -> None:
        self._records = services.records
        await self._records.open()

    def on_connect(self, connection: Connection) -> Reply | Naughty | Awaitable[Reply | Naughty | None] | None:
        address = connection.remote_address
        if not address or (self.options.exempt and packed_address(address) in self.options.exempt):
            return None
        connection.notes.put(_Karma())
        try:
            answer = self._look(connection)
        except StateError as error:
            return self._unknown(connection, error)
        return self._look_later(connection, answer) if isinstance(answer, Awaitable) else answer

    def _look(self, connection: Connection) -> Reply | Naughty | Awaitable[Reply | Naughty | None] | None:
        own, network = self._keys(connection)
        share, half_life = self.options.network_share, self.options.half_life
        judge: Callable[[float, float], Reply | Naughty | None] = partial(self._judge, connection)
        if not share:
            return then(self._records.score(own, half_life), lambda score: judge(score, 0.0))
        return then(
            self._records.score(own, half_life),
            lambda score: then(self._records.score(network, half_life), lambda more: judge(score, share * more)),
        )

    async def _look_later(
        self, connection: Connection, pending: Awaitable[Reply | Naughty | None]
    ) -> Reply | Naughty | None:
        try:
            return await pending
        except StateError as error:
            return self._unknown(connection, error)

    def _unknown(self, connection: Connection, error: StateError) -> Reply | None:
        self.record(connection, "error", f"nobody knows its karma: {error}")
        return None

    def _judge(self, connection: Connection, own: float, of_network: float) -> Reply | Naughty | None:
        options, score = self.options, own + of_network
        connection.notes.put(_Karma(score))
        evidence = f"karma {own:+.1f}, its network's {of_network:+.1f}"
        if score >= options.good_from:
            self.record(connection, "pass", evidence)
        if score > options.penalty_below:
            return None
        self.record(connection, "fail", evidence)
        if options.penalty == "naughty":
            return naughty(options.reason)
        return reject("5.7.1", options.reason) if options.penalty == "reject" else defer("4.7.1", options.reason)

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
        karma = txn.connection.notes.get(_Karma)
        if karma is None or not karma.earned < 0 or karma.before + karma.earned > self.options.penalty_below:
            return None
        if txn.connection.naughty is not None:
            return None
        self.record(txn, "fail", f"karma {karma.before + karma.earned:+.1f} by now")
        return defer("4.7.1", self.options.reason, code=421).hang_up()

    def on_verdict(self, verdict: Verdict) -> None:
        karma = verdict.connection.notes.get(_Karma)
        if karma is None or verdict.shadow or verdict.plugin == self.name or verdict.plugin in self.options.neutral:
            return
        reply = verdict.opinion
        if isinstance(reply, Naughty):  # about the connection: said at each MAIL, it is one thing still
            reply = reply.reply
            if (mark := (verdict.plugin, reply.text)) in karma.marks:
                return
            karma.marks.add(mark)
        if isinstance(reply, Reply) and not reply.is_positive:
            karma.earned += self.options.rejected if reply.is_permanent else self.options.deferred

    def on_reset(self, txn: Transaction) -> None:
        karma = txn.connection.notes.get(_Karma)
        if karma is None:
            return
        options = self.options
        if txn.outcome == "stored" and karma.before + karma.earned < options.best:
            karma.earned += options.stored
        karma.earned += options.protocol_error * _bad_commands(txn)
        for _, reply in txn.refusals:
            if reply is USER_UNKNOWN:
                karma.earned += options.unknown_recipient
            elif reply is RELAYING_DENIED:
                karma.earned += options.relay

    def on_disconnect(self, connection: Connection) -> None:
        karma = connection.notes.get(_Karma)
        if karma is None or connection.is_exempt:
            return
        options = self.options
        earned = karma.earned + options.protocol_error * _bad_commands(connection)
        earned += options.early_talker * connection.early_talker
        if earned:
            own, network = self._keys(connection)
            self._records.add(own, earned, options.half_life)
            if options.network_share:
                self._records.add(network, earned, options.half_life)

    def _keys(self, connection: Connection) -> tuple[str, str]:
        address, options = connection.remote_address, self.options
        network = network_of(address, options.v4_bits, options.v6_bits)
        return state_key(self.name, network_of(address, 32, 64)), state_key(self.name, network, "*")


def _bad_commands(about: Connection | Transaction) -> int:
    """Commands that nobody knows, or that are wrong in themselves (RFC 5321 section 4.2.1: 50x)."""
    return sum(500 <= reply.code <= 504 for _, reply in about.refused_commands or ())
