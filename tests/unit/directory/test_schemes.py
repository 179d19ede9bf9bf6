"""Password hashes. Those that we make are made with the cheapest parameters here, where it makes no difference."""

import unicodedata

import pytest
from argon2 import Parameters, extract_parameters
from argon2.profiles import CHEAPEST, RFC_9106_LOW_MEMORY

from fastsmtp.directory import libcrypt
from fastsmtp.directory.schemes import (
    PREFIXES,
    SALT_BYTES,
    SCHEMES,
    SCRAM_ITERATIONS,
    Scheme,
    bare,
    hash_password,
    matches,
    unmatchable,
)
from fastsmtp.errors import UnknownSchemeError
from fastsmtp.smtp.sasl import ScramKeys


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("password", ["secret", "Zoë", "a b", "p" * 1024, "\N{SNOWMAN}"])
def test_what_we_make_is_what_we_can_check(scheme: Scheme, password: str) -> None:
    stored = hash_password(password, scheme, parameters=CHEAPEST)
    assert len(stored) <= 255  # the column
    assert stored.startswith(PREFIXES)
    assert stored != hash_password(password, scheme, parameters=CHEAPEST)
    assert matches(password, stored)
    assert not matches(f"{password}x", stored)
    assert not matches("", stored)


def test_the_parameters_are_the_second_choice_of_rfc_9106() -> None:
    stored = hash_password("secret")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert extract_parameters(stored) == RFC_9106_LOW_MEMORY
    assert matches("secret", stored)


def test_scram_keys() -> None:
    keys = ScramKeys.parse(hash_password("secret", "scram-sha-256"))
    assert (len(keys.salt), keys.iterations) == (SALT_BYTES, SCRAM_ITERATIONS)


def test_a_password_that_scram_cannot_have() -> None:
    with pytest.raises(ValueError, match="SCRAM does not take this password"):
        hash_password("\ue000", "scram-sha-256")
    assert not matches("\ue000", hash_password("secret", "scram-sha-256"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_password_is_the_same_from_every_keyboard(scheme: Scheme) -> None:
    stored = hash_password(unicodedata.normalize("NFD", "Zoë"), scheme, parameters=CHEAPEST)
    assert matches(unicodedata.normalize("NFC", "Zoë"), stored)


@pytest.mark.parametrize("parameters", [CHEAPEST, RFC_9106_LOW_MEMORY])
def test_a_hash_of_nobody_costs_the_same_and_is_of_no_password(parameters: Parameters) -> None:
    stored = unmatchable(parameters)
    assert stored != unmatchable(parameters)
    made = extract_parameters(stored)
    assert (made.type, made.version, made.time_cost, made.memory_cost, made.parallelism) == (
        parameters.type,
        parameters.version,
        parameters.time_cost,
        parameters.memory_cost,
        parameters.parallelism,
    )
    assert not matches("", stored)
    assert not matches("secret", stored)


def crypted(setting: str) -> str:
    made = libcrypt.crypt(b"secret", setting.encode())
    assert made is not None
    return made.decode()


@pytest.mark.parametrize(
    "stored",
    [
        # doveadm pw -s SHA512-CRYPT, SHA256-CRYPT and BLF-CRYPT, mkpasswd -m yescrypt
        crypted("$6$saltsalt$"),
        "{SHA512-CRYPT}" + crypted("$6$rounds=1000$saltsalt$"),
        "{SHA256-CRYPT}" + crypted("$5$saltsalt$"),
        "{BLF-CRYPT}" + crypted("$2y$05$CCCCCCCCCCCCCCCCCCCCC."),
        "{CRYPT}" + crypted("$2b$05$CCCCCCCCCCCCCCCCCCCCC."),
        crypted("$y$j9T$abcdefghijklmnop$"),
        "{ARGON2ID}" + hash_password("secret", parameters=CHEAPEST),
    ],
)
def test_hashes_of_other_programs(stored: str) -> None:
    assert stored.startswith(PREFIXES)
    assert matches("secret", stored)
    assert not matches("Secret", stored)
    assert not matches("secret\0", stored)


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [
        ("", "no scheme that is known"),
        ("secret", "no scheme that is known"),
        ("{PLAIN}secret", "no scheme that is known"),
        ("{SSHA512}abc", "no scheme that is known"),
        ("$1$saltsalt$8C5t/dFzRBjKPzvCzd0Vu1", "no scheme that is known"),
        ("{CRYPT}$1$saltsalt$8C5t/dFzRBjKPzvCzd0Vu1", "no scheme that is known"),
        ("{CRYPT}sa3tHJ3/KuYvI", "no scheme that is known"),
        ("$argon2id$", "broken"),
        ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA", "broken"),
        ("SCRAM-SHA-256$4096:c2FsdA==$a:b", "broken"),
        ("$2b$05$short", "broken, or of a scheme that libcrypt does not know"),
        ("$gy$", "broken, or of a scheme that libcrypt does not know"),
    ],
)
def test_hashes_that_cannot_be_compared(stored: str, complaint: str) -> None:
    with pytest.raises(UnknownSchemeError, match=complaint) as caught:
        matches("secret", stored)
    assert stored == "" or stored not in str(caught.value)


def test_a_system_without_libcrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = crypted("$6$saltsalt$")
    monkeypatch.setattr(libcrypt, "_crypt_r", lambda: None)
    with pytest.raises(UnknownSchemeError, match="no libcrypt"):
        matches("secret", stored)


def test_bare() -> None:
    assert bare("{ARGON2ID}$argon2id$x") == bare("$argon2id$x") == "$argon2id$x"
    assert bare("{PLAIN}secret") == "{PLAIN}secret"
