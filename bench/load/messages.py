"""The messages that are sent: of one size, or a mix like that of an inbound server."""

import random
import string
from typing import Final, NamedTuple

__all__ = ["MAIL_MIX", "Weighted", "as_chunk", "mix", "of_size", "on_wire", "parse_size"]

_HEADER: Final = (
    "Received: from relay.load.example (relay.load.example [192.0.2.25])\n"
    "\tby out.load.example with ESMTPS id 4Xk2Qd1Zz9z3xQ; Thu, 01 Jan 2026 00:00:00 +0000\n"
    "Date: Thu, 01 Jan 2026 00:00:00 +0000\n"
    "From: A Sender <sender@load.example>\n"
    "To: A Recipient <recipient@bench.example>\n"
    "Subject: A message of known size\n"
    "Message-ID: <20260101000000.4711@load.example>\n"
    "MIME-Version: 1.0\n"
    "Content-Type: text/plain; charset=us-ascii\n"
    "\n"
)
_LINE_LENGTH: Final = 76
_MOST_RANDOM_LINES: Final = 1000

_UNITS: Final = {"": 1, "KiB": 1024, "MiB": 1024 * 1024}


class Weighted(NamedTuple):
    """A size in octets, and how often it comes in proportion to the others."""

    octets: int
    weight: float


MAIL_MIX: Final = (
    Weighted(2 * 1024, 10),
    Weighted(5 * 1024, 20),
    Weighted(12 * 1024, 25),
    Weighted(30 * 1024, 20),
    Weighted(75 * 1024, 15),
    Weighted(250 * 1024, 7),
    Weighted(1024 * 1024, 2.5),
    Weighted(6 * 1024 * 1024, 0.5),
)
"""Our idea of an MX's day: half have 12 KiB or less, the mean is 95 KiB, three in a hundred bring 59 % of it."""


def of_size(octets: int) -> bytes:
    """A message that takes `octets` on the wire after DATA, with its CRLFs and before the final dot; LF line ends here.

    Text like base64, the same each time, no line beginning with a dot. The least is the header and a line.
    """
    wire = len(_HEADER) + _HEADER.count("\n")
    dice = random.Random(0)  # noqa: S311 - text, no secret
    alphabet = string.ascii_letters + string.digits + "+/"
    pool = ["".join(dice.choices(alphabet, k=_LINE_LENGTH)) for _ in range(_MOST_RANDOM_LINES)]
    full, rest = divmod(max(octets - wire, 3), _LINE_LENGTH + 2)
    lines = [pool[index % _MOST_RANDOM_LINES] for index in range(full)]
    if rest >= 2:
        lines.append(pool[0][: rest - 2])
    elif rest == 1 and lines:  # one more octet has no room for a line of its own
        lines[-1] += "="
    return (_HEADER + "".join(f"{line}\n" for line in lines)).encode()


def on_wire(octets: int) -> bytes:
    """The same as a client sends it after DATA, with the final dot."""
    return of_size(octets).replace(b"\n", b"\r\n") + b".\r\n"


def as_chunk(octets: int) -> bytes:
    """The same as one BDAT."""
    content = on_wire(octets).removesuffix(b".\r\n")
    return b"BDAT %d LAST\r\n%b" % (len(content), content)


def parse_size(text: str) -> int:
    """Octets of `4096`, `4KiB` or `25MiB`. Raises ValueError."""
    digits = text.rstrip(string.ascii_letters)
    unit = text[len(digits) :]
    if not digits.isdecimal() or unit not in _UNITS:
        raise ValueError(f'"{text}" is no size; write 4096, 4KiB or 25MiB')
    return int(digits) * _UNITS[unit]


def mix(text: str) -> tuple[Weighted, ...]:
    """What `4KiB`, `4KiB:3,1MiB:1` or `mail` stand for. Raises ValueError."""
    if text == "mail":
        return MAIL_MIX
    parts = []
    for part in text.split(","):
        size, _, weight = part.partition(":")
        parts.append(Weighted(parse_size(size), float(weight or 1)))
    return tuple(parts)
