"""What the verbs of a session have in common: its state, its transaction, and the ways to answer, to ask and to end.

A verb is a function of a dialogue and its argument. It gives one reply, or asks and gives it when it is resumed.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from fastsmtp import _parser
from fastsmtp.smtp import replies
from fastsmtp.smtp.address import NULL_SENDER
from fastsmtp.smtp.counters import ReplyCounter
from fastsmtp.smtp.effects import Answer, Ask, ClientChanged, Effect, Ended, Stage, StartTls
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.reception import Reception
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.sasl import RESPONSE_LINE_BYTES, Exchange, encode_challenge
from fastsmtp.smtp.transaction import REFUSALS_KEPT, Connection, Transaction, TransactionOutcome
from fastsmtp.smtp.transitions import State, table_of

__all__ = ["Dialogue", "Resumed", "Verb"]

_CONNECTED, _GREETED, _CLOSED = State.CONNECTED, State.GREETED, State.CLOSED


class Dialogue:
    """One client's. `verb` is the command that is being answered; `asks` are the stages that somebody wants to hear of.
    `extensions` are what this client is offered, in the state of its encryption.

    `candidate` is the recipient who is being asked about.
    `exchange` is the authentication that is under way, `wrong_passwords` are those of all of them.

    `transaction` is None outside of one; `transaction_ids` gives each its name.
    """

    def __init__(
        self, options: SessionOptions, connection: Connection, counter: ReplyCounter, transaction_ids: Iterator[str]
    ) -> None:
        self.options = options
        self.connection = connection
        self.transitions = table_of(options.protocol, tls_first=options.requires_tls)
        self.state = _CONNECTED
        self.transaction: Transaction | None = None
        self.closing = False
        self.verb = b"connect"
        self.asks: frozenset[Stage] = options.asks
        self.extensions = options.extensions
        self.candidate = NULL_SENDER
        self.ids = transaction_ids
        self._counter = counter
        self._parser = _parser.Parser(
            line_bytes=options.command_line,
            message_limit=options.message_size,
            header_limit=options.header_size,
        )
        self.reception = Reception(self._parser, options)
        self._output: list[bytes] = []
        self._effect: Effect | None = None  # one at a time: nothing goes on before it was taken
        self._continue: Resumed | None = None
        self._parser.permit_commands(options.commands)
        self._errors = self._unknown = self._nonmail = self._messages = 0
        self.exchange: Exchange | None = None
        self.wrong_passwords = 0

    def current(self) -> Transaction:
        """The transaction, in a state that has one."""
        if self.transaction is None:
            raise RuntimeError(f"no transaction in state {self.state.name}")  # the table forbids it
        return self.transaction

    def reply(self, reply: Reply, id_: str = "") -> None:
        """Say this; a refusal with the id under which its story is kept: `id_`, or that of what it is about."""
        self._output.append(reply.wire if reply.code < 400 else self._refuse(reply, id_))
        self._counter.count(self.verb, reply.code)
        if reply.limit:
            self._counter.reach(reply.limit)
        if reply.closes:
            self.closing = True
            self.state = _CLOSED

    def _refuse(self, reply: Reply, id_: str) -> bytes:
        if id_ and self.transaction is None:  # what it is about is over, and has heard this before
            return reply.wire_naming(id_)
        about = self.transaction or self.connection
        if about.refused_commands is None:
            about.refused_commands = []
        if len(about.refused_commands) < REFUSALS_KEPT:
            about.refused_commands.append((self.verb, reply))
        return reply.wire_naming(about.id)

    def error(self, reply: Reply, id_: str = "") -> None:
        """Refuse a command that is wrong in itself; a client that goes on like that is sent away."""
        self._errors += 1
        self.reply(replies.TOO_MANY_ERRORS if self._errors > self.options.errors else reply, id_)

    def unknown(self) -> None:
        """Refuse a command that nobody knows; it is an error, too."""
        self._unknown += 1
        if self._unknown > self.options.unknown_commands:
            self.reply(replies.TOO_MANY_UNKNOWN)
        else:
            self.error(replies.UNKNOWN_COMMAND)

    def permits_talk(self) -> bool:
        """Whether there may be one more command that brings no message on its way; if not, the client was told."""
        self._nonmail += 1
        if self._nonmail > self.options.nonmail_commands > 0:
            self.reply(replies.TOO_MUCH_TALK)
            return False
        return True

    def permits_message(self) -> bool:
        """Whether there may be one more MAIL; if not, the client was told."""
        self._messages += 1
        if self._messages > self.options.messages > 0:
            self.reply(replies.TOO_MANY_MESSAGES)
            return False
        return True

    def count_anew(self) -> None:
        """Another client is there, who has said nothing and sent nothing yet."""
        self._nonmail = self._messages = 0

    def permits_input(self) -> bool:
        """Whether more may have been sent behind a command that has to be the last of its group; if not, it was told.

        RFC 2920 section 3.1: the client cannot know what comes next before it has heard the reply.
        """
        if not self._parser.pending:
            return True
        self.connection.pipelined_too_much = True
        self._counter.pipelined()
        if self.options.pipelining == "lenient":
            return True
        self.reply(replies.PIPELINED_TOO_MUCH)
        return False

    def ask(self, ask: Ask | StartTls | ClientChanged, go_on: "Resumed") -> None:
        """Ask, and go on with `go_on(dialogue, answer)`; no further command is looked at before."""
        self._continue = go_on
        self._effect = ask

    def challenge(self, challenge: bytes) -> None:
        """Say this to a client that authenticates itself; what it says next is its response and no command."""
        self._output.append(encode_challenge(challenge))
        self._counter.count(self.verb, 334)
        self._parser.expect_response(RESPONSE_LINE_BYTES)

    def forget_used_input(self) -> None:
        """Keep nothing of what was read."""
        self._parser.forget_used()

    def discard_input(self) -> int:
        """Throw away what was fed and not looked at; how many octets that is."""
        return self._parser.discard_input()

    def conclude(self, reply: Reply) -> None:
        """The last word on a transaction; afterwards nothing of it is left, whatever the word was (section 4.1.1.4)."""
        self.state = _GREETED
        self.reply(reply)
        self.settle(reply)

    def conclude_message(self, reply: Reply) -> None:
        """The last word on a message; in LMTP one for each recipient, in their order (RFC 2033 section 4.2)."""
        transaction = self.current()
        if not transaction.replies_each:
            self.conclude(reply)
            return
        self._conclude_each(transaction, reply)

    def _conclude_each(self, transaction: Transaction, reply: Reply) -> None:
        said = [recipient.refusal or reply for recipient in transaction.recipients]
        refused = [(one.address, one.refusal) for one in transaction.recipients if one.refusal is not None]
        transaction.refusals += refused[: REFUSALS_KEPT - len(transaction.refusals)]
        self.state = _GREETED
        for one in said:
            self.reply(one)
        # For the record: stored, where one of them has it; else deferred, where one of them may get it yet.
        self.settle(min(said, key=lambda one: one.code))

    def settle(self, reply: Reply) -> None:
        """End the transaction as this reply does, which was given before: a refusal names what it is about."""
        self.current().reply = reply
        if reply.is_positive:
            self._parser.permit_commands(self.options.commands)
            self._nonmail = 0
            self.end("stored")
        else:
            self.end("refused" if reply.is_permanent else "deferred")

    def end(self, outcome: TransactionOutcome) -> None:
        """Forget the transaction, if there is one, and tell the world."""
        transaction = self.transaction
        if transaction is not None:
            self.transaction = None
            self.reception.forget()
            transaction.outcome = outcome
            self._effect = Ended(transaction)


Verb: TypeAlias = Callable[[Dialogue, bytes], None]
"""What answers a command, given its argument."""

Resumed: TypeAlias = Callable[[Any, Answer], None]
"""What goes on when a question was answered; the first argument is the dialogue."""
