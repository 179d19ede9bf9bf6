"""What STARTTLS leaves behind: nothing. What a client hears to it is in tests/dialogs/starttls_*.txt."""

import pytest
from driver import NO, Driver

from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transitions import State

FACTS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, "mx.example.test")


def asked() -> Driver:
    """A client that has heard the 220."""
    driver = Driver(starttls=True).greet()
    assert driver.say("STARTTLS") == "220 2.0.0 Ready to start TLS"
    assert driver.happened[-1] == "starttls"
    return driver


def test_nothing_is_read_before_the_handshake() -> None:
    driver = asked()
    assert driver.session.is_waiting
    assert driver.run() == ""


def test_the_client_begins_anew() -> None:
    driver = asked()
    assert driver.secure(FACTS) == ""
    assert driver.connection.tls is FACTS
    assert driver.connection.hello is None
    assert driver.session.state is State.CONNECTED
    assert driver.say("MAIL FROM:<a@b.example>") == "503 5.5.1 Say HELO or EHLO first"
    assert "STARTTLS" not in driver.say("EHLO client.example")
    assert driver.say("STARTTLS") == "503 5.5.1 TLS is on already"


@pytest.mark.parametrize("injected", ["RSET\r\n", "MAIL FROM:<evil@example.org>\r\nRCPT", "XEV", "\r", "x" * 5000])
def test_what_stands_behind_it_is_thrown_away(injected: str) -> None:
    driver = Driver(starttls=True).greet()
    assert driver.feed(f"STARTTLS\r\n{injected}".encode()) == "220 2.0.0 Ready to start TLS"
    assert driver.discarded == len(injected)
    assert driver.secure(FACTS) == ""
    assert driver.session.pending_input == 0
    assert driver.say("NOOP") == "250 2.0.0 OK"


def test_who_has_logged_in_is_forgotten() -> None:
    driver = Driver(starttls=True).greet()
    driver.connection.user = "joe@example.test"
    driver.say("STARTTLS")
    driver.secure(FACTS)
    assert driver.connection.user == ""


def test_bad_commands_stay_counted() -> None:
    driver = Driver(starttls=True, errors=2).greet()
    driver.say("XYZZY", "XYZZY", "STARTTLS")
    driver.secure(FACTS)
    assert driver.say("XYZZY") == "421 4.7.0 Too many errors"


BAD = Reply(550, "5.7.1", "bad")


@pytest.mark.parametrize(("is_observed", "left"), [(True, (BAD, "somebody")), (False, (None, ""))])
def test_a_mark_for_what_we_have_seen_stays_and_one_for_a_name_goes(
    is_observed: bool, left: tuple[Reply | None, str]
) -> None:
    driver = Driver(starttls=True).greet()
    connection = driver.connection
    connection.naughty, connection.naughty_by, connection.naughty_observed = BAD, "somebody", is_observed
    driver.say("STARTTLS")
    driver.secure(FACTS)
    assert (connection.naughty, connection.naughty_by) == left


def test_nobody_else_answers_it() -> None:
    driver = asked()
    with pytest.raises(RuntimeError):
        driver.session.resume(NO)


def test_encrypted_from_the_start() -> None:
    driver = Driver(starttls=True)
    driver.session.secured(FACTS)
    assert driver.open().startswith("220 ")
    assert "STARTTLS" not in driver.say("EHLO client.example")


def test_shutting_down_meanwhile() -> None:
    driver = asked()
    driver.session.drain()
    assert driver.secure(FACTS).startswith("421 4.3.2 ")
