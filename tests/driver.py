"""Drives a session by hand: its questions are answered from a table, or stay open until a test answers them."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, TypeAlias

from refusals import without_ids

from fastsmtp.smtp.address import Address
from fastsmtp.smtp.counters import ReplyCounter
from fastsmtp.smtp.effects import Answer, Ask, ClientChanged, Ended, Flush, Stage, StartTls
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.replies import Reply, defer, reject
from fastsmtp.smtp.session import Session
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection, Mailbox, Recipient, Transaction
from fastsmtp.stats import Stats

Answering: TypeAlias = Answer | Callable[[Ask], Answer]

WAIT: Final = Reply(450, "4.0.0", "this is never said: the question stays open")
STORED: Final = Reply(250, "2.0.0", "stored")
NO: Final = reject("5.7.1", "no")
LATER: Final = defer("4.7.1", "later")
START: Final = "354 End data with <CR><LF>.<CR><LF>"
MESSAGE: Final = "Subject: hello\r\n\r\ntext\r\n."


def accept_everybody(ask: Ask) -> Answer:
    """Whatever RCPT names is a user of ours."""
    assert isinstance(ask.subject, Address)
    return Recipient(ask.subject, (Mailbox("example.test", ask.subject.folded_local),))


class Driver:
    """One session. `answers` by stage; RCPT accepts and QUEUE stores where they say nothing else.

    `change` answers a change of the client, who was `previous`. `happened` has what the session asked and told, in
    order; `ended` the transactions that are over.
    """

    def __init__(self, answers: Mapping[Stage, Answering] | None = None, **options: Any) -> None:
        self.answers: dict[Stage, Answering] = {Stage.RCPT: accept_everybody, Stage.QUEUE: STORED, **(answers or {})}
        self.happened: list[Stage | str] = []
        self.change: Reply | None = None
        self.previous: Connection | None = None
        self.ended: list[Transaction] = []
        self.discarded = 0
        self.stats = Stats()
        self.connection = Connection("C1", "192.0.2.1", 1025, "192.0.2.25", 25)
        self.session = Session(
            SessionOptions("mx.example.test", asks=frozenset(self.answers), **options),
            self.connection,
            ReplyCounter(self.stats),
            (f"T{number}" for number in count(1)),
        )

    def open(self) -> str:
        """Connect; what the server says first."""
        self.session.open()
        return self.run()

    def say(self, *lines: str) -> str:
        """Send lines in one portion; what the server says, without its last CRLF."""
        return self.feed("".join(f"{line}\r\n" for line in lines).encode())

    def feed(self, data: bytes) -> str:
        """Send exactly these bytes."""
        self.session.feed(data)
        return self.run()

    def resume(self, answer: Answer) -> str:
        """Answer the question that is out."""
        self.session.resume(answer)
        return self.run()

    def secure(self, facts: TlsFacts) -> str:
        """The handshake is complete."""
        self.session.secured(facts)
        return self.run()

    def lose(self) -> str:
        """The client goes."""
        self.session.lose()
        return self.run()

    def greet(self) -> "Driver":
        """Connect and say EHLO."""
        self.open()
        self.say("EHLO client.example")
        return self

    def envelope(self) -> "Driver":
        """Greet, then MAIL and RCPT."""
        self.greet().say("MAIL FROM:<ann@example.org>", "RCPT TO:<alice@example.test>")
        return self

    def data(self) -> "Driver":
        """All of that, then DATA."""
        self.envelope().say("DATA")
        return self

    def count(self, verb: str, class_: str) -> int:
        """Replies to this verb of this class."""
        family = next(family for family in self.stats.families() if family.name == "fastsmtp_replies_total")
        return self.stats.cells[family.children[verb, class_]]

    def run(self) -> str:
        """Let the session go on as far as it can."""
        said = b""
        while (effect := self.session.advance()) is not None:
            if isinstance(effect, Flush):
                said += self.session.take_output()
                continue
            if isinstance(effect, Ended):
                self.happened.append(effect.transaction.outcome)
                self.ended.append(effect.transaction)
                continue
            if isinstance(effect, StartTls):
                self.happened.append("starttls")
                self.discarded = effect.discarded
                break
            if isinstance(effect, ClientChanged):
                self.happened.append("client changed")
                self.previous = effect.previous
                self.session.resume(self.change)
                continue
            self.happened.append(effect.stage)
            answering = self.answers[effect.stage]
            answer = answering(effect) if callable(answering) else answering
            if answer is WAIT:
                break
            self.session.resume(answer)
        said += self.session.take_output()
        return without_ids(said).decode("ascii").removesuffix("\r\n")
