"""PLAIN and LOGIN, message by message; what clients hear is in tests/dialogs/."""

import unicodedata
from base64 import b64decode, b64encode

import pytest
from exchanges import played
from hypothesis import example, given
from hypothesis import strategies as st

from fastsmtp.smtp.sasl import (
    NAME_OCTETS,
    PASSWORD_OCTETS,
    Credentials,
    ResponseError,
    ScramKeys,
    decode_response,
    encode_challenge,
    login,
    plain,
)

JOE = Credentials("PLAIN", "joe@example.test", "secret")


# --- PLAIN -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "user", "password"),
    [
        # RFC 4616 section 4
        (b"\0tim\0tanstaaftanstaaf", "tim", "tanstaaftanstaaf"),
        # RFC 4954 section 4.2: test, test, 1234
        (b64decode("dGVzdAB0ZXN0ADEyMzQ="), "test", "1234"),
        (b"\0joe@example.test\0secret", "joe@example.test", "secret"),
        (b"JOE@Example.TEST\0joe@example.test\0secret", "joe@example.test", "secret"),
        ("\0zoë@bücher.test\0pässword".encode(), "zoë@bücher.test", "pässword"),
        (b"\0a\0 ", "a", " "),
        (b"\0joe\0" + b"p" * PASSWORD_OCTETS, "joe", "p" * PASSWORD_OCTETS),
    ],
)
def test_plain(message: bytes, user: str, password: str) -> None:
    assert played(plain(message)) == [Credentials("PLAIN", user, password)]
    assert played(plain(None), message) == [b"", Credentials("PLAIN", user, password)]


@pytest.mark.parametrize(
    "message",
    [b"Ursel\0Kurt\0xipj3plmq", b"ann@example.test\0joe@example.test\0secret", b"joe@x.test\0joe@y.test\0secret"],
)
def test_nobody_acts_for_somebody_else(message: bytes) -> None:
    # the second example of RFC 4616 section 4 comes to the same
    [credentials] = played(plain(message))
    assert (credentials.is_proven, credentials.password) == (False, "")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"joe",
        b"joe\0secret",
        b"\0joe\0",
        b"\0\0secret",
        b"\0joe\0secret\0",
        b"\0joe\0sec\0ret",
        b"\0joe\xff\0secret",
        b"\0joe\0\xed\xa0\x80",
        b"\xff\0joe\0secret",
        b"\0" + b"j" * (NAME_OCTETS + 1) + b"\0secret",
        b"\0joe\0" + b"p" * (PASSWORD_OCTETS + 1),
    ],
)
def test_what_is_not_plain(message: bytes) -> None:
    with pytest.raises(ResponseError):
        played(plain(message))


@given(st.binary(max_size=60))
@example(b"\0joe\0secret")
def test_plain_takes_every_message_apart_or_refuses_it(message: bytes) -> None:
    try:
        [credentials] = played(plain(message))
    except ResponseError:
        return
    acting_for, user, password = message.split(b"\0")
    assert credentials.user == user.decode() != ""
    if credentials.is_proven is None:
        assert credentials.password == password.decode() != ""
    else:
        assert acting_for not in (b"", user)


# --- LOGIN -----------------------------------------------------------------------------------------------------------


def test_login() -> None:
    credentials = Credentials("LOGIN", "joe@example.test", "secret")
    assert played(login(None), b"joe@example.test", b"secret") == [b"Username:", b"Password:", credentials]
    assert played(login(b"joe@example.test"), b"secret") == [b"Password:", credentials]


@pytest.mark.parametrize(
    ("user", "password"), [(b"", b"secret"), (b"joe", b""), (b"j\0e", b"secret"), (b"joe", b"a\0b"), (b"\xff", b"x")]
)
def test_what_is_not_login(user: bytes, password: bytes) -> None:
    with pytest.raises(ResponseError):
        played(login(None), user, password)


# --- lines -----------------------------------------------------------------------------------------------------------


@given(st.binary())
def test_base64_there_and_back(octets: bytes) -> None:
    assert decode_response(b64encode(octets)) == octets
    line = encode_challenge(octets)
    assert line.startswith(b"334 ")
    assert line.endswith(b"\r\n")
    assert decode_response(line[4:-2]) == octets


@given(st.binary(max_size=12) | st.text("ABab01+/= -_", max_size=12).map(str.encode))
def test_every_line_has_one_spelling_or_is_none(line: bytes) -> None:
    try:
        decoded = decode_response(line)
    except ResponseError:
        return
    assert b64encode(decoded) == line


@pytest.mark.parametrize(
    "line", [b"=", b"A", b"AA", b"AAA", b"AA=", b"AA==AA==", b"AB==", b"AA==\n", b" AAAA", b"AA AA", b"AA-_", b"*"]
)
def test_what_is_not_base64(line: bytes) -> None:
    with pytest.raises(ResponseError):
        decode_response(line)


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_a_password_is_never_shown_and_soon_gone() -> None:
    assert "secret" not in repr(JOE)
    assert "secret" not in str(JOE)
    credentials = Credentials("PLAIN", "joe", "secret")
    credentials.forget_password()
    assert credentials.password == ""


def test_scram_keys() -> None:
    # RFC 7677 section 3, in the form of RFC 5803
    text = (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    keys = ScramKeys.parse(text)
    assert str(keys) == text
    assert (keys.iterations, len(keys.salt), len(keys.stored_key), len(keys.server_key)) == (4096, 16, 32, 32)
    assert repr(keys) == "ScramKeys(iterations=4096)"


@pytest.mark.parametrize(
    ("mechanism", "iterations", "salt"),
    [
        ("SCRAM-SHA-1", "4096", "W22ZaJ0SNY7soEsUEjb6gQ=="),
        ("SCRAM-SHA-256", "40", "W22ZaJ0SNY7soEsUEjb6gQ=="),
        ("SCRAM-SHA-256", "4096", "W22Z"),
        ("SCRAM-SHA-256", "4096", "W22ZaJ0SNY7soEsUEjb6g==="),
        ("SCRAM-SHA-256", "4096", "W22ZaJ0SNY7soEsUEjb6gQ==\n"),
        ("{PLAIN}", "4096", "W22ZaJ0SNY7soEsUEjb6gQ=="),
    ],
)
def test_what_are_no_scram_keys(mechanism: str, iterations: str, salt: str) -> None:
    with pytest.raises(ValueError, match=r"SCRAM-SHA-256\$iterations|base64"):
        ScramKeys.parse(f"{mechanism}${iterations}:{salt}${'A' * 43}=:{'A' * 43}=")


def test_normalization_forms_are_left_to_those_who_compare() -> None:
    name = unicodedata.normalize("NFD", "zoë")
    [credentials] = played(plain(f"\0{name}\0{name}".encode()))
    assert (credentials.user, credentials.password) == (name, name)
