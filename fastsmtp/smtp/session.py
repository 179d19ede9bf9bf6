"""One SMTP session, sans-I/O: bytes in, bytes out, and questions in between.

    session.open(); session.feed(data)
    while (effect := session.advance()) is not None:
        ...                                     an Ask is answered with session.resume(answer)
    transport.write(session.take_output())

The session asks only about the stages in `SessionOptions.asks`; everywhere else the default reply is given at once.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from fastsmtp import _parser
from fastsmtp.smtp import replies
from fastsmtp.smtp.anytime import any_verb
from fastsmtp.smtp.auth import auth, take_response, take_response_fault
from fastsmtp.smtp.bdat import bdat, end_of_chunk, end_of_dropped_chunk
from fastsmtp.smtp.counters import ReplyCounter
from fastsmtp.smtp.data import data, end_of_data, take_piece
from fastsmtp.smtp.dialogue import Dialogue, Verb
from fastsmtp.smtp.door import ask_at_door, greet
from fastsmtp.smtp.effects import FLUSH, Answer, Effect
from fastsmtp.smtp.envelope import hello, mail, rcpt, rset
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.starttls import forget, starttls
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection
from fastsmtp.smtp.transitions import State
from fastsmtp.smtp.xclient import xclient

__all__ = ["Session"]

HANDLERS: Final[Mapping[bytes, Verb]] = {
    b"HELO": hello,
    b"EHLO": hello,
    b"LHLO": hello,
    b"MAIL": mail,
    b"RCPT": rcpt,
    b"DATA": data,
    b"BDAT": bdat,
    b"RSET": rset,
    b"NOOP": any_verb,
    b"VRFY": any_verb,
    b"HELP": any_verb,
    b"QUIT": any_verb,
    b"STARTTLS": starttls,
    b"AUTH": auth,
}
"""What answers a verb where the table of transitions permits it."""

_LINE_FAULTS: Final[Mapping[_parser.LineFault, Reply]] = {
    _parser.LineFault.TOO_LONG: replies.LINE_TOO_LONG,
    _parser.LineFault.BARE_LF: replies.BAD_LINE_END,
    _parser.LineFault.BAD_BYTES: replies.BAD_BYTES,
    _parser.LineFault.CHUNK_LOST: replies.CHUNK_LOST,
    _parser.LineFault.TOO_MANY: replies.TOO_MANY_COMMANDS,
}

_REPLIES_TOGETHER: Final = 128
"""Commands are much shorter than replies: what comes in one read may be answered with twenty times as much."""

# 14 ns instead of 208 through the class (CPython 3.11), for every command
_MESSAGE, _CHUNKS, _SASL = State.MESSAGE, State.CHUNKS, State.SASL
_END, _END_OF_CHUNK = _parser.DataEnd.END, _parser.DataEnd.CHUNK


class Session(Dialogue):
    """The dialogue with one client, as the outside drives it."""

    def __init__(
        self, options: SessionOptions, connection: Connection, counter: ReplyCounter, transaction_ids: Iterator[str]
    ) -> None:
        super().__init__(options, connection, counter, transaction_ids)
        self._draining = self._finishes = False

    @property
    def is_waiting(self) -> bool:
        """Whether an Ask is out; input is kept, unparsed, until `resume`."""
        return self._continue is not None

    @property
    def in_message(self) -> bool:
        """Whether input is message data: the longer deadline of RFC 5321 section 4.5.3.2.5 holds."""
        return self.state is _MESSAGE

    @property
    def pending_input(self) -> int:
        """Octets that were fed and not looked at yet."""
        return self._parser.pending

    def feed(self, data: bytes) -> None:
        """Take what the network gave."""
        self._parser.feed(data)

    def open(self) -> None:
        """The client is connected: ask about it, or greet it."""
        ask_at_door(self, greet)

    def turn_away(self, reply: Reply) -> None:
        """Say this, whatever the state is, and close; a question that is out is forgotten."""
        self._continue = None
        self.verb = b"shutdown"
        self.reply(reply)

    def advance(self) -> Effect | None:
        """Go on until the world is needed. None: the input is used up, an Ask is out, or the session is over."""
        while True:
            effect = self._effect
            if effect is not None:
                self._effect = None
                return effect
            if self._continue is not None:
                return None
            if self.closing:
                if self.transaction is None:
                    return None
                self.end("lost")
            elif self.state is _MESSAGE:
                piece = self._parser.next_data()
                if piece is None:
                    return None
                if isinstance(piece, bytes):
                    take_piece(self, piece)
                elif piece is _END:
                    end_of_data(self)
                elif piece is _END_OF_CHUNK:
                    end_of_chunk(self)
                else:
                    end_of_dropped_chunk(self)
            elif self._draining and not self._goes_on():
                self.turn_away(replies.SHUTTING_DOWN)
            elif len(self._output) >= _REPLIES_TOGETHER:
                return FLUSH
            else:
                line = self._parser.next_command()
                if line is None:
                    return None
                if isinstance(line, tuple):
                    verb, argument = line
                    self._take_command(verb, argument)
                elif isinstance(line, bytes):
                    take_response(self, line)
                elif self.state is _SASL:
                    take_response_fault(self, line)
                else:
                    self.verb = b"bad_line"
                    self.error(_LINE_FAULTS[line])

    def resume(self, answer: Answer) -> None:
        """Answer the Ask that is out."""
        go_on = self._continue
        if go_on is None:
            raise RuntimeError("nothing was asked")
        self._continue = None
        go_on(self, answer)

    def secured(self, facts: TlsFacts) -> None:
        """The handshake is complete: the answer to StartTls, or (without one) what comes before `open`."""
        forget(self)
        self._continue = None
        self.connection.tls = facts

    def take_output(self) -> bytes:
        """What is to be written now; replies to pipelined commands leave together (RFC 2920 section 3.2)."""
        output = self._output
        joined = b"".join(output)
        output.clear()
        return joined

    def time_out(self, reply: Reply = replies.TIMED_OUT) -> None:
        """The client took too long: say so and close (RFC 5321 section 4.5.3.2)."""
        self.verb = b"timeout"
        self.reply(reply)

    def shed_message(self) -> None:
        """Refuse the message that is arriving, at its end, and hold no more of it."""
        self.reception.shed()

    def drain(self, *, finishing: bool = False) -> None:
        """Take no further command; a message that is arriving may still be finished (section 3.8).

        With `finishing` a transaction that has begun may be.
        """
        self._draining = True
        self._finishes = finishing

    def _goes_on(self) -> bool:
        """Whether a command may come although we drain."""
        return self.transaction is not None if self._finishes else self.state is _CHUNKS

    def lose(self) -> None:
        """The client is gone: an incomplete message is nothing, a complete one is finished without an answer."""
        self.closing = True

    def _take_command(self, verb: bytes, argument: bytes) -> None:
        self.verb = verb
        row = self.transitions[self.state]
        target = row.get(verb)
        if isinstance(target, Reply):
            self.error(target)
        elif target is None:
            # In no row, since it is for those alone whom the listener trusts; for others nobody knows it.
            answer = xclient if verb == b"XCLIENT" and self.options.xclient else any_verb
            answer(self, argument)
        else:
            HANDLERS[verb](self, argument)
