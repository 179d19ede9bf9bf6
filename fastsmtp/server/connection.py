"""One TCP connection: moves bytes between the transport and the session, and waits where an answer takes time.

No task is made here for what can be answered now. One future (or, for a coroutine, one task) exists per actual wait.
"""

import asyncio
import logging
import termios
from array import array
from collections.abc import Awaitable
from fcntl import ioctl
from typing import Final, cast

from fastsmtp.delivery.batch import Receipt
from fastsmtp.server.admission import NOWHERE, Place
from fastsmtp.server.deadlines import NEVER
from fastsmtp.server.endpoints import Endpoints, descriptor_of, endpoints
from fastsmtp.server.flow import FlowControl
from fastsmtp.server.pace import Pace
from fastsmtp.server.service import Service
from fastsmtp.server.shared import READING_TIME
from fastsmtp.server.tls.handshake import Handshake
from fastsmtp.server.tls.layer import Endpoint
from fastsmtp.server.tls.offer import TlsOffer
from fastsmtp.server.tls.transport import TlsTransport
from fastsmtp.smtp.effects import Answer, Ask, Ended, Flush, Stage, StartTls
from fastsmtp.smtp.replies import LOCAL_TROUBLE, SHUTTING_DOWN, Reply
from fastsmtp.smtp.sasl import ScramKeys
from fastsmtp.smtp.session import Session
from fastsmtp.smtp.transaction import Connection, Recipient, Transaction
from fastsmtp.smtp.transitions import State

__all__ = ["ConnectionProtocol"]

_CLOSE_S: Final = 10.0
"""How long a client may take to read our last words."""

# A tuple, since `Reply | Recipient` would be a new object at every question.
_ANSWERS: Final = (Reply, Recipient, ScramKeys)

_SMALL_OCTETS: Final = 16_384
"""What is larger does not wait for the round: there it would pile up."""

_IN_MESSAGE: Final = State.MESSAGE  # 14 ns instead of 208 through the class (CPython 3.11), for every read
_BETWEEN_CHUNKS: Final = State.CHUNKS
_ON_CONNECT: Final = Stage.CONNECT

_log = logging.getLogger("fastsmtp.server")


