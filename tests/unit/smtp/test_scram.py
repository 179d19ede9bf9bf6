"""SCRAM-SHA-256 against its example, against a client, and against nonsense."""

from base64 import b64decode
from typing import Any

import pytest
from exchanges import played
from hypothesis import example, given
from hypothesis import strategies as st
from scramp import ScramClient  # type: ignore[import-untyped] # it ships no types

from fastsmtp.smtp.sasl import Credentials, KeysWanted, ResponseError, ScramKeys
from fastsmtp.smtp.scram import MESSAGE_OCTETS, derive_keys, scram

# RFC 7677 section 3: user "user", password "pencil"
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
KEYS = derive_keys("pencil", b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
PROVEN = Credentials("SCRAM-SHA-256", "user", is_proven=True)
NOT_PROVEN = Credentials("SCRAM-SHA-256", "user", is_proven=False)


def play(initial: bytes | None, *answers: Any, nonce: str | None = NONCE) -> list[Any]:
    """What the exchange gives to these answers, and the credentials at its end."""
    return played(scram(initial, nonce=nonce), *answers)


def test_the_example_of_the_rfc() -> None:
    whole = [KeysWanted("user"), SERVER_FIRST, SERVER_FINAL, PROVEN]
    assert play(CLIENT_FIRST, KEYS, CLIENT_FINAL, b"") == whole
    assert play(None, CLIENT_FIRST, KEYS, CLIENT_FINAL, b"") == [b"", *whole]


@pytest.mark.parametrize("name", ["joe@example.test", "a,b=c@example.test", "zoë@example.test"])
@pytest.mark.parametrize(("password", "is_proven"), [("pencil", True), ("pen", False)])
def test_a_client(name: str, password: str, is_proven: bool) -> None:
    client = ScramClient(["SCRAM-SHA-256"], name, password)
    keys = derive_keys("pencil", b"salt" * 4, 4096)
    first = client.get_client_first().encode()
    wanted, server_first = play(first, keys)
    assert wanted == KeysWanted(name)
    client.set_server_first(server_first.decode())
    final = client.get_client_final().encode()
    given = play(first, keys, final, b"")
    assert given[-1] == Credentials("SCRAM-SHA-256", name, is_proven=is_proven)
    if is_proven:
        client.set_server_final(given[2].decode())  # the server has the keys, too
    else:
        assert len(given) == 3


def test_nonces_are_new() -> None:
    server_firsts = [play(CLIENT_FIRST, KEYS, nonce=None)[1] for _ in range(2)]
    assert server_firsts[0] != server_firsts[1]
    assert all(len(server_first) > len(CLIENT_FIRST) + 24 for server_first in server_firsts)


@pytest.mark.parametrize(
    "final",
    [
        CLIENT_FINAL.replace(b"p=d", b"p=e"),
        CLIENT_FINAL.replace(b"c=biws", b"c=eSws"),  # y,, where it was n,,
        CLIENT_FINAL.replace(b"r=r", b"r=s"),
        b"",
        b"c=biws",
        b"c=biws,r=x,p=",
        CLIENT_FINAL + b",x=y",
    ],
)
def test_what_proves_nothing(final: bytes) -> None:
    assert play(CLIENT_FIRST, KEYS, final) == [KeysWanted("user"), SERVER_FIRST, NOT_PROVEN]


def test_keys_of_another_password() -> None:
    keys = ScramKeys(KEYS.salt, KEYS.iterations, bytes(32), bytes(32))
    assert play(CLIENT_FIRST, keys, CLIENT_FINAL)[-1] == NOT_PROVEN


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\xff",
        b"n,,",
        b"n,,n=user",
        b"n,,n=,r=abc",
        b"n,,r=abc,n=user",
        b"n,a=ann,n=user,r=abc",  # to act for somebody else
        b"p=tls-unique,,n=user,r=abc",  # SCRAM-SHA-256-PLUS is not offered
        b"n,,n=us=er,r=abc",
        b"n,,m=x,n=user,r=abc",
        b"n,,n=user,r=a b",
        b"n,,n=user,r=" + b"a" * MESSAGE_OCTETS,
    ],
)
def test_what_is_no_first_message(first: bytes) -> None:
    with pytest.raises(ResponseError):
        play(first)


@pytest.mark.parametrize("answers", [(CLIENT_FINAL, b"more"), (b"\xff",), (b"x" * (MESSAGE_OCTETS + 1),)])
def test_what_is_no_answer(answers: tuple[bytes, ...]) -> None:
    with pytest.raises(ResponseError):
        play(CLIENT_FIRST, KEYS, *answers)


@given(st.binary() | st.text("nyp,=rmab\x00c").map(str.encode), st.binary() | st.text("c,r=p:biws/+=").map(str.encode))
@example(CLIENT_FIRST, CLIENT_FINAL)
def test_no_message_is_too_strange(first: bytes, final: bytes) -> None:
    try:
        given = play(first, KEYS, final)
    except ResponseError:
        return
    assert isinstance(given[0], KeysWanted)
    assert given[-1] == SERVER_FINAL or given[-1].is_proven is False


def test_a_password_that_saslprep_forbids() -> None:
    with pytest.raises(ValueError, match="SCRAM does not take this password"):
        derive_keys("\ue000", b"salt" * 4, 4096)
