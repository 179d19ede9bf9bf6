"""What a listener's sessions share, and the replies that are made of it once."""

import pytest

from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.options import AuthOptions, Room, SessionOptions


def test_the_greeting_begins_with_the_host_name() -> None:
    assert str(SessionOptions("mx.example.test").greeting) == "220 mx.example.test ESMTP fastsmtp"
    assert (
        str(SessionOptions("mx.example.test", banner="hello there").greeting) == "220 mx.example.test ESMTP hello there"
    )


def test_lmtp_says_so() -> None:
    assert str(SessionOptions("mx.example.test", "lmtp").greeting) == "220 mx.example.test LMTP fastsmtp"


def test_ehlo_lists_what_is_offered() -> None:
    options = SessionOptions("mx.example.test", message_size=1000)
    assert options.ehlo_reply.wire == (
        b"250-mx.example.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n"
        b"250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"
        b"250 LIMITS MAILMAX=100000 RCPTMAX=100\r\n"
    )
    assert options.helo_reply.wire == b"250 mx.example.test\r\n"


def test_starttls_is_offered_to_those_without_tls() -> None:
    options = SessionOptions("mx.example.test", starttls=True)
    assert options.ehlo_reply.wire.endswith(b" RCPTMAX=100\r\n250 STARTTLS\r\n")
    assert b"STARTTLS" not in options.tls_ehlo_reply.wire
    assert options.list_extensions(dict(options.extensions)) is options.ehlo_reply
    assert options.list_extensions(dict(options.tls_extensions)) is options.tls_ehlo_reply
    silent = SessionOptions("mx.example.test")
    assert silent.tls_extensions == options.tls_extensions == {**silent.extensions, "REQUIRETLS": ""}


AUTH = mechanisms(["LOGIN", "PLAIN"])


@pytest.mark.parametrize("starttls", [True, False])
def test_auth_is_offered_in_tls(starttls: bool) -> None:
    options = SessionOptions("mx.example.test", starttls=starttls, auth=AuthOptions(AUTH))
    assert options.tls_ehlo_reply.wire.endswith(b"250-REQUIRETLS\r\n250 AUTH LOGIN PLAIN\r\n")
    assert b"AUTH" not in options.ehlo_reply.wire
    assert (b"STARTTLS" in options.ehlo_reply.wire) is starttls


def test_auth_is_offered_to_everybody_where_that_is_wanted() -> None:
    options = SessionOptions("mx.example.test", starttls=True, auth=AuthOptions(AUTH, require_tls=False))
    assert options.ehlo_reply.wire.endswith(b"250-AUTH LOGIN PLAIN\r\n250 STARTTLS\r\n")
    assert options.tls_ehlo_reply.wire.endswith(b"250 AUTH LOGIN PLAIN\r\n")


def test_ehlo_with_what_plugins_made_of_the_list() -> None:
    options = SessionOptions("mx.example.test")
    assert options.list_extensions({}).wire == b"250 mx.example.test\r\n"
    assert options.list_extensions({"X-NEW": "1 2"}).wire == b"250-mx.example.test\r\n250 X-NEW 1 2\r\n"


def test_room_is_shared_and_there_is_enough_where_nobody_looks() -> None:
    assert SessionOptions("mx.example.test").room.octets > 2**60
    room = Room()
    options = SessionOptions("mx.example.test", room=room)
    room.octets = 5
    assert options.room.octets == 5
