"""One SMTP session, sans-I/O: bytes in, bytes out, and questions in between.

    session.open(); session.feed(data)
    while (effect := session.advance()) is not None:
        ...                                     an Ask is answered with session.resume(answer)
    transport.write(session.take_output())

The session asks only about the stages in `SessionOptions.asks`; everywhere else the default reply is given at once.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final

from fastsmtp import _parser
from fastsmtp.smtp import replies
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.commands import CommandError, Mail, parse_hello, parse_mail, parse_rcpt
from fastsmtp.smtp.counters import ReplyCounter
from fastsmtp.smtp.effects import Answer, Ask, Effect, Ended, Stage, VerbLine
from fastsmtp.smtp.message import Message, SpoolError
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import (
    REFUSALS_KEPT,
    Connection,
    Hello,
    Recipient,
    Transaction,
    TransactionOutcome,
)
from fastsmtp.smtp.transitions import TRANSITIONS, State

__all__ = ["Session"]

_LINE_FAULTS: Final[Mapping[_parser.LineFault, Reply]] = {
    _parser.LineFault.TOO_LONG: replies.LINE_TOO_LONG,
    _parser.LineFault.BARE_LF: replies.BAD_LINE_END,
    _parser.LineFault.BAD_BYTES: replies.BAD_BYTES,
}

_NO_MESSAGE: Final = Message()

# Nobody needs these, so plugins may have them (the hook `on_verb`), as they may have every unknown verb.
_VERBS_OF_PLUGINS: Final = frozenset({b"VRFY", b"HELP", b"NOOP", b"QUIT"})

_HELP: Final = Reply(
    214, "2.0.0", "Commands: HELO EHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT\nThis is fastsmtp; see RFC 5321"
)

# Reaching a member through its class costs 208 ns in CPython 3.11, a name of the module 14 ns; every command does it.
_CONNECTED, _GREETED, _SENDER, _RECIPIENTS, _MESSAGE, _CLOSED = State
_ON_CONNECT, _ON_HELLO, _ON_MAIL, _ON_RCPT, _ON_DATA, _ON_HEADERS, _ON_MESSAGE, _ON_QUEUE = tuple(Stage)[:8]
_ON_VERB: Final = Stage.VERB


class Session:
    """The dialogue with one client. `transaction_ids` gives each mail transaction its name."""

    def __init__(
        self, options: SessionOptions, connection: Connection, counter: ReplyCounter, transaction_ids: Iterator[str]
    ) -> None:
        self.options = options
        self.connection = connection
        self.state = _CONNECTED
        self.transaction: Transaction | None = None
        self.closing = False
        self._asks = options.asks
        self._room = options.room
        self._counter = counter
        self._ids = transaction_ids
        self._parser = _parser.Parser(
            line_bytes=options.command_line,
            message_limit=options.message_size,
            header_limit=options.header_size,
        )
        self.feed = self._parser.feed  # take what the network gave: the parser's own method, no frame in between
        self._output: list[bytes] = []
        self._effect: Effect | None = None  # one at a time: nothing goes on before it was taken
        self._continue: Callable[[Answer], None] | None = None
        self._verb = b"connect"
        self._errors = 0
        self._refusal: Reply | None = None
        self._message = _NO_MESSAGE
        self._draining = False

    # --- the seam: what the outside calls ----------------------------------------------------------------------------

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

    def open(self) -> None:
        """The client is connected: ask about it, or greet it."""
        if _ON_CONNECT in self._asks:
            self._ask(Ask(_ON_CONNECT), self._connect_answered)
        else:
            self._reply(self.options.greeting)

    def turn_away(self, reply: Reply) -> None:
        """Say this, whatever the state is, and close; a question that is out is forgotten."""
        self._continue = None
        self._verb = b"shutdown"
        self._reply(reply)

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
                self._end("lost")
            elif self.state is _MESSAGE:
                piece = self._parser.next_data()
                if piece is None:
                    return None
                if isinstance(piece, bytes):
                    self._take_piece(piece)
                else:
                    self._end_of_data()
            elif self._draining:
                self.turn_away(replies.SHUTTING_DOWN)
            else:
                line = self._parser.next_command()
                if line is None:
                    return None
                if isinstance(line, tuple):
                    self._take_command(*line)
                else:
                    self._verb = b"bad_line"
                    self._error(_LINE_FAULTS[line])

    def resume(self, answer: Answer) -> None:
        """Answer the Ask that is out."""
        go_on = self._continue
        if go_on is None:
            raise RuntimeError("nothing was asked")
        self._continue = None
        go_on(answer)

    def take_output(self) -> bytes:
        """What is to be written now; replies to pipelined commands leave together (RFC 2920 section 3.2)."""
        output = self._output
        joined = b"".join(output)
        output.clear()
        return joined

    def time_out(self) -> None:
        """The client took too long: say so and close (RFC 5321 section 4.5.3.2)."""
        self._verb = b"timeout"
        self._reply(replies.TIMED_OUT)

    def drain(self) -> None:
        """Take no further command; a message that is arriving may still be finished (section 3.8)."""
        self._draining = True

    def lose(self) -> None:
        """The client is gone: an incomplete message is nothing, a complete one is finished without an answer."""
        self.closing = True

    # --- commands ----------------------------------------------------------------------------------------------------

    def _take_command(self, verb: bytes, argument: bytes) -> None:
        self._verb = verb
        target = TRANSITIONS[self.state].get(verb)
        if isinstance(target, Reply):
            self._error(target)
        elif target is None or verb in _VERBS_OF_PLUGINS:
            if _ON_VERB in self._asks:
                line = VerbLine(verb.decode("ascii", "replace"), argument.decode("utf-8", "replace"))
                self._ask(Ask(_ON_VERB, line), lambda answer: self._verb_answered(answer, argument))
            else:
                self._verb_answered(None, argument)
        else:
            self._HANDLERS[verb](self, argument)

    def _verb_answered(self, answer: Answer, argument: bytes) -> None:
        verb = self._verb
        if isinstance(answer, Reply) and verb != b"QUIT":
            self._reply(answer)
        elif verb == b"QUIT":
            self._quit(argument)
        elif verb == b"NOOP":
            self._reply(replies.OK)
        elif verb == b"HELP":
            self._reply(_HELP)
        elif verb == b"VRFY":
            # The same for every name: nobody learns who exists (section 7.3).
            self._reply(replies.CANNOT_VRFY) if argument else self._error(replies.NEEDS_ARGUMENT)
        else:
            self._error(replies.UNKNOWN_COMMAND)

    def _quit(self, argument: bytes) -> None:
        if argument:
            self._error(replies.NO_ARGUMENT)
            return
        self._end("reset")
        self._reply(replies.BYE)

    def _hello(self, argument: bytes) -> None:
        try:
            name = parse_hello(argument)
        except CommandError as error:
            self._error(error.reply)
            return
        hello = Hello(self._verb.decode(), name, {} if self._verb == b"HELO" else dict(self.options.extensions))
        if _ON_HELLO in self._asks:
            self._ask(Ask(_ON_HELLO, hello), lambda answer: self._hello_answered(hello, answer))
        else:
            self._hello_answered(hello, None)

    def _hello_answered(self, hello: Hello, answer: Answer) -> None:
        if isinstance(answer, Reply) and not answer.is_positive:
            self._reply(answer)
            return
        self._end("reset")  # a second EHLO is a RSET (section 4.1.4)
        self.connection.hello = hello
        self.state = _GREETED
        if hello.verb == "HELO":
            self._reply(self.options.helo_reply)
        elif hello.extensions == self.options.extensions:
            self._reply(self.options.ehlo_reply)
        else:
            self._reply(self.options.list_extensions(hello.extensions))

    def _mail(self, argument: bytes) -> None:
        hello = self.connection.hello
        try:
            mail = parse_mail(argument, hello.extensions if hello else {})
        except CommandError as error:
            self._error(error.reply)
            return
        if (mail.parameters.size or 0) > self.options.message_size:
            self._reply(replies.MESSAGE_TOO_BIG)  # RFC 1870 section 6.1: before the message is sent
            return
        transaction = self._begin(mail)
        if _ON_MAIL in self._asks:
            self._ask(Ask(_ON_MAIL, transaction.sender), self._mail_answered)
        else:
            self._mail_answered(None)

    def _begin(self, mail: Mail) -> Transaction:
        transaction = Transaction(
            next(self._ids),
            self.connection,
            mail.sender,
            mail.parameters.size,
            mail.parameters.body,
            mail.parameters.smtputf8,
        )
        self.transaction = transaction
        return transaction

    def _mail_answered(self, answer: Answer) -> None:
        reply = answer if isinstance(answer, Reply) else replies.SENDER_OK
        if not reply.is_positive:
            self._conclude(reply)
            return
        self.state = _SENDER
        self._reply(reply)

    def _rcpt(self, argument: bytes) -> None:
        transaction = self._open_transaction()
        try:
            recipient = parse_rcpt(argument, smtputf8=transaction.smtputf8)
        except CommandError as error:
            self._error(error.reply)
            return
        if len(transaction.recipients) >= self.options.recipients:
            self._reply(replies.TOO_MANY_RECIPIENTS)
            return
        if _ON_RCPT in self._asks:
            self._ask(Ask(_ON_RCPT, recipient), lambda answer: self._rcpt_answered(recipient, answer))
        else:
            self._rcpt_answered(recipient, None)

    def _rcpt_answered(self, address: Address, answer: Answer) -> None:
        transaction = self._open_transaction()
        if isinstance(answer, Recipient):
            transaction.recipients.append(answer)
            self.state = _RECIPIENTS
            self._reply(answer.reply)
            return
        # Nobody accepted it: nobody knows where it would go.
        reply = answer if isinstance(answer, Reply) and not answer.is_positive else replies.RELAYING_DENIED
        if len(transaction.refusals) < REFUSALS_KEPT:
            transaction.refusals.append((address, reply))
        self._reply(reply)

    def _data(self, argument: bytes) -> None:
        if argument:
            self._error(replies.NO_ARGUMENT)
        elif _ON_DATA in self._asks:
            self._ask(Ask(_ON_DATA), self._data_answered)
        else:
            self._data_answered(None)

    def _data_answered(self, answer: Answer) -> None:
        if isinstance(answer, Reply) and not answer.is_positive:
            self._conclude(answer)
            return
        transaction = self._open_transaction()
        declared = transaction.declared_size
        if declared is not None and declared * len(transaction.recipients) > self._room.octets:
            self._conclude(replies.STORE_FULL)
            return
        self._parser.start_data()
        self._message = transaction.message
        if self.options.make_spool is not None:
            self._message.spool_above(self.options.spool_above, self.options.make_spool)
        self._refusal = None
        self.state = _MESSAGE
        self._reply(replies.START_DATA)

    def _rset(self, argument: bytes) -> None:
        if argument:
            self._error(replies.NO_ARGUMENT)
            return
        self._end("reset")
        if self.state is not _CONNECTED:
            self.state = _GREETED
        self._reply(replies.FLUSHED)

    # --- the message -------------------------------------------------------------------------------------------------

    def _take_piece(self, piece: bytes) -> None:
        message = self._message
        try:
            message.append(piece)
        except SpoolError as error:
            self._refuse_data(error.reply)
            return
        if not message.header_complete and self._parser.header_complete:
            message.header_complete = True
            if _ON_HEADERS in self._asks:
                self._ask(Ask(_ON_HEADERS), self._headers_answered)

    def _headers_answered(self, answer: Answer) -> None:
        if isinstance(answer, Reply) and not answer.is_positive:
            self._refuse_data(answer)

    def _refuse_data(self, reply: Reply) -> None:
        """Say so at the true end: after an answer before it, the rest of the message would be commands."""
        self._refusal = reply
        self._parser.discard_data()

    def _end_of_data(self) -> None:
        self._verb = b"message"
        message = self._message
        message.size = self._parser.size
        refusal = self._refusal
        if refusal is None and self._parser.too_big:
            refusal = replies.MESSAGE_TOO_BIG
        if refusal is None and self._parser.bare_newline and self.options.bare_newline == "reject":
            refusal = replies.BARE_NEWLINE
        if refusal is None and message.size * len(self._open_transaction().recipients) > self._room.octets:
            refusal = replies.STORE_FULL
        if refusal is None and message.spool is not None:
            try:
                message.finish()
            except SpoolError as error:
                refusal = error.reply
        if refusal is not None:
            self._conclude(refusal)
        elif not message.header_complete and _ON_HEADERS in self._asks:
            # No empty line came: all of it is header, and only now is that known.
            message.header_complete = True
            self._ask(Ask(_ON_HEADERS), self._late_headers_answered)
        else:
            message.header_complete = True
            self._ask_message()

    def _late_headers_answered(self, answer: Answer) -> None:
        if isinstance(answer, Reply) and not answer.is_positive:
            self._conclude(answer)
        else:
            self._ask_message()

    def _ask_message(self) -> None:
        if _ON_MESSAGE in self._asks:
            self._ask(Ask(_ON_MESSAGE), self._message_answered)
        else:
            self._message_answered(None)

    def _message_answered(self, answer: Answer) -> None:
        if isinstance(answer, Reply) and not answer.is_positive:
            self._conclude(answer)
        elif _ON_QUEUE in self._asks:
            self._ask(Ask(_ON_QUEUE), self._queue_answered)
        else:
            self._queue_answered(None)

    def _queue_answered(self, answer: Answer) -> None:
        self._conclude(answer if isinstance(answer, Reply) else replies.NOBODY_TOOK_IT)

    # --- ends --------------------------------------------------------------------------------------------------------

    def _conclude(self, reply: Reply) -> None:
        """The last word on a transaction; afterwards nothing of it is left, whatever the word was (section 4.1.1.4)."""
        self.state = _GREETED
        self._open_transaction().reply = reply
        self._end("stored" if reply.is_positive else "refused" if reply.is_permanent else "deferred")
        self._reply(reply)

    def _end(self, outcome: TransactionOutcome) -> None:
        """Forget the transaction, if there is one, and tell the world."""
        transaction = self.transaction
        if transaction is not None:
            self.transaction = None
            self._message = _NO_MESSAGE  # a client that idles shall not hold its last message in our memory
            transaction.outcome = outcome
            self._effect = Ended(transaction)

    def _connect_answered(self, answer: Answer) -> None:
        if isinstance(answer, Reply) and not answer.is_positive:
            # At the door there are two codes to say no (section 3.1, section 3.8).
            code, enhanced = (554, answer.enhanced) if answer.is_permanent else (421, answer.enhanced)
            self._reply(Reply(code, enhanced, answer.text, closes=True))
        else:
            self._reply(self.options.greeting)

    # --- small change ------------------------------------------------------------------------------------------------

    def _open_transaction(self) -> Transaction:
        if self.transaction is None:
            raise RuntimeError(f"no transaction in state {self.state.name}")  # the table forbids it
        return self.transaction

    def _ask(self, ask: Ask, go_on: Callable[[Answer], None]) -> None:
        self._continue = go_on
        self._effect = ask

    def _reply(self, reply: Reply) -> None:
        self._output.append(reply.wire)
        self._counter.count(self._verb, reply.code)
        if reply.closes:
            self.closing = True
            self.state = _CLOSED

    def _error(self, reply: Reply) -> None:
        """Refuse a command that is wrong in itself; a client that goes on like that is sent away."""
        self._errors += 1
        self._reply(replies.TOO_MANY_ERRORS if self._errors > self.options.errors else reply)

    _HANDLERS: ClassVar[Mapping[bytes, Callable[["Session", bytes], None]]] = {
        b"HELO": _hello,
        b"EHLO": _hello,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
    }
