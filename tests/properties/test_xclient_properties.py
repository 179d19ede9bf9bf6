"""XCLIENT among other commands, in any order and at every split: it is who was said last, and nothing else changes."""

from driver import Driver
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.address import parse_mailbox
from fastsmtp.smtp.transitions import State

ADDRESSES = ["198.51.100.7", "2001:db8::7", "[UNAVAILABLE]"]
CLAIMS = [f"XCLIENT ADDR={'IPV6:' if ':' in address else ''}{address}" for address in ADDRESSES]
OTHERS = [
    "EHLO client.example",
    "HELO client.example",
    "MAIL FROM:<ann@example.org>",
    "RCPT TO:<alice@example.test>",
    "DATA",
    "Subject: XCLIENT ADDR=192.0.2.99\r\n\r\ntext\r\n.",
    "BDAT 33 LAST\r\nXCLIENT ADDR=192.0.2.99\r\n\r\n.\r\n.",
    "RSET",
    "XCLIENT",
    "XCLIENT ADDR=192.0.2.999",
    "XCLIENT HELO=other.example PROTO=ESMTP",
    "STARTTLS",
    "NOOP",
]
LINES = st.lists(st.sampled_from(CLAIMS + OTHERS), max_size=12)


def opened() -> Driver:
    driver = Driver(xclient=True, errors=1000, unknown_commands=1000)
    driver.open()
    return driver


@given(LINES)
def test_the_client_is_who_was_said_last(lines: list[str]) -> None:
    driver = opened()
    expected = "192.0.2.1"
    for line in lines:
        in_transaction = driver.session.transaction is not None
        in_message = driver.session.state is State.MESSAGE
        said = driver.say(line)
        if line in CLAIMS and not in_message:
            assert said.startswith("503 " if in_transaction else "220 ")
            if not in_transaction:
                expected = ADDRESSES[CLAIMS.index(line)].replace("[UNAVAILABLE]", "")
                assert driver.session.state is State.CONNECTED
                assert driver.session.connection.hello is None
        assert driver.session.connection.remote_address == expected
    for transaction in driver.ended:
        assert transaction.sender == parse_mailbox("ann@example.org")


@given(LINES)
def test_portions_do_not_matter(lines: list[str]) -> None:
    data = "".join(f"{line}\r\n" for line in lines).encode()
    whole, split = opened(), opened()
    heard = whole.feed(data)
    said = [split.feed(data[place : place + 1]) for place in range(len(data))]
    assert "\r\n".join(filter(None, said)) == heard
    assert split.happened == whole.happened
    assert split.session.connection.remote_address == whole.session.connection.remote_address
