"""The table, and that a session does what it says: every state with every verb."""

from itertools import product
from typing import Literal

import pytest
from driver import MESSAGE, Driver

from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.options import AuthOptions
from fastsmtp.smtp.replies import MAIL_FIRST, TLS_FIRST, Reply
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transitions import LMTP_TRANSITIONS, TRANSITIONS, Dropped, State, mermaid, table_of

WAYS = {
    State.CONNECTED: [],
    State.GREETED: ["EHLO client.example"],
    State.SENDER: ["EHLO client.example", "MAIL FROM:<ann@example.org>"],
    State.RECIPIENTS: ["EHLO client.example", "MAIL FROM:<ann@example.org>", "RCPT TO:<alice@example.test>"],
    State.CHUNKS: [
        "EHLO client.example",
        "MAIL FROM:<ann@example.org>",
        "RCPT TO:<alice@example.test>",
        "BDAT 3\r\nx",
    ],
    State.REFUSED: ["EHLO client.example", "BDAT 3\r\nx"],
}
LMTP_WAYS = {state: [line.replace("EHLO", "LHLO") for line in lines] for state, lines in WAYS.items()}
GOOD = {
    b"LHLO": "LHLO client.example",
    b"HELO": "HELO client.example",
    b"EHLO": "EHLO client.example",
    b"MAIL": "MAIL FROM:<ben@example.org>",
    b"RCPT": "RCPT TO:<bob@example.test>",
    b"VRFY": "VRFY bob",
    b"BDAT": "BDAT 4\r\nno",
    b"AUTH": "AUTH PLAIN",
}
ALL_VERBS = sorted(set().union(*TRANSITIONS.values()))


def at(state: State, protocol: Literal["smtp", "lmtp"] = "smtp") -> Driver:
    driver = Driver(starttls=True, auth=AuthOptions(mechanisms(["PLAIN"]), require_tls=False), protocol=protocol)
    driver.open()
    driver.say(*(WAYS if protocol == "smtp" else LMTP_WAYS)[state])
    assert driver.session.state is state
    return driver


def test_every_state_in_which_commands_come_knows_every_verb() -> None:
    assert TRANSITIONS.keys() == LMTP_TRANSITIONS.keys() == set(State) - {State.SASL, State.MESSAGE, State.CLOSED}
    for row in (*TRANSITIONS.values(), *LMTP_TRANSITIONS.values()):
        assert sorted(row) == ALL_VERBS


@pytest.mark.parametrize(("state", "verb"), list(product(TRANSITIONS, ALL_VERBS)), ids=str)
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_a_session_obeys_the_table(protocol: Literal["smtp", "lmtp"], state: State, verb: bytes) -> None:
    driver = at(state, protocol)
    transaction = driver.session.transaction
    said = driver.say(GOOD.get(verb, verb.decode()))
    target = (TRANSITIONS if protocol == "smtp" else LMTP_TRANSITIONS)[state][verb]
    if isinstance(target, Dropped):
        assert said == str(target.reply)
        assert driver.session.state is target.state
        assert driver.session.transaction is None
    elif verb == b"BDAT":
        assert said == (str(MAIL_FIRST) if state is State.REFUSED else "250 2.0.0 4 octets received")
        assert driver.session.state is (State.REFUSED if state is State.REFUSED else State.CHUNKS)
    elif isinstance(target, Reply):
        assert said == str(target)
        assert driver.session.state is (State.CLOSED if target.closes else state)
    else:
        assert said[0] in "23"
        if verb == b"STARTTLS":
            driver.secure(TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", 128))
        assert driver.session.state is target
    if driver.session.state is state and verb not in (b"RSET", b"HELO", b"EHLO", b"LHLO", b"BDAT"):
        assert driver.session.transaction is transaction


def test_a_chunk_is_message_until_its_end() -> None:
    for state in (State.RECIPIENTS, State.CHUNKS):
        driver = at(state)
        assert driver.say("BDAT 100 LAST") == ""
        assert driver.session.state is TRANSITIONS[state][b"BDAT"] is State.MESSAGE
        for verb in ALL_VERBS[:3]:
            assert driver.say(GOOD.get(verb, verb.decode())) == ""


@pytest.mark.parametrize("state", list(TRANSITIONS))
@pytest.mark.parametrize("line", ["XYZZY", "", "MAILFROM:<a@b.c>", "helo", "RSET x", "DATA x", "QUIT x", "VRFY"])
def test_a_command_that_is_wrong_in_itself_changes_nothing(state: State, line: str) -> None:
    driver = at(state)
    transaction = driver.session.transaction
    recipients = list(transaction.recipients) if transaction else []
    assert driver.say(line)[0] == "5"
    assert driver.session.state is state
    assert driver.session.transaction is transaction
    assert (transaction.recipients if transaction else []) == recipients


def test_in_the_message_nothing_is_a_command() -> None:
    driver = at(State.RECIPIENTS)
    driver.say("DATA")
    for verb in ALL_VERBS:
        assert driver.say(GOOD.get(verb, verb.decode())) == ""
        assert driver.session.state is State.MESSAGE
    assert driver.say(MESSAGE) == "250 2.0.0 stored"
    assert driver.session.state is State.GREETED


def test_in_an_authentication_nothing_is_a_command() -> None:
    driver = at(State.GREETED)
    for verb in ALL_VERBS:
        assert driver.say("AUTH PLAIN") == "334 "
        assert driver.session.state.name == "SASL"
        assert driver.say(f"{GOOD.get(verb, verb.decode())} {verb.decode()}").startswith("501 5.5.2 ")
        assert driver.session.state.name == "GREETED"
        driver.session._errors = 0  # noqa: SLF001 - more of them than a client may make


def test_mermaid() -> None:
    lines = mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert "    recipients --> message: DATA, BDAT" in lines
    assert "    sender --> recipients: RCPT" in lines
    assert "    connected --> greeted: HELO, EHLO" in lines
    assert "    chunks --> message: BDAT" in lines
    assert "    sender --> refused: BDAT refused" in lines
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_where_tls_is_required_little_may_be_said_before(protocol: Literal["smtp", "lmtp"]) -> None:
    hello = b"EHLO" if protocol == "smtp" else b"LHLO"
    for state, row in table_of(protocol, tls_first=True).items():
        usual = table_of(protocol)[state]
        assert row.keys() == usual.keys()
        for verb in (b"NOOP", hello, b"STARTTLS", b"QUIT", b"GET"):
            assert row[verb] == usual[verb]
        for verb in (b"MAIL", b"RCPT", b"DATA", b"RSET", b"VRFY", b"HELP", b"AUTH"):
            assert row[verb] == TLS_FIRST
        assert row[b"BDAT"] == Dropped(TLS_FIRST, state)


def test_with_tls_everything_may_be_said() -> None:
    driver = Driver(starttls=True, requires_tls=True).greet()
    assert driver.say("MAIL FROM:<ann@example.org>", "BDAT 6\r\nQUIT", "NOOP").split("\r\n") == [
        "530 5.7.0 Say STARTTLS first",
        "530 5.7.0 Say STARTTLS first",
        "250 2.0.0 OK",
    ]
    driver.say("STARTTLS")
    driver.session.secured(TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256))
    driver.say("EHLO client.example")
    assert driver.say("MAIL FROM:<ann@example.org>").startswith("250 ")