class ConnectionProtocol:
    """The transport's other end: an `asyncio.Protocol`, from which a C struct cannot inherit. `deadline` is read by
    Deadlines.
    """

    __slots__ = (
        "_asked_ns", "_asked_stage", "_eof", "_flow", "_gone", "_had_transaction", "_handshake", "_held", "_is_due",
        "_is_known", "_is_paused", "_is_waiting", "_pace", "_pending", "_place", "_service", "_session", "_shared",
        "_told_gone", "_transport", "deadline",
    )  # fmt: skip

    def __init__(self, service: Service) -> None:
        self.deadline = NEVER
        self._service = service
        self._shared = service.shared
        self._pending: asyncio.Future[Answer] | Receipt | None = None
        self._handshake: Handshake | None = None
        self._asked_ns = 0
        self._asked_stage = _ON_CONNECT
        self._eof = False
        self._gone = False
        self._told_gone = False
        self._is_due = False  # it is in the round
        self._is_waiting = False  # when it last thought, the session was left waiting for an answer
        self._had_transaction = False
        self._is_paused = False  # there is more to be answered as soon as this is on its way
        self._is_known = False  # the table of clients has heard that mail of this one was stored
        self._held = 0  # octets of unparsed input that are in the load

    # --- what the event loop calls -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shared = self._shared
        ends = endpoints(transport)
        descriptor = descriptor_of(transport)
        address = ends.remote_address
        place = SHUTTING_DOWN if shared.draining else shared.admission.enter(address, shared.now_s(), descriptor)
        if isinstance(place, Reply):
            self.turn_away(cast("asyncio.Transport", transport), ends, place)
        else:
            self._begin(cast("asyncio.Transport", transport), ends, place, "", has_talked=_has_talked(descriptor))

    def proxied(self, transport: asyncio.Transport, ends: Endpoints, proxy_address: str, *, has_talked: bool) -> None:
        """In place of `connection_made`: a proxy, which is counted already, has said who is there.

        `has_talked` says that something of the client came together with that.
        """
        shared = self._shared
        place = SHUTTING_DOWN if shared.draining else shared.admission.admit(ends.remote_address, shared.now_s())
        if isinstance(place, Reply):
            shared.admission.go(NOWHERE, shared.now_s())
            self.turn_away(transport, ends, place, proxy_address)
            if not shared.open:
                shared.emptied.set()
        else:
            talked = has_talked or _has_talked(descriptor_of(transport))
            self._begin(transport, ends, place, proxy_address, has_talked=talked)

    def _begin(
        self, transport: asyncio.Transport, ends: Endpoints, place: Place, proxy_address: str, *, has_talked: bool
    ) -> None:
        service, shared = self._service, self._shared
        stats = shared.stats
        self._transport = transport
        self._flow = FlowControl(transport)
        self._place = place
        connection = Connection(next(shared.ids), *ends, listener=service.name, proxy_address=proxy_address)
        if _ON_CONNECT in service.options.asks:
            connection.is_known = shared.admission.is_known(ends.remote_address, place, shared.now_s())
        self._session = Session(service.options_for(ends.remote_address), connection, stats.replies, shared.ids)
        shared.open.add(self)
        stats.cells[stats.open] += 1
        stats.cells[service.counts.accepted] += 1
        self._pace = Pace(service.patience, shared.loop.time())
        offer = service.tls
        if offer is not None and offer.is_implicit:
            self._start_tls(offer)
            return
        if has_talked:
            self._talks_early()
        self._session.open()
        self._run()

    def turn_away(self, transport: asyncio.Transport, ends: Endpoints, reply: Reply, proxy_address: str = "") -> None:
        """Hardly anything is made for who does not get in: the answer, and the end."""
        wire = self._service.turned_away(ends, proxy_address, reply)
        offer = self._service.tls
        if offer is None or not offer.is_implicit:  # a handshake to say no in costs more than there may be
            transport.write(wire)
        transport.close()
        transport.set_protocol(_TURNED_AWAY)

    def data_received(self, data: bytes) -> None:
        session, flow = self._session, self._flow
        stats = self._shared.stats
        size = len(data)
        stats.cells[stats.received] += size
        self._pace.received += size
        session.feed(data)
        if self._pending is not None or self._is_paused or not flow.can_write:
            self._hold_input()
        elif self._is_due or size > _SMALL_OCTETS:
            self._run()
        else:
            self._is_due = True
            self._shared.round.add(self)

    def _hold_input(self) -> None:
        pending, load = self._session.pending_input, self._service.options.load
        load.octets += pending - self._held
        self._held = pending
        self._flow.hold_input(pending, is_short=load.octets > load.limit)
        if self._pending is not None and self._asked_stage is _ON_CONNECT:
            self._talks_early()

    def _settle(self) -> None:
        """Input that waits is in the load no more."""
        self._service.options.load.octets -= self._held
        self._held = 0

    def _release_input(self) -> None:
        if self._flow.can_write and not self._gone and not self._session.closing:
            self._flow.release_input(self._session.pending_input)

    def _talks_early(self) -> None:
        connection, stats = self._session.connection, self._shared.stats
        if not connection.early_talker:
            connection.early_talker = True
            stats.cells[stats.early_talkers] += 1

    def eof_received(self) -> bool:
        """The client sends no more; it may still want to hear the answer to what it sent."""
        self._eof = True
        if not self._is_stopped():
            self._run()
        return self._is_stopped()

    def _is_stopped(self) -> bool:
        """Whether it goes on by itself, later."""
        return self._pending is not None or self._is_paused or not self._flow.can_write

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went does not matter to us
        if self._is_due:  # what came before the end is heard before the end
            self._is_waiting = self._advance_safely()
        self._gone = True
        self.deadline = NEVER
        self._session.lose()
        self._run()

    def pause_writing(self) -> None:
        self._flow.can_write = False

    def resume_writing(self) -> None:
        self._flow.can_write = True
        if self._is_paused:
            self._shared.turns.wait(self._go_on)
        elif self._pending is None:
            self._run()

    # --- what Deadlines and the server call --------------------------------------------------------------------------

    def expire(self) -> None:
        """The client took too long, or it is time to see how much of a message has come."""
        now = self._shared.loop.time()
        if self._handshake is not None:
            self._handshake.timed_out()
            self._handshake = None
            self.abort()
        elif self._session.closing or not self._flow.can_write:
            self._count_limit(READING_TIME)
            self.abort()  # it does not even read
        elif self._is_due:
            self._run()  # it was in time; that we have not read it yet is our affair
        elif (limit := self._pace.passed(now)) is None:
            self.deadline = self._pace.next_span(now)
        else:
            self._count_limit(limit.name)
            self._session.time_out(limit.reply)
            self._run()

    def _count_limit(self, limit: str) -> None:
        stats = self._shared.stats
        stats.cells[stats.limits[limit]] += 1

    @property
    def held_octets(self) -> int:
        """Octets in memory that `shed` lets go: of a message that is arriving, or the input of who does not read."""
        if not self._flow.can_write:
            return self._held
        return 0 if self._pending is not None else self._session.reception.message.held

    @property
    def begun_ns(self) -> int:
        """When its transaction began, on the monotonic clock."""
        transaction = self._session.transaction
        return transaction.begun_ns if transaction is not None else 0

    def shed(self) -> None:
        """Hold no more: refuse, at its end, the message that is arriving, or close on who does not read."""
        if not self.held_octets:
            return
        if self._flow.can_write:
            self._session.shed_message()
        else:
            self._settle()
            self._count_limit(READING_TIME)
            self.abort()

    def drain(self, *, finishing: bool = False) -> None:
        """Finish the message that is arriving, if there is one, then say 421 and close."""
        self._session.drain(finishing=finishing)
        if self._handshake is not None:
            return  # it is said in TLS, or not at all
        if self._pending is None and self._flow.can_write:
            self._run()

    def cut(self) -> None:
        """Say 421 now, in the middle of whatever it is, and close."""
        if self._handshake is not None:
            self.abort()
        elif self._pending is None:
            self._session.turn_away(SHUTTING_DOWN)
            self._run()

    def abort(self) -> None:
        """Close without a word."""
        self._transport.abort()

    # --- TLS ---------------------------------------------------------------------------------------------------------

    def secured(self, tls: Endpoint) -> None:
        """The handshake is complete: the dialogue begins, or begins anew."""
        handshake, offer = self._handshake, self._service.tls
        if handshake is None or offer is None:
            raise RuntimeError("nobody has begun a handshake")
        self._handshake = None
        self._session.secured(handshake.completed(tls))
        self.deadline = self._pace.next_command(self._shared.loop.time())
        if offer.is_implicit:
            self._session.open()
        self._run()

    def not_secured(self, reason: str) -> None:
        """No handshake came about; the connection is being closed."""
        if self._handshake is not None:
            self._handshake.failed(reason)
            self._handshake = None
            self.deadline = self._shared.loop.time() + _CLOSE_S

    def _upgrade(self, effect: StartTls) -> None:
        """The client has asked for TLS: our 220 is the last that goes out in plain text."""
        stats, offer = self._shared.stats, self._service.tls
        if offer is None:
            raise RuntimeError("STARTTLS was offered where there is no TLS")
        self._transport.write(self._session.take_output())
        if effect.discarded:
            stats.cells[offer.stats.discarded] += effect.discarded
            connection = self._session.connection
            extra = {"id": connection.id, "remote": connection.remote_address, "bytes": effect.discarded}
            _log.warning("plain text behind STARTTLS thrown away", extra=extra)
        self._start_tls(offer)

    def _start_tls(self, offer: TlsOffer) -> None:
        tls = TlsTransport(self._transport, offer.context, self, self._shared.loop)
        self._transport, self._flow = tls, FlowControl(tls)
        self._handshake = offer.begin(self._session.connection)
        self.deadline = self._shared.loop.time() + offer.handshake_s
        tls.start()

    # --- the dialogue ------------------------------------------------------------------------------------------------

    def think(self) -> bool:
        """Its turn in the round: answer what has come. Whether there is something to say."""
        if not self._is_due:
            return False  # it could not wait
        self._is_due = False
        if not self._flow.can_write and not self._gone:
            self._hold_input()
            if self.deadline == NEVER:  # as in answered
                self.deadline = self._shared.loop.time() + self._service.patience.command_s
            return False
        self._is_waiting = self._advance_safely()
        return True

    def speak(self) -> None:
        """What was thought, in one go."""
        waiting = self._is_waiting
        self._write(waiting=waiting)
        if self._is_paused:
            self._shared.turns.wait(self._go_on)
        if not self._flow.is_reading and not waiting:
            self._release_input()
        if self._gone and not waiting:
            self._leave()

    def _run(self) -> None:
        """Let the session go on as far as it can, then write what it said in one go."""
        self._is_due = False
        self._is_waiting = self._advance_safely()
        self.speak()

    def _advance_safely(self) -> bool:
        """Let the session go on as far as it can. Whether it waits for an answer."""
        self._is_paused = False
        if self._held:
            self._settle()
        try:
            waiting = self._advance()
        except Exception as error:  # noqa: BLE001 - see there
            self._fail(error)
            waiting = False
        if not waiting and self._eof and not self._session.closing and not self._is_paused:
            self._session.lose()
            self._advance()
        return waiting

    def _fail(self, error: Exception) -> None:
        """A fault of ours: the client shall come again, the operator shall know, the worker goes on."""
        self._shared.stats.cells[self._shared.stats.faults] += 1
        _log.error("internal error", exc_info=error, extra={"id": self._session.connection.id})
        self._session.turn_away(Reply(421, "4.3.0", LOCAL_TROUBLE.text, closes=True))

    def _go_on(self) -> None:
        """So many commands came at once that others had their turn in between."""
        if self._is_paused and self._pending is None and self._flow.can_write:
            self._run()

    def _advance(self) -> bool:
        """Answer the session's questions; True when one has to wait for its answer."""
        session, service, shared = self._session, self._service, self._shared
        while (effect := session.advance()) is not None:
            if not isinstance(effect, Ask):
                if isinstance(effect, StartTls):
                    self._upgrade(effect)
                    return False
                if isinstance(effect, Flush):
                    self._is_paused = True
                    return False
                if isinstance(effect, Ended):
                    self._ended(effect.transaction)
                else:
                    session.resume(self._client_changed(effect.previous))
                continue
            self._asked_ns = shared.clock.monotonic_ns()
            self._asked_stage = effect.stage
            transaction = session.transaction
            if transaction is not None and not transaction.begun_ns:
                transaction.begun_ns = self._asked_ns
            answer = service.pipeline.answer(effect, session.connection, transaction)
            if answer is None or isinstance(answer, _ANSWERS):
                self._resume(answer)
            else:
                self._wait(answer)
                return True
        return self._pending is not None

    def _ended(self, transaction: Transaction) -> None:
        self._had_transaction = True
        if transaction.message.size:
            self._pace.had_message = True
        if transaction.outcome == "stored" and not self._is_known:
            self._is_known = True
            self._shared.admission.stored(self._place, self._shared.now_s())
        self._service.ended(transaction)

    def _client_changed(self, previous: Connection) -> Reply | None:
        """Another client is there; the one before is gone. What is said if the new one must not be: the last word."""
        shared = self._shared
        self._service.left(previous, had_transaction=self._had_transaction)
        self._had_transaction = self._is_known = False
        shared.admission.leave(self._place, shared.now_s())
        place = shared.admission.admit(self._session.connection.remote_address, shared.now_s())
        if isinstance(place, Reply):
            self._place = NOWHERE
            return place
        self._place = place
        client = self._session.connection
        client.is_known = shared.admission.is_known(client.remote_address, place, shared.now_s())
        return None

    def _resume(self, answer: Answer) -> None:
        shared = self._shared
        seconds = shared.stats.stages[self._asked_stage]
        seconds.observe(shared.clock.monotonic_ns() - self._asked_ns)
        self._session.resume(answer)

    def _wait(self, pending: Awaitable[Answer]) -> None:
        self.deadline = NEVER  # from here on it is we who take our time
        if isinstance(pending, Receipt):
            self._pending = pending
            pending.tell(self)
        else:
            self._pending = future = asyncio.ensure_future(pending)
            future.add_done_callback(self._found)

    def _found(self, pending: "asyncio.Future[Answer]") -> None:
        try:
            answer = pending.result()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the client must hear something
            _log.error("no answer", exc_info=error, extra={"id": self._session.connection.id})
            answer = LOCAL_TROUBLE
        self.answered(answer)

    def answered(self, answer: Answer) -> None:
        """What was waited for is there."""
        self._pending = None
        try:
            self._resume(answer)
        except Exception as error:  # noqa: BLE001 - see there
            self._fail(error)
        if self._gone or self._flow.can_write:
            self._is_due = True
            self._shared.round.add(self)
        else:
            # It does not read, so nothing will be written that could set a deadline: its time runs from now.
            self.deadline = self._shared.loop.time() + self._service.patience.command_s

    def _write(self, *, waiting: bool) -> None:
        output = self._session.take_output()
        if self._gone:
            return
        if output:
            self._transport.write(output)
        if waiting:
            self.deadline = NEVER
            self._pace.rest()
        elif self._session.closing:
            self._transport.close()
            self.deadline = self._shared.loop.time() + _CLOSE_S
        elif self._session.state is _IN_MESSAGE:
            if not self._pace.is_in_span:
                self.deadline = self._pace.next_span(self._shared.loop.time())
        elif output:  # a command was complete
            if self._session.state is _BETWEEN_CHUNKS:
                self._pace.had_message = True  # it has begun, and is no idle connection
            self.deadline = self._pace.next_command(self._shared.loop.time())

    def _leave(self) -> None:
        """Gone, and nothing of it is under way any more."""
        if self._told_gone:
            return
        self._told_gone = True
        stats = self._shared.stats
        stats.cells[stats.open] -= 1
        self._shared.open.discard(self)
        self._shared.admission.go(self._place, self._shared.now_s())
        self._service.left(self._session.connection, had_transaction=self._had_transaction)
        if not self._shared.open:
            self._shared.emptied.set()


class _TurnedAway(asyncio.Protocol):
    """The other end of a transport whose client did not get in: it hears nothing more."""


_TURNED_AWAY: Final = _TurnedAway()


def _has_talked(descriptor: int) -> bool:
    """Whether something lies in the socket that nobody has read yet."""
    if descriptor < 0:
        return False
    waiting = array("i", [0])
    ioctl(descriptor, termios.FIONREAD, waiting)
    return waiting[0] > 0
