"""What all connections of one listener have in common."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fastsmtp.config.networks import NetworkSet, packed_address
from fastsmtp.log import connection_line, encode_transaction
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.records.record import connection_record, encode_record
from fastsmtp.server.endpoints import Endpoints
from fastsmtp.server.pace import Patience
from fastsmtp.server.shared import ListenerStats, Shared
from fastsmtp.server.tls.offer import TlsOffer
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import Connection, Transaction

__all__ = ["Service", "Trust"]

_CONNECT: Final = b"connect"


class Trust(NamedTuple):
    """Clients that may speak for others (XCLIENT), and what their sessions are offered."""

    clients: NetworkSet
    options: SessionOptions


@dataclass(eq=False)
class Service:
    """One per listener, whose `name` it has; `shared` is the worker's. `tls` and `trust` are None where none is."""

    name: str
    shared: Shared
    options: SessionOptions
    patience: Patience
    pipeline: Pipeline
    tls: TlsOffer | None = None
    trust: Trust | None = None
    counts: ListenerStats = field(init=False)

    def __post_init__(self) -> None:
        self.counts = self.shared.stats.at_listener(self.name)

    def options_for(self, address: str) -> SessionOptions:
        """What the session of a client with this address is offered."""
        trust = self.trust
        return trust.options if trust is not None and packed_address(address) in trust.clients else self.options

    def ended(self, transaction: Transaction) -> None:
        """Account for a transaction: plugins, metrics, one log line."""
        shared = self.shared
        stats = shared.stats
        duration_ns = shared.clock.monotonic_ns() - transaction.begun_ns if transaction.begun_ns else 0
        stats.cells[self.counts.ended[transaction.outcome]] += 1
        stats.seconds[transaction.outcome].observe(duration_ns)
        self.pipeline.ended(transaction)
        line = encode_transaction(transaction, time=shared.clock.time(), duration_ns=duration_ns)
        shared.log.write_encoded(line)
        if shared.records is not None:
            shared.records.take_encoded(encode_record(line, transaction))

    def turned_away(self, ends: Endpoints, proxy_address: str, reply: Reply) -> bytes:
        """Account for somebody who does not get in; what they hear, with the id of what would have been a connection.

        Log and records hear of some: in a flood, all of them would be one there, too.
        """
        shared = self.shared
        shared.stats.cells[self.counts.turned_away] += 1
        shared.stats.replies.count(_CONNECT, reply.code)
        id_ = next(shared.ids)
        if shared.sample.has_room(shared.clock.monotonic_ns() / 1e9):
            connection = Connection(id_, *ends, listener=self.name, proxy_address=proxy_address)
            connection.refused_commands = [(_CONNECT, reply)]
            line = connection_line(connection, time=shared.clock.time())
            shared.log.write({**line, "reply": str(reply)})
            if shared.records is not None:
                shared.records.take(connection_record(line, connection))
        return reply.wire_naming(id_)

    def left(self, connection: Connection, *, had_transaction: bool) -> None:
        """A client is gone: plugins hear of it, and the log of whom they turned away at the door.

        The records hear of everybody who was told this connection's id.
        """
        self.pipeline.disconnected(connection)
        is_finding = bool(connection.results) and not had_transaction
        if not is_finding and not connection.refused_commands:
            return
        line = connection_line(connection, time=self.shared.clock.time())
        if is_finding:
            self.shared.log.write(line)
        if self.shared.records is not None:
            self.shared.records.take(connection_record(line, connection))
