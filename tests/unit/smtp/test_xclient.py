"""XCLIENT in a session: who the client is then, what is asked anew, and what stays."""

from typing import Any

import pytest
from driver import Driver

from fastsmtp.smtp.claims import XCLIENT_ATTRIBUTES
from fastsmtp.smtp.effects import Ask, Stage
from fastsmtp.smtp.record import Result
from fastsmtp.smtp.replies import Reply, defer, reject
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Connection

GREETING = "220 mx.example.test ESMTP fastsmtp"


def trusted(answers: dict[Stage, Any] | None = None, **options: Any) -> Driver:
    driver = Driver(answers, xclient=True, **options)
    driver.open()
    return driver


def facts(driver: Driver) -> tuple[str, int, str, int]:
    connection = driver.session.connection
    return connection.remote_address, connection.remote_port, connection.local_address, connection.local_port


def test_it_is_offered_to_those_who_may() -> None:
    assert f"XCLIENT {XCLIENT_ATTRIBUTES}" in trusted().say("EHLO proxy.example")
    stranger = Driver()
    stranger.open()
    assert "XCLIENT" not in stranger.say("EHLO client.example")


def test_for_others_nobody_knows_it() -> None:
    stranger = Driver().greet()
    assert stranger.say("XCLIENT ADDR=198.51.100.7") == "500 5.5.1 Command not recognized"
    stranger.envelope()
    assert stranger.say("XCLIENT ADDR=198.51.100.7") == "500 5.5.1 Command not recognized"
    asked: list[Ask] = []
    curious = Driver({Stage.VERB: asked.append})
    curious.greet().say("XCLIENT ADDR=198.51.100.7")
    assert [ask.subject for ask in asked] == [("XCLIENT", "ADDR=198.51.100.7")]


def test_another_client_is_there() -> None:
    driver = trusted()
    driver.say("EHLO proxy.example")
    before = driver.session.connection
    said = driver.say("XCLIENT NAME=client.example ADDR=198.51.100.7 PORT=4321 DESTADDR=203.0.113.25 DESTPORT=2525")
    assert said == GREETING
    after = driver.session.connection
    assert (driver.previous, driver.happened) == (before, ["client changed"])
    assert before.remote_address == "192.0.2.1"
    assert facts(driver) == ("198.51.100.7", 4321, "203.0.113.25", 2525)
    assert (after.remote_name, after.proxy_address, after.hello, after.id) == (
        "client.example",
        "192.0.2.1",
        None,
        "C1",
    )
    assert driver.say("MAIL FROM:<ann@example.org>").startswith("503 5.5.1 ")
    driver.say("EHLO client.example", "MAIL FROM:<ann@example.org>", "RCPT TO:<alice@example.test>")
    assert driver.say("DATA").startswith("354 ")


def test_what_is_not_said_stays() -> None:
    driver = trusted()
    driver.say("XCLIENT NAME=client.example ADDR=198.51.100.7 PORT=4321")
    driver.say("XCLIENT PORT=1")
    assert (facts(driver)[:2], driver.session.connection.remote_name) == (("198.51.100.7", 1), "client.example")
    driver.say("XCLIENT ADDR=IPV6:2001:db8::7")  # of whom neither port nor name is known
    assert (facts(driver)[:2], driver.session.connection.remote_name) == (("2001:db8::7", 0), "")
    assert driver.session.connection.proxy_address == "192.0.2.1"
    driver.say("XCLIENT ADDR=[UNAVAILABLE]")
    assert facts(driver) == ("", 0, "192.0.2.25", 25)


def test_nothing_of_the_one_before_is_left() -> None:
    driver = trusted()
    before = driver.session.connection
    before.results.append(Result("gate", "fail", "no"))
    before.naughty, before.naughty_by, before.early_talker = reject("5.7.1", "no"), "gate", True
    before.naughty_observed = True
    before.notes.put(driver)
    driver.say("XCLIENT ADDR=198.51.100.7")
    after = driver.session.connection
    assert not after.naughty_observed
    assert (after.results, after.naughty, after.naughty_by, after.early_talker) == ([], None, "", False)
    assert after.notes.get(Driver) is None
    assert (before.naughty_by, len(before.results), before.notes.get(Driver)) == ("gate", 1, driver)


def test_the_new_client_is_asked_about() -> None:
    about: list[Connection] = []
    driver = Driver({Stage.CONNECT: lambda _: about.append(driver.session.connection)}, xclient=True)
    assert driver.open() == GREETING
    driver.say("XCLIENT ADDR=198.51.100.7")
    assert [connection.remote_address for connection in about] == ["192.0.2.1", "198.51.100.7"]
    assert driver.happened == [Stage.CONNECT, "client changed", Stage.CONNECT]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(reject("5.7.1", "not you"), "554 5.7.1 not you"), (defer("4.7.1", "not now"), "421 4.7.1 not now")],
)
def test_a_client_who_is_refused_is_the_end(answer: Reply, said: str) -> None:
    driver = trusted()
    driver.session.asks |= {Stage.CONNECT}
    driver.answers[Stage.CONNECT] = answer
    assert driver.say("XCLIENT ADDR=198.51.100.7") == said
    assert driver.session.closing


