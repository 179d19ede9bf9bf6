"""Password hashes: those that we make, and those of others that we can check (docs/decisions/0012-passwords.md).

Every function here takes its time, on purpose: call them in a thread. None holds the GIL while it does.
"""

import secrets
import unicodedata
from base64 import b64encode
from hmac import compare_digest
from typing import Final, Literal, TypeAlias, get_args

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from fastsmtp.directory import libcrypt
from fastsmtp.errors import UnknownSchemeError
from fastsmtp.smtp.sasl import ScramKeys

__all__ = [
    "PREFIXES",
    "SALT_BYTES",
    "SCHEMES",
    "SCRAM_ITERATIONS",
    "Scheme",
    "bare",
    "hash_password",
    "matches",
    "normalized",
    "unmatchable",
]

Scheme: TypeAlias = Literal["argon2id", "scram-sha-256"]
SCHEMES: Final[tuple[Scheme, ...]] = get_args(Scheme)
"""Those that we make; the first one is the default."""

SCRAM_ITERATIONS: Final = 100_000
"""What a client has to compute at each login; RFC 7677 asks for 4096 at least, in 2015."""

SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32

_ARGON2: Final = "$argon2"
_SCRAM: Final = "SCRAM-SHA-256$"
# bcrypt, scrypt, yescrypt, SHA-2: crypt(5). What is older (DES, MD5) is broken by now, and is not among them.
_CRYPT: Final = ("$2a$", "$2b$", "$2y$", "$5$", "$6$", "$7$", "$gy$", "$y$")
# Dovecot puts the name of the scheme in front.
_DOVECOT: Final = ("{ARGON2I}", "{ARGON2ID}", "{BLF-CRYPT}", "{CRYPT}", "{SHA256-CRYPT}", "{SHA512-CRYPT}")

PREFIXES: Final = (_ARGON2, _SCRAM, *_CRYPT, *_DOVECOT)
"""How a hash begins that we can check."""


def normalized(password: str) -> str:
    """One spelling for what looks the same and is typed on different keyboards (NFC, as RFC 8265 section 4.2 says)."""
    return password if password.isascii() else unicodedata.normalize("NFC", password)


def hash_password(password: str, scheme: Scheme = "argon2id", *, parameters: Parameters = RFC_9106_LOW_MEMORY) -> str:
    """A new hash, for the column `password_hash`: at most 255 characters. Raises ValueError for what no SCRAM takes."""
    if scheme == "scram-sha-256":
        from fastsmtp.smtp.scram import derive_keys

        return str(derive_keys(password, secrets.token_bytes(SALT_BYTES), SCRAM_ITERATIONS))
    return PasswordHasher.from_parameters(parameters).hash(normalized(password))


def unmatchable(parameters: Parameters = RFC_9106_LOW_MEMORY) -> str:
    """A hash of no password: comparing with it takes as long as with one of these parameters, and comes to nothing."""
    cost = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    salt, digest = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (SALT_BYTES, _DIGEST_BYTES))
    return f"$argon2id$v={parameters.version}${cost}${salt}${digest}"


def matches(password: str, stored: str) -> bool:
    """Whether a hash is of this password. Raises UnknownSchemeError when it cannot be told."""
    stored = bare(stored)
    if stored.startswith(_ARGON2):
        return _matches_argon2(password, stored)
    if stored.startswith(_SCRAM):
        return _matches_scram(password, stored)
    if stored.startswith(_CRYPT):
        return _matches_crypt(password, stored)
    raise UnknownSchemeError(
        "the password hash is of no scheme that is known here; set a new one: fastsmtp user passwd"
    )


def bare(stored: str) -> str:
    """A hash without the name that Dovecot puts in front."""
    return stored.partition("}")[2] if stored.startswith(_DOVECOT) else stored


def _matches_argon2(password: str, stored: str) -> bool:
    try:
        return PasswordHasher().verify(stored, normalized(password))
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError) as error:
        raise UnknownSchemeError(f"the password hash is broken: {error}") from None


def _matches_scram(password: str, stored: str) -> bool:
    from fastsmtp.smtp.scram import derive_keys

    try:
        keys = ScramKeys.parse(stored)
    except ValueError:
        raise UnknownSchemeError("the password hash is broken: not SCRAM-SHA-256$iterations:salt$key:key") from None
    try:
        derived = derive_keys(password, keys.salt, keys.iterations)
    except ValueError:  # a password that SASLprep forbids is nobody's
        return False
    return compare_digest(derived.stored_key, keys.stored_key)


def _matches_crypt(password: str, stored: str) -> bool:
    if not libcrypt.is_there():
        raise UnknownSchemeError("the password hash is one of crypt(3), and this system has no libcrypt")
    encoded = stored.encode(errors="replace")
    # As it was typed: whoever made this hash normalized nothing.
    derived = libcrypt.crypt(password.encode(), encoded)
    if derived is not None:
        return compare_digest(derived, encoded)
    if libcrypt.crypt(b"", encoded) is None:
        raise UnknownSchemeError("the password hash is broken, or of a scheme that libcrypt does not know here")
    return False
