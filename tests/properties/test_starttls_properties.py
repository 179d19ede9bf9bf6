"""Whatever was said before STARTTLS: behind the handshake a session is a new one, octet for octet."""

from driver import Driver
from hypothesis import given
from hypothesis import strategies as st
from properties.test_session_properties import MESSAGE_SIZE, RECIPIENTS, answer_rcpt, walks

from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transitions import State

FACTS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
ENDS = ("QUIT", "GET /", "BDAT LAST", "BDAT 1844", "BDAT 5\0")


def new_driver() -> Driver:
    """One that never has enough of bad commands, since those stay counted."""
    return Driver(
        {Stage.RCPT: answer_rcpt},
        recipients=RECIPIENTS,
        errors=1_000_000,
        message_size=MESSAGE_SIZE,
        starttls=True,
    )


def go(driver: Driver, walk: list[tuple[str, str]]) -> list[str]:
    """What is said to a walk, until somebody hangs up."""
    said = []
    for line, message in walk:
        if driver.session.closing:
            break
        said.append(driver.say(line))
        if said[-1].startswith("354 "):
            said.append(driver.feed(f"{message}.\r\n".encode()))
    return said


@given(walks, st.binary(max_size=80), walks)
def test_a_new_session(before: list[tuple[str, str]], injected: bytes, behind: list[tuple[str, str]]) -> None:
    walked = new_driver()
    walked.open()
    go(walked, [(line, message) for line, message in before if not line.startswith(ENDS)])
    if walked.session.transaction is not None:
        assert walked.say("STARTTLS").startswith("503 ")
    walked.say("RSET", "EHLO client.example")
    assert walked.feed(b"STARTTLS\r\n" + injected) == "220 2.0.0 Ready to start TLS"
    assert walked.discarded == len(injected)
    assert walked.secure(FACTS) == ""
    assert walked.session.state is State.CONNECTED

    fresh = new_driver()
    fresh.session.secured(FACTS)
    fresh.open()
    stored, ended = walked.happened.count("stored"), len(walked.ended)
    assert go(walked, behind) == go(fresh, behind)
    assert walked.happened.count("stored") - stored == fresh.happened.count("stored")
    assert [one.outcome for one in walked.ended[ended:]] == [one.outcome for one in fresh.ended]