def test_a_client_for_whom_there_is_no_room_is_the_end() -> None:
    driver = trusted()
    driver.change = Reply(421, "4.7.0", "too many", closes=True)
    assert driver.say("XCLIENT ADDR=198.51.100.7", "NOOP") == "421 4.7.0 too many"
    assert driver.session.closing


def test_not_within_a_transaction() -> None:
    driver = trusted()
    driver.say("EHLO proxy.example", "MAIL FROM:<ann@example.org>")
    assert driver.say("XCLIENT ADDR=198.51.100.7").startswith("503 5.5.1 ")
    driver.say("RCPT TO:<alice@example.test>")
    assert driver.say("XCLIENT ADDR=198.51.100.7").startswith("503 5.5.1 ")
    assert driver.session.connection.remote_address == "192.0.2.1"
    assert driver.say("DATA").startswith("354 ")


def test_a_fault_changes_nothing_and_is_counted() -> None:
    driver = trusted(errors=2)
    assert driver.say("XCLIENT ADDR=nowhere") == "501 5.5.4 Bad value of the XCLIENT attribute ADDR"
    assert driver.say("XCLIENT") == "501 5.5.4 Syntax: XCLIENT attribute=value ..."
    assert driver.happened == []
    assert driver.say("XCLIENT ADDR=198.51.100.7") == GREETING
    assert driver.say("XCLIENT NAME").startswith("421 4.7.0 ")  # the same client on the wire, after all
    assert driver.count("XCLIENT", "5xx") == 2


def test_it_may_be_said_in_one_group() -> None:
    driver = trusted()
    said = driver.say("EHLO proxy.example", "XCLIENT ADDR=198.51.100.7", "EHLO client.example", "NOOP").split("\r\n")
    assert [line[:4] for line in said if line[3] == " "] == ["250 ", "220 ", "250 ", "250 "]
    assert driver.session.connection.hello_name == "client.example"


@pytest.mark.parametrize(("protocol", "verb", "has_size"), [("ESMTP", "EHLO", True), ("SMTP", "HELO", False)])
def test_a_name_that_was_given_counts_as_given(protocol: str, verb: str, has_size: bool) -> None:
    driver = trusted()
    assert driver.say(f"XCLIENT ADDR=198.51.100.7 PROTO={protocol} HELO=client.example") == GREETING
    hello = driver.session.connection.hello
    assert hello is not None
    assert (hello.verb, hello.name, "SIZE" in hello.extensions) == (verb, "client.example", has_size)
    assert driver.say("MAIL FROM:<ann@example.org>").startswith("250 ")


def test_a_name_is_asked_about_too() -> None:
    refusal = reject("5.7.1", "what a name")
    driver = trusted({Stage.HELLO: lambda ask: refusal if ask.subject.name == "bad.example" else None})
    assert driver.say("XCLIENT HELO=bad.example PROTO=ESMTP") == "550 5.7.1 what a name"
    assert driver.session.connection.hello is None
    assert driver.say("MAIL FROM:<ann@example.org>").startswith("503 ")
    assert driver.say("XCLIENT HELO=good.example") == GREETING
    assert driver.say("MAIL FROM:<ann@example.org>").startswith("250 ")


def test_a_name_that_nobody_knows_is_none() -> None:
    driver = trusted()
    assert driver.say("XCLIENT HELO=[UNAVAILABLE] PROTO=ESMTP") == GREETING
    assert driver.session.connection.hello is None


def test_tls_stays() -> None:
    driver = trusted(starttls=True)
    driver.say("EHLO proxy.example", "STARTTLS")
    encrypted = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
    driver.session.secured(encrypted)
    driver.say("EHLO proxy.example", "XCLIENT ADDR=198.51.100.7")
    assert driver.session.connection.tls is encrypted
    said = driver.say("EHLO client.example")
    assert "STARTTLS" not in said
    assert "XCLIENT" in said


def test_the_trust_is_in_the_connection_and_not_in_the_claim() -> None:
    driver = trusted()
    for address in ("198.51.100.7", "198.51.100.8"):
        assert driver.say(f"XCLIENT ADDR={address}") == GREETING
        assert driver.session.connection.remote_address == address


def test_the_limits_of_a_client_begin_anew() -> None:
    driver = trusted(nonmail_commands=2, messages=1)
    for address in ("198.51.100.7", "198.51.100.8"):
        assert driver.say(f"XCLIENT ADDR={address}") == GREETING
        assert driver.say("EHLO client.example", "MAIL FROM:<ann@example.org>", "RSET").endswith("250 2.0.0 Flushed")
    driver.say(*["XCLIENT ADDR=198.51.100.9"] * 5)
    driver.say("EHLO client.example", "MAIL FROM:<ann@example.org>", "RSET")
    assert driver.say("MAIL FROM:<ann@example.org>").startswith("4")
