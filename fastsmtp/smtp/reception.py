"""The message while it is being received: its pieces, into memory or a spool, and why it will be refused, if it will.

A refusal waits for the true end, of the message or of the chunk: after an answer before it, the rest would be commands.
"""

from typing import Final

from fastsmtp import _parser
from fastsmtp.smtp.message import Message, SpoolError
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.smtp.replies import (
    BARE_NEWLINE,
    HEADER_TOO_BIG,
    LOOP,
    MAIL_FIRST,
    MESSAGE_TOO_BIG,
    STORE_FULL,
    TOO_MANY_FIELDS,
    Reply,
)
from fastsmtp.smtp.transitions import Dropped, State

__all__ = ["Reception"]

_NO_MESSAGE: Final = Message()
_NOTHING_DROPPED: Final = Dropped(MAIL_FIRST, State.GREETED)


class Reception:
    """One for a session, used for all of its messages; it owns the data side of the parser.

    `chunk` is how many octets the last chunk has that is part of a message, `dropped` what is said to one that is not.
    """

    __slots__ = (
        "_announced",
        "_counted",
        "_load",
        "_options",
        "_parser",
        "_refusal",
        "chunk",
        "dropped",
        "message",
    )

    def __init__(self, parser: _parser.Parser, options: SessionOptions) -> None:
        self.message = _NO_MESSAGE
        self._parser = parser
        self._options = options
        self._load = options.load
        self._counted = 0  # octets of this message that are in the load
        self._announced = 0
        self._refusal: Reply | None = None
        self.chunk = 0
        self.dropped = _NOTHING_DROPPED

    def has_room(self, octets: int) -> bool:
        """Whether the store has room for so many octets."""
        return octets <= self._options.room.octets

    def start(self, message: Message) -> None:
        """From here on the input is this message (DATA)."""
        self._parser.start_data()
        self._start(message)

    def start_chunks(self, message: Message, *, is_binary: bool) -> None:
        """The chunks of this message follow (BDAT), each after a `start_chunk`."""
        self._parser.start_chunks(is_binary)
        self._start(message)
        self._announced = 0

    def _start(self, message: Message) -> None:
        self.message = message
        options = self._options
        if options.make_spool is not None:
            message.spool_above(options.spool_above, options.make_spool)
        self._refusal = None

    def start_chunk(self, octets: int, copies: int, *, is_last: bool) -> Reply | None:
        """From here on so many octets are message; they are not, when it is too big with them: then the refusal."""
        self._announced += octets
        if self._announced > self._options.message_size:
            return MESSAGE_TOO_BIG
        if self._announced * copies > self._options.room.octets:
            return STORE_FULL
        self.chunk = octets
        self._parser.start_chunk(octets, is_last)
        return None

    def drop_chunk(self, octets: int, dropped: Dropped) -> None:
        """From here on so many octets are nobody's; `dropped` is kept for their end."""
        self._parser.drop_chunk(octets)
        self.dropped = dropped

    def take(self, piece: bytes) -> bool:
        """Keep the next piece; whether the header has become complete with it."""
        message, load = self.message, self._load
        try:
            message.append(piece)
        except SpoolError as error:
            self.refuse(error.reply)
            self._count()
            return False
        load.octets += message.held - self._counted
        self._counted = message.held
        if load.octets > load.most:
            self.shed()
            return False
        if message.header_complete or not self._parser.header_complete:
            return False
        # What plugins cannot see of a header nobody else shall see, either: a forged field would be out of their reach.
        excess = HEADER_TOO_BIG if self._parser.header_cut else self._too_many_fields()
        message.header_complete = True
        if excess is None:
            return True
        if not message.header.begins():
            message.begin_body()
            return True
        self.refuse(excess)
        return False

    def _too_many_fields(self) -> Reply | None:
        return TOO_MANY_FIELDS if self.message.header.has_more_fields(self._options.header_fields) else None

    def refuse(self, reply: Reply) -> None:
        """Read on to the true end, keep nothing, and say this then."""
        self._refusal = reply
        self._parser.discard_data()

    def shed(self) -> None:
        """Refuse it for want of memory, and let go of what has come."""
        self.refuse(self._load.full())
        self.message.drop()
        self._count()

    def finish(self, copies: int) -> Reply | None:
        """Nothing more comes: why the message is refused, or None. `copies` is how many of it would be stored."""
        message = self.message
        message.size = self._parser.size
        if (refusal := self.check()) is not None:
            return refusal
        if not message.header_complete and self._too_many_fields() is not None:
            if message.header.begins():
                return TOO_MANY_FIELDS
            message.begin_body()
        # RFC 5321 section 6.3: with a mailbox that forwards its mail to us, we may be a part of a loop.
        if message.header.has_more(b"received", self._options.hops):
            return LOOP
        if not self.has_room(message.size * copies):
            return STORE_FULL
        if message.spool is not None:
            try:
                message.finish()
            except SpoolError as error:
                return error.reply
            finally:
                self._count()
        return None

    def check(self) -> Reply | None:
        """Why the message is refused, whatever else may come, or None."""
        if self._refusal is not None:
            return self._refusal
        if self._parser.too_big:
            return MESSAGE_TOO_BIG
        if self._parser.bare_newline and self._options.bare_newline == "reject":
            return BARE_NEWLINE
        return None

    def forget(self) -> None:
        """Let go of the message: a client that idles shall not hold its last one in our memory."""
        self.message = _NO_MESSAGE
        self._load.octets -= self._counted
        self._counted = 0

    def _count(self) -> None:
        """Bring the load up to date."""
        self._load.octets += self.message.held - self._counted
        self._counted = self.message.held
