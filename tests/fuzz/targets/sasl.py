"""An exchange ends with credentials that make sense or with a ResponseError; its challenges are lines of ASCII."""

from typing import Final

from fuzz.cutting import split

from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.sasl import (
    MECHANISMS,
    NAME_OCTETS,
    PASSWORD_OCTETS,
    Credentials,
    Exchange,
    KeysWanted,
    ResponseError,
    decode_response,
    encode_challenge,
)
from fastsmtp.smtp.scram import derive_keys, scram

NONCE: Final = "a-nonce-of-the-server"
KEYS: Final = derive_keys("pencil", b"a salt for all..", 4096)
MOST_RESPONSES: Final = 4


def check(data: bytes) -> None:
    """The first octet chooses the mechanism, and whether there is an initial response; then a response a line."""
    (chosen,), wire = split(data, 1)
    name = MECHANISMS[(chosen & 0x3F) % len(MECHANISMS)]
    responses = wire.split(b"\n")
    try:
        decoded = [line if chosen & 0x40 else decode_response(line) for line in responses]
    except ResponseError:
        return
    initial = decoded.pop(0) if chosen & 0x80 else None
    exchange = scram(initial, nonce=NONCE) if name == "SCRAM-SHA-256" else mechanisms([name])[name](initial)
    try:
        play(exchange, decoded)
    except ResponseError:
        return
    except StopIteration as end:
        check_credentials(end.value, name)


def play(exchange: Exchange, responses: list[bytes]) -> None:
    """Answer until it ends, or there is nothing more to answer."""
    wanted = next(exchange)
    challenges = 0
    while True:
        if isinstance(wanted, KeysWanted):
            wanted.user.encode()
            wanted = exchange.send(KEYS)
            continue
        challenges += 1
        assert challenges <= MOST_RESPONSES
        line = encode_challenge(wanted)
        assert line.isascii()
        assert line.startswith(b"334 ")
        assert line.count(b"\r\n") == 1
        if not responses:
            exchange.close()
            return
        wanted = exchange.send(responses.pop(0))


def check_credentials(credentials: Credentials, name: str) -> None:
    """Nobody without a name; a password only where it is still to be looked at."""
    assert credentials.mechanism == name
    assert "\0" not in credentials.user + credentials.password
    assert len(credentials.user.encode()) <= max(NAME_OCTETS, 1024)
    assert len(credentials.password.encode()) <= PASSWORD_OCTETS
    if name == "SCRAM-SHA-256":
        assert not credentials.password
        assert credentials.is_proven is not None
    else:
        assert credentials.user
        assert (credentials.is_proven is None) == bool(credentials.password)
