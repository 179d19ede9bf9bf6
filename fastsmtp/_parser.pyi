import enum
from typing import Final, final

class LineFault(enum.Enum):
    """Why a command line is no command; the rest of such a line, up to its CRLF, has been or will be skipped."""

    TOO_LONG = "too long"
    BARE_LF = "bare LF"
    BAD_BYTES = "control characters"

class DataEnd(enum.Enum):
    """What `Parser.next_data` returns after the last piece."""

    END = "end of data"

END_OF_DATA: Final = DataEnd.END

@final
class Parser:
    """Takes bytes in any portions, gives commands and pieces of message data. It has no clock and no opinion.

    `line_bytes` is the longest command line, CRLF included; `message_limit` the largest message in octets, with lines
    ending in CRLF (0: no limit); `header_limit` the most octets that are taken for header while no empty line comes.
    """

    line_bytes: int
    message_limit: int
    header_limit: int

    def __init__(self, *, line_bytes: int = 2048, message_limit: int = 0, header_limit: int = 262144) -> None: ...
    @property
    def pending(self) -> int:
        """Bytes that were fed and not used up."""

    @property
    def bare_newline(self) -> bool:
        """Whether the message has a bare CR or a bare LF so far."""

    @property
    def header_complete(self) -> bool:
        """Whether every piece up to now is header, its empty line included, and the next one will be body."""

    @property
    def size(self) -> int:
        """Octets of the message so far: transparency undone, line ends counted as CRLF."""

    @property
    def too_big(self) -> bool:
        """Whether the message has passed `message_limit`; its later pieces are not kept."""

    def feed(self, data: bytes) -> None:
        """Take what the network gave."""

    def next_command(self) -> tuple[bytes, bytes] | LineFault | None:
        """The next command as (verb in upper case, argument without blanks around it), or None: feed more.

        A faulty line is reported once, as soon as the fault is known, and skipped to its CRLF.
        """

    def start_data(self) -> None:
        """From here on the input is message data (the client has been told 354)."""

    def discard_data(self) -> None:
        """Read on to the true end of data, but keep nothing."""

    def next_data(self) -> bytes | DataEnd | None:
        """The next piece in its stored form, END_OF_DATA once behind the last one, or None: feed more.

        No piece is empty, and no piece has both header and body.
        """
