"""What was said on a connection, read by nobody's parser but this one: the mail transactions out of both directions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from properties.oracle import message

_reply = re.compile(rb"(?:[0-9]{3}-[^\r\n]*\r\n)*[0-9]{3}(?: [^\r\n]*)?\r\n").match
_stored_as = re.compile(rb"250 2\.0\.0 stored as ([0-9A-Z]+)\r\n").fullmatch


def stored_id(reply: bytes) -> str:
    """The id in the reply to a message. Raises AssertionError when it was not stored."""
    found = _stored_as(reply)
    assert found, reply
    return found[1].decode()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One mail transaction that came as far as the end of data.

    `hello` is HELO or EHLO with its name, `sender` and `recipients` (those who were accepted) are paths as sent with
    their parameters, `data` is what stood on the wire between DATA and the end marker, which it includes.
    """

    hello: bytes
    sender: bytes
    recipients: list[bytes]
    data: bytes
    reply: bytes

    @property
    def id(self) -> str:
        """Under which id the message is stored. Raises AssertionError when it is not."""
        return stored_id(self.reply)

    @property
    def content(self) -> bytes:
        """The message in the form in which it must be stored."""
        ended = message(self.data)
        assert ended is not None
        return ended.stored


@dataclass(slots=True)
class Recording:
    """Both directions of one connection, as far as they have come."""

    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)

    def deliveries(self) -> list[Delivery]:
        """Every transaction with an answer to its data."""
        return list(_deliveries(bytes(self.client), _replies(bytes(self.server))))


def _replies(said: bytes) -> Iterator[bytes]:
    while said:
        found = _reply(said)
        assert found, f"no reply: {said!r}"
        yield found[0]
        said = said[found.end() :]


def _deliveries(said: bytes, replies: Iterator[bytes]) -> Iterator[Delivery]:
    """Each command takes the next reply, also where the client did not wait for it (RFC 2920)."""
    hello = sender = b""
    recipients: list[bytes] = []
    greeting = next(replies, b"220 \r\n")
    assert greeting.startswith(b"220 "), greeting
    while said:
        line, end, said = said.partition(b"\r\n")
        assert end, f"not a command line: {line!r}"
        reply = next(replies, b"")
        verb = line[:4].upper()
        if verb in (b"HELO", b"EHLO"):
            hello = line
        elif verb == b"MAIL" and reply.startswith(b"250 "):
            sender, recipients = line.partition(b":")[2], []
        elif verb == b"RCPT" and reply.startswith(b"250 "):
            recipients.append(line.partition(b":")[2])
        elif verb == b"DATA" and reply.startswith(b"354 "):
            ended = message(said)
            if ended is None:
                return
            data, said = said[: len(said) - len(ended.rest)], ended.rest
            yield Delivery(hello, sender, recipients, data, next(replies, b""))
