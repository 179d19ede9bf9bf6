"""SASL, sans-I/O: how a client proves who it is, challenge by challenge (RFC 4422).

    exchange = mechanism(initial_response)              what stood in the AUTH command, or None
    wanted = next(exchange)                             a challenge for the client, or keys that the directory has
    wanted = exchange.send(answer)                      ... until StopIteration brings Credentials

PLAIN and LOGIN are here; SCRAM-SHA-256 is in scram.py.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from fastsmtp.smtp.address import AddressError, parse_mailbox

__all__ = [
    "MECHANISMS",
    "PASSWORD_OCTETS",
    "RESPONSE_LINE_BYTES",
    "Credentials",
    "Exchange",
    "KeysWanted",
    "Mechanism",
    "MechanismName",
    "ResponseError",
    "ScramKeys",
    "decode_response",
    "encode_challenge",
    "login",
    "plain",
]

MechanismName: TypeAlias = Literal["PLAIN", "LOGIN", "SCRAM-SHA-256"]
MECHANISMS: Final[tuple[MechanismName, ...]] = get_args(MechanismName)

RESPONSE_LINE_BYTES: Final = 12_288
"""Longest line of a response, CRLF included (RFC 4954 section 4.0)."""
NAME_OCTETS: Final = 320
"""Longest user name: more than any address has."""
PASSWORD_OCTETS: Final = 1024
"""Longest password; RFC 4616 section 2 asks for 255."""

_match_scram_keys = re.compile(
    r"SCRAM-SHA-256\$([1-9][0-9]{3,7}):([A-Za-z0-9+/=]{16,})\$([A-Za-z0-9+/=]{44}):([A-Za-z0-9+/=]{44})"
).fullmatch


class ResponseError(ValueError):
    """What the client sent is not base64, or not what its mechanism has there."""


@dataclass(slots=True)
class Credentials:
    """Who a client says it is, and how it would prove it.

    `user` is as the client wrote it, and the canonical name once it was accepted. `is_proven` is None as long as there
    is a password to be checked; a mechanism that proves without sending it (SCRAM) says True or False.
    """

    mechanism: MechanismName
    user: str
    password: str = field(default="", repr=False)
    is_proven: bool | None = None

    def forget_password(self) -> None:
        """Nobody needs it any more."""
        self.password = ""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is kept of a password so that a client can prove that it knows it (RFC 5802 section 3)."""

    salt: bytes = field(repr=False)
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Out of its stored form (RFC 5803 section 3, as PostgreSQL has it). Raises ValueError."""
        found = _match_scram_keys(text)
        if found is None:
            raise ValueError("not SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey")
        salt, stored_key, server_key = (b64decode(part, validate=True) for part in found.group(2, 3, 4))
        return cls(salt, int(found[1]), stored_key, server_key)

    def __str__(self) -> str:
        salt, stored_key, server_key = (
            b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored_key}:{server_key}"


@dataclass(frozen=True, slots=True)
class KeysWanted:
    """A mechanism needs the keys of a user; who knows none sends keys that fit no password, never an error."""

    user: str


Exchange: TypeAlias = Generator[bytes | KeysWanted, Any, Credentials]
"""Gives challenges, is sent responses; gives KeysWanted, is sent ScramKeys. Raises ResponseError."""

Mechanism: TypeAlias = Callable[[bytes | None], Exchange]


def plain(initial: bytes | None) -> Exchange:
    """PLAIN (RFC 4616): `[authzid] NUL authcid NUL passwd` in one message."""
    message = initial if initial is not None else (yield b"")
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise ResponseError("not authzid NUL authcid NUL passwd")
    acting_for, user = (_text(part, NAME_OCTETS) for part in parts[:2])
    credentials = Credentials("PLAIN", user, _text(parts[2], PASSWORD_OCTETS))
    if not credentials.user or not credentials.password:
        raise ResponseError("no user, or no password")
    if acting_for and not _is_same_user(acting_for, user):
        # Nobody acts for another one here (RFC 4616 section 2).
        credentials.forget_password()
        credentials.is_proven = False
    return credentials


def login(initial: bytes | None) -> Exchange:
    """LOGIN, which no RFC has and every client speaks: user and password, each asked for."""
    user = _text(initial if initial is not None else (yield b"Username:"), NAME_OCTETS)
    password = _text((yield b"Password:"), PASSWORD_OCTETS)
    if not user or not password:
        raise ResponseError("no user, or no password")
    return Credentials("LOGIN", user, password)


def decode_response(line: bytes) -> bytes:
    """The bytes of a base64 line, of which there is one spelling only (RFC 4954 section 4). Raises ResponseError."""
    try:
        decoded = binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        raise ResponseError("not base64") from None
    if b64encode(decoded) != line:  # bits behind the end: RFC 4648 section 3.5
        raise ResponseError("not base64")
    return decoded


def encode_challenge(challenge: bytes) -> bytes:
    """The line that says it to the client."""
    return b"334 " + b64encode(challenge) + b"\r\n"


def _text(octets: bytes, most: int) -> str:
    """A name or a password: UTF-8 without NUL."""
    if len(octets) > most or b"\0" in octets:
        raise ResponseError("too long, or with a NUL")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ResponseError("not UTF-8") from None


def _is_same_user(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        first, second = parse_mailbox(one), parse_mailbox(other)
    except AddressError:
        return False
    return (first.folded_local, first.domain) == (second.folded_local, second.domain)
