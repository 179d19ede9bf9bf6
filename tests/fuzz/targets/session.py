"""Whatever is said in whatever state: replies are replies, messages are those that were sent, cuts do not matter."""

import re
from dataclasses import dataclass
from typing import Any, Final

from driver import WAIT, Driver, accept_everybody
from fuzz.cutting import portions, split
from properties import oracle

from fastsmtp.smtp.address import Address
from fastsmtp.smtp.effects import Answer, Ask, Stage
from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.options import AuthOptions
from fastsmtp.smtp.replies import AUTHENTICATED, USER_UNKNOWN, reject
from fastsmtp.smtp.sasl import Credentials

EHLO: Final = b"EHLO client.example\r\n"
MAIL: Final = EHLO + b"MAIL FROM:<ann@example.org>\r\n"
RCPT: Final = MAIL + b"RCPT TO:<alice@example.test>\r\n"
STATES: Final = (
    b"",
    EHLO,
    b"HELO client.example\r\n",
    MAIL,
    RCPT,
    RCPT + b"RCPT TO:<nobody@example.test>\r\nRCPT TO:<bob@example.test>\r\n",
    RCPT + b"DATA\r\n",
    RCPT + b"BDAT 7\r\n",
    RCPT + b"BDAT 9\r\nSubject: ",
    EHLO + b"MAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<alice@example.test>\r\nBDAT 2\r\n\r\n",
    EHLO + b"AUTH PLAIN\r\n",
    EHLO + b"AUTH LOGIN\r\n",
)
"""What was said before, by the first octet of the input."""
AFTER_DATA: Final = STATES.index(RCPT + b"DATA\r\n")

STORED: Final = "250 2.0.0 stored"
MESSAGE_SIZE: Final = 400

_is_reply_line = re.compile(r"[2-5][0-9]{2}[ -][ -~]*").fullmatch
_chunk_that_ends = re.compile(rb"(?i)bdat[ \t]+[0-9]+[ \t]+last")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a session said, and what became of each transaction; of those that were not stored no message matters."""

    replies: tuple[str, ...]
    ends: tuple[tuple[str, bytes], ...]

    @property
    def stored(self) -> list[bytes]:
        """The messages that were taken."""
        return [message for outcome, message in self.ends if outcome == "stored"]


def check(data: bytes) -> None:
    """The first octet is the state, the second has options, the third is the length of portions."""
    (state, options, where), wire = split(data, 3)
    state %= len(STATES)
    cuts = list(portions(wire, where))
    outcomes = [play(STATES[state], parts, options, is_late=False) for parts in cuts]
    outcomes += [play(STATES[state], parts, options, is_late=True) for parts in (cuts[0], cuts[-1])]
    first = outcomes[0]
    for outcome in outcomes:
        assert outcome == first
    check_replies(first)
    check_messages(STATES[state] + wire, first)
    if state == AFTER_DATA and not options:
        check_first_message(wire, first)


def play(before: bytes, parts: list[bytes], options: int, *, is_late: bool) -> Outcome:
    """A session from its banner to its end; `is_late`: every question is answered after its portion only."""
    asked: list[Ask] = []

    def later(ask: Ask) -> Answer:
        asked.append(ask)
        return WAIT

    stages = [Stage.RCPT, Stage.QUEUE, Stage.AUTH, *([Stage.VERB, Stage.HEADERS, Stage.MESSAGE] if options & 1 else [])]
    driver = Driver(
        {stage: later if is_late else (lambda ask: answer(ask, options)) for stage in stages},
        bare_newline="reject" if options & 2 else "normalize",
        message_size=MESSAGE_SIZE if options & 4 else 26_214_400,
        protocol="lmtp" if options & 8 else "smtp",
        auth=AuthOptions(mechanisms(("PLAIN", "LOGIN")), require_tls=False),
        command_line=512,
        recipients=2,
        errors=6,
    )
    if options & 8:
        before = before.replace(b"EHLO", b"LHLO")
    said = [driver.open()]
    for part in (before, *parts):
        said.append(driver.feed(part))
        while asked:
            said.append(driver.resume(answer(asked.pop(), options)))
    said.append(driver.lose())
    assert driver.session.transaction is None
    replies = "\r\n".join(filter(None, said)).split("\r\n")
    ends = ((end.outcome, bytes(end.message) if end.outcome == "stored" else b"") for end in driver.ended)
    return Outcome(tuple(replies), tuple(ends))


def answer(ask: Ask, options: int) -> Answer:
    """Nobody is no user, one password is right, and a header is refused where the options say so."""
    subject: Any = ask.subject
    if ask.stage is Stage.RCPT:
        assert isinstance(subject, Address)
        return USER_UNKNOWN if subject.local == "nobody" else accept_everybody(ask)
    if ask.stage is Stage.QUEUE:
        return Driver().answers[Stage.QUEUE]  # type: ignore[return-value] # it is the reply STORED
    if ask.stage is Stage.AUTH:
        assert isinstance(subject, Credentials)
        return AUTHENTICATED if subject.password == "secret" else None  # noqa: S105 - that of nobody
    return reject("5.6.0", "refused") if ask.stage is Stage.HEADERS and options & 16 else None


def check_replies(outcome: Outcome) -> None:
    """Lines of at most 512 octets in printable ASCII (RFC 5321 section 4.5.3.1.5); all lines of one have its code."""
    code = ""
    for line in outcome.replies:
        assert _is_reply_line(line), line
        assert len(line) + 2 <= 512
        assert not code or line.startswith(code)
        code = line[:3] if line[3] == "-" else ""
    assert not code


def check_messages(wire: bytes, outcome: Outcome) -> None:
    """There are no more messages than ends of messages, and the client was told of each."""
    ends = wire.count(b"\r\n.\r\n") + len(_chunk_that_ends.findall(wire))
    assert len(outcome.stored) <= ends
    told = sum(line.startswith(STORED) for line in outcome.replies)
    assert len(outcome.stored) <= told <= 2 * len(outcome.stored)  # in LMTP each of two recipients hears it


def check_first_message(wire: bytes, outcome: Outcome) -> None:
    """The message behind DATA is what the oracle reads there."""
    expected = oracle.message(wire)
    assert bool(outcome.stored) >= bool(expected)
    if expected:
        assert outcome.stored[0] == expected.stored
