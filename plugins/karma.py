"""Remember what became of the mail of an address, and of its network, and put who did badly into a penalty box."""

from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from fastsmtp.plugin import (
    NOBODY,
    RELAYING_DENIED,
    USER_UNKNOWN,
    Address,
    Connection,
    Duration,
    Naughty,
    Networks,
    Place,
    Plugin,
    Reply,
    Reputation,
    Services,
    StateError,
    Transaction,
    V4Bits,
    V6Bits,
    Verdict,
    act,
    at_once,
    defer,
)

__all__ = ["Karma", "Options"]

_NEUTRAL: Final = frozenset(("greylist", "naughty", "rate_limit"))


@dataclass(frozen=True, slots=True)
class Options:
    """Weights of events are added to the score; what is bad is below 0."""

    penalty_below: float = -10.0
    penalty: Literal["naughty", "defer", "reject"] = "defer"
    good_from: float = 5.0
    best: float = 20.0
    worst: float = -40.0
    half_life: Duration = 86_400.0
    network_share: float = 0.1
    v4_bits: V4Bits = 24
    v6_bits: V6Bits = 48
    stored: float = 1.0
    rejected: float = -1.0
    deferred: float = 0.0
    unknown_recipient: float = -1.0
    relay: float = -3.0
    early_talker: float = -3.0
    protocol_error: float = -0.5
    neutral: frozenset[str] = _NEUTRAL
    exempt: Networks = NOBODY
    reason: str = "Too much of what came from your address was bad, come again later"

    def __post_init__(self) -> None:
        if not self.worst <= self.penalty_below < 0 < self.good_from <= self.best:
            raise ValueError("`worst`, `penalty_below`, 0, `good_from` and `best` go up, in this order")
        if not 0 <= self.network_share <= 1:
            raise ValueError("`network_share` is 0 to 1")
        if not self.half_life >= 60:
            raise ValueError("`half_life` is at least a minute")
        if self.v6_bits > 64:
            raise ValueError("`v6_bits` is at most 64, which counts as one address")


@dataclass(slots=True)
class _Karma:
    """Of a connection: the score that it came with, what it has earned since, and its marks: by whom, for what."""

    before: float = 0.0
    earned: float = 0.0
    marks: set[tuple[str, str]] = field(default_factory=set)


class Karma(Plugin[Options]):
    """Keeps a score of each address, and of each network, and turns away who is below `penalty_below`.

    * `penalty_below` (-10), `penalty` ("defer"): below that score a client is in the penalty box: "defer" says `421` in
      place of the greeting, "reject" `554`, "naughty" refuses its recipients. Who gets there while connected hears
      `421 4.7.1` at the next MAIL.
    * `good_from` (5): from that score on there is a `pass` in the record, which other plugins may trust.
    * `best` (20), `worst` (-40): more than that nobody earns, and less neither: one address is not its network.
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
        if (alone := self.options.network_share * self.options.worst) <= self.options.penalty_below:
            hint = "puts all of its network into the box"
            yield "worst", f"times network_share is {alone:g}: one bad address {hint}; write less of either"

    async def start(self, services: Services) -> None:
        options = self.options
        scale = (options.half_life, options.network_share, options.v4_bits, options.v6_bits)
        self._scores = Reputation(services.records, self.name, *scale)
        await services.records.open()

    def on_connect(self, connection: Connection) -> Reply | Naughty | Awaitable[Reply | Naughty | None] | None:
        address = connection.remote_address
        if not address or self.options.exempt.covers(address):
            return None
        self.keep(connection, karma := _Karma())
        return at_once(self._judge(connection, karma))

    async def _judge(self, connection: Connection, karma: _Karma) -> Reply | Naughty | None:
        options = self.options
        try:
            own, of_network = await self._scores.of(connection.remote_address)
        except StateError as error:
            self.record(connection, "error", f"nobody knows its karma: {error}")
            return None
        karma.before = own + of_network
        evidence = f"karma {own:+.1f}, its network's {of_network:+.1f}"
        if karma.before >= options.good_from:
            self.record(connection, "pass", evidence)
        if karma.before > options.penalty_below:
            return None
        self.record(connection, "fail", evidence)
        return act(options.penalty, options.reason)

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
        karma = self.kept(txn.connection, _Karma)
        if karma is None or not karma.earned < 0 or karma.before + karma.earned > self.options.penalty_below:
            return None
        if txn.connection.naughty is not None:
            return None
        self.record(txn, "fail", f"karma {karma.before + karma.earned:+.1f} by now")
        return defer("4.7.1", self.options.reason, code=421).hang_up()

    def on_verdict(self, verdict: Verdict) -> None:
        karma = self.kept(verdict.connection, _Karma)
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
        karma = self.kept(txn.connection, _Karma)
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
        karma = self.kept(connection, _Karma)
        if karma is None or connection.is_exempt:
            return
        options = self.options
        earned = karma.earned + options.protocol_error * _bad_commands(connection)
        earned = max(earned + options.early_talker * connection.early_talker, min(0.0, options.worst - karma.before))
        if earned:
            self._scores.add(connection.remote_address, earned)


def _bad_commands(about: Connection | Transaction) -> int:
    """Commands that nobody knows, or that are wrong in themselves (RFC 5321 section 4.2.1: 50x)."""
    return sum(500 <= reply.code <= 504 for _, reply in about.refused_commands or ())
