"""Every reply that the engine gives, each named once, with the bytes that go on the wire.

Reply codes are RFC 5321 section 4.2, enhanced status codes RFC 3463 and the IANA registry that RFC 5248 opened.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self

from fastsmtp._parser import is_printable_ascii

__all__ = ["REPLY_LINE_BYTES", "Reply", "accept", "defer", "reject", "stored_as"]

REPLY_LINE_BYTES: Final = 512
"""Longest reply line, code and CRLF included (RFC 5321 section 4.5.3.1.5)."""

_ENHANCED = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}\Z")
_UNSAFE = re.compile(r"[^\x20-\x7e]")


def _line(text: str) -> str:
    """One line of text for the wire: printable ASCII only (RFC 5321 section 4.2), whatever was echoed into it."""
    return _UNSAFE.sub("?", text)


_set = object.__setattr__  # how what is frozen is made


@lru_cache(maxsize=1024)
def _prefix(code: int, enhanced: str) -> str:
    """What stands between code and text."""
    if not enhanced:
        return ""
    if not _ENHANCED.match(enhanced) or enhanced[0] != str(code)[0]:
        raise ValueError(f"the enhanced status {enhanced!r} does not go with the code {code}")
    return f"{enhanced} "


@dataclass(frozen=True)
class Reply:
    """What the server says: a three-digit code, an enhanced status (or none) and text of one or more lines.

    `text` is split at newlines; anything in it that is not printable ASCII goes out as `?`, and a line that would be
    longer than 512 octets is cut, so that text from a stranger can be echoed. `closes` hangs up after the reply.
    `limit` is the name under which `fastsmtp_limits_total` counts it, empty where it tells of none.

    Raises ValueError for a code outside 200..599 or an enhanced status of another class than the code.
    """

    code: int
    enhanced: str
    text: str
    closes: bool = False
    limit: str = field(default="", repr=False, compare=False)
    wire: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ValueError(f"a reply code is 200 to 599, not {self.code}")
        prefix = _prefix(self.code, self.enhanced)
        wire = f"{self.code} {prefix}{self.text}\r\n"
        # Nearly every reply is one plain line, and done here.
        if not is_printable_ascii(self.text) or wire.endswith(" \r\n") or len(wire) > REPLY_LINE_BYTES:
            wire = self._careful_wire(prefix)
        _set(self, "wire", wire.encode("ascii"))

    def _careful_wire(self, prefix: str) -> str:
        room = REPLY_LINE_BYTES - len("250-\r\n") - len(prefix)
        lines = [f"{prefix}{_line(line)[:room]}".rstrip() for line in self.text.split("\n")]
        return "".join(f"{self.code}-{line}\r\n" for line in lines[:-1]) + f"{self.code} {lines[-1]}\r\n"

    @property
    def is_positive(self) -> bool:
        """2xx or 3xx: the command did what it says."""
        return self.code < 400

    @property
    def is_permanent(self) -> bool:
        """5xx: the client should not try this again."""
        return self.code >= 500

    def wire_naming(self, id_: str) -> bytes:
        """The bytes on the wire with an id in brackets at their end; its line is cut where that takes more room."""
        tail = f" ({id_})\r\n".encode("ascii")
        last_line = self.wire.rfind(b"\n", 0, -2) + 1
        return self.wire[:-2][: last_line + REPLY_LINE_BYTES - len(tail)] + tail

    def hang_up(self) -> Self:
        """The same reply, after which the server closes the connection."""
        return type(self)(self.code, self.enhanced, self.text, closes=True, limit=self.limit)

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced} {self.text}" if self.enhanced else f"{self.code} {self.text}"


def accept(text: str = "OK", *, enhanced: str = "2.0.0", code: int = 250) -> Reply:
    """An answer that ends the stage: yes (2xx)."""
    if not 200 <= code <= 299:
        raise ValueError(f"accept() takes a code from 200 to 299, not {code}")
    return Reply(code, enhanced, text)


def defer(enhanced: str, text: str, *, code: int = 450) -> Reply:
    """An answer that ends the stage: not now, come again (4xx)."""
    if not 400 <= code <= 499:
        raise ValueError(f"defer() takes a code from 400 to 499, not {code}")
    return Reply(code, enhanced, text)


def reject(enhanced: str, text: str, *, code: int = 550) -> Reply:
    """An answer that ends the stage: no, and never (5xx)."""
    if not 500 <= code <= 599:
        raise ValueError(f"reject() takes a code from 500 to 599, not {code}")
    return Reply(code, enhanced, text)


def stored_as(transaction_id: str) -> Reply:
    """250 for a stored message."""
    return Reply(250, "2.0.0", f"stored as {transaction_id}")


# Session (RFC 5321 sections 4.2.3 and 4.3.2)
READY_FOR_TLS: Final = Reply(220, "2.0.0", "Ready to start TLS")  # RFC 3207 section 4
BYE: Final = Reply(221, "2.0.0", "Bye", closes=True)
OK: Final = Reply(250, "2.0.0", "OK")
SENDER_OK: Final = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "Recipient OK")
FLUSHED: Final = Reply(250, "2.0.0", "Flushed")
CANNOT_VRFY: Final = Reply(252, "2.5.0", "Cannot VRFY user, but will take a message for it and try")  # section 7.3
START_DATA: Final = Reply(354, "", "End data with <CR><LF>.<CR><LF>")  # 3xx has no enhanced status (RFC 2034)

# Syntax (RFC 5321 section 4.2.4)
UNKNOWN_COMMAND: Final = Reply(500, "5.5.1", "Command not recognized")
NOT_OFFERED: Final = Reply(502, "5.5.1", "Command not implemented here")
LINE_TOO_LONG: Final = Reply(500, "5.5.2", "Command line too long", limit="command_line")
BAD_LINE_END: Final = Reply(500, "5.5.2", "Command lines end in <CR><LF>, and only there")
BAD_BYTES: Final = Reply(501, "5.5.2", "Control characters in a command")
NO_ARGUMENT: Final = Reply(501, "5.5.4", "This command takes no argument")
NEEDS_ARGUMENT: Final = Reply(501, "5.5.4", "This command needs an argument")
BAD_HELLO: Final = Reply(501, "5.5.4", "A HELO or EHLO names one domain or address literal")
BAD_MAIL_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]")
BAD_RCPT_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]")
BAD_CHUNK: Final = Reply(501, "5.5.4", "Behind the number of octets BDAT has LAST or nothing")
# How many octets follow is not known, so nothing that follows can be understood.
CHUNK_LOST: Final = Reply(501, "5.5.4", "Syntax: BDAT octets [LAST]", closes=True)
BAD_SENDER: Final = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT: Final = Reply(501, "5.1.3", "Bad recipient address syntax")
NEEDS_SMTPUTF8_SENDER: Final = Reply(553, "5.6.7", "This sender needs SMTPUTF8")  # RFC 6531 section 3.5
NEEDS_SMTPUTF8_RECIPIENT: Final = Reply(553, "5.6.7", "This recipient needs SMTPUTF8 on MAIL")
LMTP_SPOKEN: Final = Reply(500, "5.5.1", "This is LMTP: say LHLO")  # RFC 2033 section 4.1
HTTP_SPOKEN: Final = Reply(421, "4.7.0", "This is SMTP, not HTTP", closes=True)

# Order (RFC 5321 section 4.1.4)
HELLO_FIRST: Final = Reply(503, "5.5.1", "Say HELO or EHLO first")
LHLO_FIRST: Final = Reply(503, "5.5.1", "Say LHLO first")
MAIL_FIRST: Final = Reply(503, "5.5.1", "Need MAIL first")
TLS_FIRST: Final = Reply(530, "5.7.0", "Say STARTTLS first")  # RFC 3207 section 4
TLS_ON_ALREADY: Final = Reply(503, "5.5.1", "TLS is on already")
NESTED_MAIL: Final = Reply(503, "5.5.1", "A mail transaction is open already")
CHUNKS_UNDER_WAY: Final = Reply(503, "5.5.1", "A message is coming in chunks: go on with BDAT, or give it up with RSET")
NEEDS_BDAT: Final = Reply(503, "5.5.1", "A message that is BODY=BINARYMIME comes by BDAT")  # RFC 3030 section 3
NO_RECIPIENT_YET: Final = Reply(503, "5.5.1", "Need a valid recipient")  # LMTP: RFC 2033 section 4.2
NO_VALID_RECIPIENTS: Final = Reply(554, "5.5.1", "No valid recipients")  # section 3.3

# AUTH (RFC 4954 sections 4 and 6)
AUTHENTICATED: Final = Reply(235, "2.7.0", "Authentication successful")
AUTH_TROUBLE: Final = Reply(454, "4.7.0", "Cannot check that now, try again later")
AUTH_LINE_TOO_LONG: Final = Reply(500, "5.5.6", "Response too long")
BAD_AUTH_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
BAD_RESPONSE: Final = Reply(501, "5.5.2", "Not base64, or not what the mechanism has there")
AUTH_CANCELLED: Final = Reply(501, "5.7.0", "Authentication cancelled")
AUTHENTICATED_ALREADY: Final = Reply(503, "5.5.1", "You are authenticated already")
UNKNOWN_MECHANISM: Final = Reply(504, "5.5.4", "Mechanism not offered")
AUTH_FAILED: Final = Reply(535, "5.7.8", "User or password is wrong")  # nobody learns which
AUTH_NEEDS_TLS: Final = Reply(538, "5.7.11", "Say STARTTLS first; passwords are not sent in the open")
TOO_MANY_TRIES: Final = Reply(421, "4.7.0", "Too many wrong passwords", closes=True, limit="auth_tries")

# Policy of the engine
MESSAGE_TOO_BIG: Final = Reply(552, "5.3.4", "Message too big", limit="message_size")  # RFC 1870 section 6
# RFC 3463 section 3.4: 5.3.4 is what a limit of ours does not permit; the header has two of its own.
HEADER_TOO_BIG: Final = Reply(552, "5.3.4", "The header of the message is too big", limit="header_size")
TOO_MANY_FIELDS: Final = Reply(552, "5.3.4", "The header of the message has too many fields", limit="header_fields")
LOOP: Final = Reply(554, "5.4.6", "Too many Received fields: this message goes round in circles", limit="hops")
BARE_NEWLINE: Final = Reply(550, "5.5.2", "Bare <CR> or <LF> in the message; lines end in <CR><LF>")
TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", "Too many recipients", limit="recipients")  # section 4.5.3.1.10
TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", "Too many errors", closes=True, limit="errors")
TOO_MANY_MESSAGES: Final = Reply(  # RFC 9422 section 4.1
    421, "4.7.0", "Enough messages in one connection; go on in another", closes=True, limit="messages"
)
TOO_MANY_COMMANDS: Final = Reply(421, "4.7.0", "Too many commands for one message", closes=True, limit="commands")
TOO_MUCH_TALK: Final = Reply(
    421, "4.7.0", "Too many commands that bring no message on its way", closes=True, limit="nonmail_commands"
)
TOO_MANY_UNKNOWN: Final = Reply(
    421, "4.7.0", "Too many commands that nobody here knows", closes=True, limit="unknown_commands"
)
PIPELINED_TOO_MUCH: Final = Reply(554, "5.5.0", "Wait for the reply to this command before the next", closes=True)
TOO_MANY_CONNECTIONS: Final = Reply(421, "4.3.2", "Too many connections, come again later", closes=True)
TOO_MANY_OF_ADDRESS: Final = Reply(
    421, "4.7.0", "Too many connections from your address, come again later", closes=True
)
TOO_MANY_OF_NETWORK: Final = Reply(
    421, "4.7.0", "Too many connections from your network, come again later", closes=True
)
TOO_OFTEN_FROM_ADDRESS: Final = Reply(
    421, "4.7.0", "Too many new connections within a minute from your address, come again later", closes=True
)
TOO_OFTEN_FROM_NETWORK: Final = Reply(
    421, "4.7.0", "Too many new connections within a minute from your network, come again later", closes=True
)
STRANGERS_WAIT: Final = Reply(
    421, "4.3.2", "Busy, and only those get in who sent good mail lately, come again later", closes=True
)
OVERLOADED: Final = Reply(452, "4.3.2", "Too busy for another message, try again later")
MEMORY_FULL: Final = Reply(452, "4.3.1", "Too many messages are arriving at once, try again later")
SHUTTING_DOWN: Final = Reply(421, "4.3.2", "Shutting down, come again soon", closes=True)
TIMED_OUT: Final = Reply(421, "4.4.2", "Waited too long for you", closes=True)
TOO_SLOW: Final = Reply(421, "4.4.2", "Your message comes too slowly", closes=True)
IDLE_TOO_LONG: Final = Reply(421, "4.4.2", "No message came for too long", closes=True)
CONNECTED_TOO_LONG: Final = Reply(421, "4.4.2", "You were connected long enough, connect anew", closes=True)
USER_UNKNOWN: Final = Reply(550, "5.1.1", "No such user here")
FORWARDING_REFUSED: Final = Reply(550, "5.4.4", "This address leads to another server, and nothing is sent on here")
RELAYING_DENIED: Final = Reply(550, "5.7.1", "Relaying denied")
LOCAL_TROUBLE: Final = Reply(451, "4.3.0", "Trouble on our side, try again later")  # never the text of an exception
DIRECTORY_TROUBLE: Final = Reply(451, "4.4.3", "Cannot look up recipients now, try again later")
NOBODY_TOOK_IT: Final = Reply(451, "4.3.5", "Nobody here takes this message; try again later")

# Storing: every one says that nothing was kept
STORE_TROUBLE: Final = Reply(451, "4.3.0", "Could not store the message, try again later")
STORE_MISCONFIGURED: Final = Reply(451, "4.3.5", "The mail store is not set up right, try again later")
STORE_FULL: Final = Reply(452, "4.3.1", "Not enough space, try again later")
MAILBOX_FULL: Final = Reply(452, "4.2.2", "Mailbox full, try again later")
MAILBOX_FULL_FOR_GOOD: Final = Reply(552, "5.2.2", "Mailbox is over its quota")
