"""SCRAM-SHA-256 (RFC 5802, RFC 7677): a client proves that it knows its password, and the server that it has its keys.

The messages are the work of scramp; here they become an exchange like any other.
"""

import secrets
from typing import Final

from scramp import ScramException, ScramMechanism  # type: ignore[import-untyped] # it ships no types

from fastsmtp.smtp.sasl import Credentials, Exchange, KeysWanted, ResponseError, ScramKeys

__all__ = ["derive_keys", "scram"]

_MECHANISM: Final = ScramMechanism("SCRAM-SHA-256")

MESSAGE_OCTETS: Final = 1024
"""Longest message of a client: its name and two nonces fit several times."""

_NONCE_BYTES: Final = 18


def derive_keys(password: str, salt: bytes, iterations: int) -> ScramKeys:
    """The keys of a password; takes its time without the GIL. Raises ValueError for one that SASLprep forbids."""
    try:
        salt, stored_key, server_key, iterations = _MECHANISM.make_auth_info(password, iterations, salt)
    except ScramException as error:
        raise ValueError(f"SCRAM does not take this password: {error}") from None
    return ScramKeys(salt, iterations, stored_key, server_key)


def scram(initial: bytes | None, *, nonce: str | None = None) -> Exchange:
    """The exchange. `nonce` is the server's part, for those who want to know it beforehand."""
    nonce = nonce or secrets.token_urlsafe(_NONCE_BYTES)
    first = _text(initial if initial is not None else (yield b""))
    try:
        user = _user_of(first)
        keys: ScramKeys = yield KeysWanted(user)
        server = _MECHANISM.make_server(
            lambda _: (keys.salt, keys.stored_key, keys.server_key, keys.iterations), s_nonce=nonce
        )
        server.set_client_first(first)
        last = _text((yield server.get_server_first().encode()))
    except ScramException as error:
        raise ResponseError(str(error)) from None
    credentials = Credentials("SCRAM-SHA-256", user, is_proven=False)
    try:
        server.set_client_final(last)
        server_final = server.get_server_final()
    except ScramException:
        return credentials
    # SMTP has no place for data beside its success, so it is a challenge with an empty answer (RFC 4954 section 4).
    if (yield server_final.encode()):
        raise ResponseError("an answer to what was none")
    credentials.is_proven = True
    return credentials


def _user_of(client_first: str) -> str:
    """The user in the first message. Raises ScramException.

    scramp asks for the keys while it reads that message, where nobody can wait: so it reads the message twice.
    """
    asked: list[str] = []

    def take(user: str) -> tuple[bytes, bytes, bytes, int]:
        asked.append(user)
        return bytes(16), bytes(32), bytes(32), 4096

    _MECHANISM.make_server(take).set_client_first(client_first)
    return asked[0]


def _text(octets: bytes) -> str:
    if len(octets) > MESSAGE_OCTETS:
        raise ResponseError("too long")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ResponseError("not UTF-8") from None
