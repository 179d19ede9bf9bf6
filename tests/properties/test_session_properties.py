"""Random walks over commands against a model of the transaction state, and bytes that are no SMTP at all."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from driver import Driver, accept_everybody
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.address import Address
from fastsmtp.smtp.effects import Answer, Ask, Stage
from fastsmtp.smtp.replies import USER_UNKNOWN, Reply, reject

RECIPIENTS: Final = 2
ERRORS: Final = 6
MESSAGE_SIZE: Final = 200


def answer_rcpt(ask: Ask) -> Answer:
    assert isinstance(ask.subject, Address)
    return USER_UNKNOWN if ask.subject.local == "nobody" else accept_everybody(ask)


def new_session() -> Driver:
    """A session with tight limits, in which `nobody` is no user."""
    driver = Driver({Stage.RCPT: answer_rcpt}, recipients=RECIPIENTS, errors=ERRORS, message_size=MESSAGE_SIZE)
    driver.open()
    return driver


@dataclass
class Model:
    """What RFC 5321 and RFC 3030 say about the state, in a few variables. Each method gives the code of the reply.

    `octets` are those of the chunks that have come, None where none has; `refused` is the code that further chunks of a
    refused message get.
    """

    greeting: str = ""
    has_sender: bool = False
    recipients: int = 0
    octets: int | None = None
    refused: int = 0
    errors: int = 0
    stored: int = 0
    closed: bool = False

    def error(self, code: int) -> int:
        self.errors += 1
        if self.errors <= ERRORS:
            return code
        self.closed = True
        return 421

    def reset(self) -> None:
        self.has_sender, self.recipients, self.octets = False, 0, None

    def hello(self, verb: str) -> int:
        self.reset()
        self.refused = 0
        self.greeting = verb
        return 250

    def mail(self, refusal: int = 0, *, is_error: bool = True) -> int:
        if not self.greeting or self.has_sender:
            return self.error(503)
        if refusal:
            return self.error(refusal) if is_error else refusal
        self.has_sender = True
        self.refused = 0
        return 250

    def mail_too_big(self) -> int:
        return self.mail(552, is_error=False) if self.greeting == "EHLO" else self.mail(555)

    def rcpt(self, *, exists: bool) -> int:
        if not self.has_sender or self.octets is not None:
            return self.error(503)
        if self.recipients == RECIPIENTS:
            return 452
        if not exists:
            return 550
        self.recipients += 1
        return 250

    def rcpt_malformed(self) -> int:
        return self.error(501 if self.has_sender and self.octets is None else 503)

    def data(self) -> int:
        if not self.has_sender or self.octets is not None:
            return self.error(503)
        return 354 if self.recipients else self.error(554)

    def data_with_argument(self) -> int:
        return self.error(501) if self.recipients and self.octets is None else self.data()

    def chunk(self, octets: int, *, is_last: bool = False, is_sound: bool = True) -> int:
        if self.refused:
            return self.refuse_chunk(self.refused, is_last=is_last)
        wrong = (
            (503 if not self.has_sender else 0)
            or (554 if not self.recipients else 0)
            or (502 if self.greeting == "HELO" else 0)
            or (501 if not is_sound else 0)
        )
        if wrong:
            self.refuse_chunk(wrong, is_last=is_last)
            return self.error(wrong)
        self.octets = (self.octets or 0) + octets
        if self.octets > MESSAGE_SIZE:
            return self.refuse_chunk(552, is_last=is_last)
        return self.message(too_big=False) if is_last else 250

    def refuse_chunk(self, code: int, *, is_last: bool) -> int:
        self.reset()
        self.refused = code if self.greeting and not is_last else 0
        return code

    def message(self, *, too_big: bool) -> int:
        self.reset()
        self.stored += not too_big
        return 552 if too_big else 250

    def rset(self) -> int:
        self.reset()
        self.refused = 0
        return 250

    def lost_chunk(self) -> int:
        code = self.error(501)
        return self.leave(code)

    def leave(self, code: int) -> int:
        self.closed = True
        return code


COMMANDS: Final[Mapping[str, Callable[[Model], int]]] = {
    "EHLO client.example": lambda model: model.hello("EHLO"),
    "HELO client.example": lambda model: model.hello("HELO"),
    "HELO two words": lambda model: model.error(501),
    "MAIL FROM:<ann@example.org>": Model.mail,
    "MAIL FROM:<>": Model.mail,
    "MAIL FROM:ann": lambda model: model.mail(501),
    "MAIL FROM:<ann@example.org> X=1": lambda model: model.mail(555),
    f"MAIL FROM:<ann@example.org> SIZE={MESSAGE_SIZE + 1}": Model.mail_too_big,
    "RCPT TO:<alice@example.test>": lambda model: model.rcpt(exists=True),
    "RCPT TO:<nobody@example.test>": lambda model: model.rcpt(exists=False),
    "RCPT TO:<>": Model.rcpt_malformed,
    "DATA": Model.data,
    "DATA x": Model.data_with_argument,
    # The CRLF behind the line is the end of the chunk.
    "BDAT 2\r\n": lambda model: model.chunk(2),
    "BDAT 8\r\nQUIT\r\n": lambda model: model.chunk(8),
    "BDAT 6 LAST\r\n\r\n..": lambda model: model.chunk(6, is_last=True),
    "BDAT 2 LAST\r\n": lambda model: model.chunk(2, is_last=True),
    "BDAT 2 FIRST\r\n": lambda model: model.chunk(2, is_sound=False),
    "BDAT 102\r\n" + "RSET\r\n" * 16 + "RSET": lambda model: model.chunk(102),
    f"BDAT {MESSAGE_SIZE + 2} LAST\r\n" + "x" * MESSAGE_SIZE: lambda model: model.chunk(MESSAGE_SIZE + 2, is_last=True),
    "BDAT LAST": lambda model: model.lost_chunk(),
    "BDAT 18446744073709551616": lambda model: model.lost_chunk(),
    "BDAT 5\0": lambda model: model.lost_chunk(),
    "RSET": Model.rset,
    "RSET x": lambda model: model.error(501),
    "NOOP": lambda _: 250,
    "VRFY alice": lambda _: 252,
    "VRFY": lambda model: model.error(501),
    "EXPN staff": lambda model: model.error(502),
    "XYZZY": lambda model: model.error(500),
    "NO\nOP": lambda model: model.error(500),
    "NOOP\0": lambda model: model.error(501),
    "GET /": lambda model: model.leave(421),
    "QUIT": lambda model: model.leave(221),
}
MESSAGES: Final = ["", "Subject: x\r\n\r\ntext\r\n", "QUIT\r\nRSET\r\n", "Subject: x\r\n\r\n" + "MAIL FROM:<>\r\n" * 20]


# A walk of single commands would hardly ever get to DATA.
EHLO, MAIL, RCPT = "EHLO client.example", "MAIL FROM:<ann@example.org>", "RCPT TO:<alice@example.test>"
STRETCHES: Final = [
    [EHLO, MAIL],
    [MAIL, RCPT],
    [RCPT] * 3,
    [MAIL, RCPT, "DATA"],
    [EHLO, MAIL, RCPT, RCPT, RCPT, "DATA"],
    [EHLO, MAIL, RCPT, "BDAT 2\r\n"],
    [EHLO, MAIL, RCPT, "BDAT 102\r\n" + "RSET\r\n" * 16 + "RSET"],
]
stretches = st.sampled_from(STRETCHES) | st.sampled_from([*COMMANDS]).map(lambda line: [line])
walks = st.lists(st.tuples(stretches, st.sampled_from(MESSAGES)), max_size=15).map(
    lambda walk: [(line, message) for lines, message in walk for line in lines]
)


def codes(said: str) -> list[int]:
    """The code of every reply."""
    return [int(line[:3]) for line in said.splitlines() if line[3:4] != "-"]


def check(driver: Driver, model: Model) -> None:
    """The transaction is as the model says: intact or gone, never half of it."""
    session = driver.session
    assert session.closing is model.closed
    assert driver.happened.count("stored") == model.stored
    if not model.closed:
        transaction = session.transaction
        assert (transaction is not None) is model.has_sender
        assert (len(transaction.recipients) if transaction else 0) == model.recipients


@st.composite
def portions(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in portions, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(walks, st.data())
def test_a_walk_goes_where_the_model_goes(walk: list[tuple[str, str]], data: st.DataObject) -> None:
    driver, model = new_session(), Model()
    sent, said = b"", ""
    for line, message in walk:
        if model.closed:
            break
        heard = driver.say(line)
        expected = COMMANDS[line](model)
        assert codes(heard) == [expected], line
        sent += f"{line}\r\n".encode()
        said += heard + "\r\n"
        check(driver, model)
        if expected == 354:
            heard = driver.feed(f"{message}.\r\n".encode())
            assert codes(heard) == [model.message(too_big=len(message) > MESSAGE_SIZE)]
            sent += f"{message}.\r\n".encode()
            said += heard + "\r\n"
            check(driver, model)
    for parts in ([sent], data.draw(portions(sent))):
        again = new_session()
        heard = "".join(f"{heard}\r\n" for portion in parts if (heard := again.feed(portion)))
        assert heard == said
        check(again, model)


SOUP: Final = [
    *(f"{line}\r\n".encode() for line in COMMANDS),
    *("\r\n".join([*lines, ""]).encode() for lines in STRETCHES * 2),
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b".",
        b".\r\n",
        b"\r\n.\r\n",
        b"\n.\n",
        b" ",
        b"\t",
        b"\0",
        b"\xff",
        b"BDAT 3 LAST\r\n",
        b"BDAT 7\r\n",
        b"BDAT 0\r\n",
        b"BDAT ",
        b"<",
        b">",
        b'"',
        b"@",
    ),
    "MAIL FROM:<jürgen@bücher.example> SMTPUTF8\r\n".encode(),
    b"x" * 600,
]
soup = st.lists(st.sampled_from(SOUP) | st.binary(max_size=8), max_size=40).map(b"".join)
REPLY_LINE: Final = re.compile(r"[2-5][0-9]{2}[ -][ -~]*\Z")


@given(soup, st.sampled_from(["reject", "normalize"]), st.sampled_from([None, reject("5.6.0", "refused")]), st.data())
def test_whatever_comes_the_replies_are_replies(
    wire: bytes, bare_newline: str, to_headers: Reply | None, data: st.DataObject
) -> None:
    outputs = []
    for parts in ([wire], [wire[i : i + 1] for i in range(len(wire))], data.draw(portions(wire))):
        driver = Driver(
            {Stage.RCPT: answer_rcpt, Stage.VERB: None, Stage.HEADERS: to_headers, Stage.MESSAGE: None},
            recipients=RECIPIENTS,
            command_line=512,
            bare_newline=bare_newline,
        )
        said = [driver.open(), *filter(None, map(driver.feed, parts)), *filter(None, [driver.lose()])]
        lines = "\r\n".join(said).split("\r\n")
        assert all(REPLY_LINE.match(line) and len(line) <= 510 for line in lines), lines
        assert driver.session.transaction is None
        outputs.append((lines, [(end.outcome, bytes(end.message)) for end in driver.ended]))
    assert outputs[0] == outputs[1] == outputs[2]
