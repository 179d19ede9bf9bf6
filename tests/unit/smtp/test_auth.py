"""AUTH in the session: what it asks, what it keeps, where it stands. What clients hear is in tests/dialogs/auth_*."""

import gc
import sys
from base64 import b64encode
from types import FunctionType, ModuleType

import pytest
from driver import LATER, NO, WAIT, Answering, Driver
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.effects import Answer, Ask, Stage
from fastsmtp.smtp.mechanisms import mechanisms
from fastsmtp.smtp.options import AuthOptions
from fastsmtp.smtp.replies import AUTHENTICATED, Reply, accept
from fastsmtp.smtp.sasl import MECHANISMS, RESPONSE_LINE_BYTES, Credentials, KeysWanted
from fastsmtp.smtp.scram import derive_keys
from fastsmtp.smtp.tls import TlsFacts
from fastsmtp.smtp.transaction import Hello
from fastsmtp.smtp.transitions import State

OPTIONS = AuthOptions(mechanisms(MECHANISMS), require_tls=False)
FACTS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


PLAIN = base64("\0Joe@example.test\0secret-of-joe")
KEYS = derive_keys("secret", b"salt" * 4, 4096)


def driver(answer: Answering = None, options: AuthOptions = OPTIONS) -> Driver:
    return Driver({Stage.AUTH: answer}, auth=options)


def accepts(ask: Ask) -> Answer:
    """Lets everybody in, under a name of our own."""
    assert isinstance(ask.subject, Credentials)
    ask.subject.user = "joe@example.test"
    return AUTHENTICATED


def test_one_question_with_all_that_there_is_to_know() -> None:
    seen: list[Credentials] = []

    def answer(ask: Ask) -> Answer:
        assert isinstance(ask.subject, Credentials)
        seen.append(Credentials(ask.subject.mechanism, ask.subject.user, ask.subject.password))
        return accepts(ask)

    client = driver(answer).greet()
    assert client.say(f"AUTH PLAIN {PLAIN}") == "235 2.7.0 Authentication successful"
    assert seen == [Credentials("PLAIN", "Joe@example.test", "secret-of-joe")]
    assert client.happened == [Stage.AUTH]
    assert client.connection.user == "joe@example.test"
    assert client.session.state is State.GREETED
    assert (client.count("AUTH", "2xx"), client.count("AUTH", "3xx")) == (1, 0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "535 5.7.8 User or password is wrong"),
        (NO, "550 5.7.1 no"),
        (LATER, "450 4.7.1 later"),
        (LATER.hang_up(), "450 4.7.1 later"),
    ],
)
def test_who_is_not_let_in(answer: Reply | None, said: str) -> None:
    client = driver(answer).greet()
    assert client.say(f"AUTH PLAIN {PLAIN}") == said
    assert client.connection.user == ""
    assert client.session.closing is bool(answer and answer.closes)


def test_an_acceptance_has_one_code() -> None:
    # RFC 4954 section 6
    assert driver(accept("come in")).greet().say(f"AUTH PLAIN {PLAIN}") == "235 2.7.0 Authentication successful"


def test_only_refusals_for_good_are_tries() -> None:
    client = driver(LATER).greet()
    for _ in range(5):
        assert client.say(f"AUTH PLAIN {PLAIN}") == "450 4.7.1 later"
    client.answers[Stage.AUTH] = NO
    for _ in range(OPTIONS.tries):
        assert client.say(f"AUTH PLAIN {PLAIN}") == "550 5.7.1 no"
    assert client.say(f"AUTH PLAIN {PLAIN}") == "421 4.7.0 Too many wrong passwords"
    assert client.session.closing


def test_malformed_responses_are_bad_commands() -> None:
    client = driver(accepts).greet()
    for _ in range(20):
        assert client.say("AUTH PLAIN", "no").splitlines() == [
            "334 ",
            "501 5.5.2 Not base64, or not what the mechanism has there",
        ]
    assert client.say("AUTH PLAIN", "no").splitlines()[-1] == "421 4.7.0 Too many errors"


def test_whoever_waits_has_no_commands() -> None:
    client = driver(WAIT).greet()
    assert client.say(f"AUTH PLAIN {PLAIN}", "NOOP", "QUIT") == ""
    assert client.session.is_waiting
    assert client.session.state is State.SASL
    assert client.resume(NO) == "550 5.7.1 no\r\n250 2.0.0 OK\r\n221 2.0.0 Bye"


@pytest.mark.parametrize("answer", [None, accepts])
@pytest.mark.parametrize(
    "lines",
    [
        [f"AUTH PLAIN {PLAIN}"],
        ["AUTH PLAIN", PLAIN],
        ["AUTH LOGIN", base64("joe"), base64("secret-of-joe")],
        ["AUTH PLAIN", base64("secret-of-joe")],
        ["AUTH LOGIN", base64("joe"), f"{base64('secret-of-joe')}?"],
    ],
)
def test_nothing_of_a_password_stays(answer: Answering, lines: list[str]) -> None:
    kept: list[object] = []

    def remember(ask: Ask) -> Answer:
        kept.append(ask.subject)
        return answer(ask) if callable(answer) else answer

    client = driver(remember).greet()
    for line in lines:
        data = f"{line}\r\n".encode()
        held = sys.getrefcount(data)
        client.session.feed(data)
        client.run()
        assert sys.getrefcount(data) == held  # the parser has let go of what it read
    left = [text for text in texts_in([client, kept]) if "secret" in text or PLAIN in text]
    assert left == []


def texts_in(root: object) -> list[str]:
    """The texts and octets that can be reached from an object, but for those that everybody has."""
    found: dict[int, object] = {}
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if id(value) not in found and not isinstance(value, type | ModuleType | FunctionType):
            found[id(value)] = value
            waiting += gc.get_referents(value)
    return [str(value) for value in found.values() if isinstance(value, str | bytes)]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_plugin_may_offer_less(mechanism: str) -> None:
    def less(ask: Ask) -> None:
        assert isinstance(ask.subject, Hello)
        ask.subject.offer("AUTH", mechanism)

    client = Driver({Stage.HELLO: less, Stage.AUTH: accepts}, auth=OPTIONS).greet()
    heard = client.say(f"AUTH PLAIN {PLAIN}")
    assert heard[:3] == ("235" if mechanism == "PLAIN" else "504")


def test_a_plugin_may_take_it_away() -> None:
    def nothing(ask: Ask) -> None:
        assert isinstance(ask.subject, Hello)
        ask.subject.withdraw("AUTH")

    client = Driver({Stage.HELLO: nothing, Stage.AUTH: accepts}, auth=OPTIONS).greet()
    assert client.say(f"AUTH PLAIN {PLAIN}").startswith("502 ")


def test_a_plugin_cannot_offer_it_in_the_open() -> None:
    def offer(ask: Ask) -> None:
        assert isinstance(ask.subject, Hello)
        ask.subject.offer("AUTH", "PLAIN")

    options = AuthOptions(OPTIONS.mechanisms)
    client = Driver({Stage.HELLO: offer, Stage.AUTH: accepts}, auth=options).greet()
    assert client.say(f"AUTH PLAIN {PLAIN}").startswith("538 5.7.11 ")
    client.session.secured(FACTS)
    client.say("EHLO client.example")
    assert client.say(f"AUTH PLAIN {PLAIN}").startswith("235 ")


# --- SCRAM -----------------------------------------------------------------------------------------------------------

SCRAM_FIRST = base64("n,,n=Joe@example.test,r=abc")


def test_keys_are_asked_for_and_then_the_question_is_the_same() -> None:
    asked: list[object] = []

    def answer(ask: Ask) -> Answer:
        asked.append(ask.subject)
        return KEYS if isinstance(ask.subject, KeysWanted) else NO

    client = driver(answer).greet()
    assert client.say(f"AUTH SCRAM-SHA-256 {SCRAM_FIRST}").startswith("334 ")
    assert client.say(base64("c=biws,r=abc,p=AAAA")) == "550 5.7.1 no"
    assert asked == [
        KeysWanted("Joe@example.test"),
        Credentials("SCRAM-SHA-256", "Joe@example.test", is_proven=False),
    ]
    assert client.count("AUTH", "3xx") == 1


@pytest.mark.parametrize(("answer", "said"), [(LATER, "450 4.7.1 later"), (None, "454 4.7.0 Cannot check that now")])
def test_without_keys_there_is_no_exchange(answer: Reply | None, said: str) -> None:
    client = driver(answer).greet()
    assert client.say(f"AUTH SCRAM-SHA-256 {SCRAM_FIRST}").startswith(said)
    assert client.session.state is State.GREETED
    assert client.say("NOOP") == "250 2.0.0 OK"


# --- lines -----------------------------------------------------------------------------------------------------------


def test_the_longest_response() -> None:
    client = driver(accepts, AuthOptions({"PLAIN": mechanisms(["PLAIN"])["PLAIN"]}, require_tls=False)).greet()
    client.say("AUTH PLAIN")
    longest = "A" * (RESPONSE_LINE_BYTES - len("\r\n"))
    assert client.say(longest).startswith("501 5.5.2 ")  # too long for a password, but a line
    client.say("AUTH PLAIN")
    assert client.say(f"{longest}A") == "500 5.5.6 Response too long"


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([PLAIN.encode(), b"*", b"=", b"QUIT", b"MAIL FROM:<>"]), max_size=6
    )
)
def test_an_exchange_ends_and_commands_come_back(lines: list[bytes]) -> None:
    client = driver(accepts).greet()
    client.say("AUTH LOGIN")
    for line in lines:
        client.feed(line.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n")
    if not client.session.closing:
        while client.session.state is State.SASL:
            client.say("*")
        assert client.say("NOOP").endswith("250 2.0.0 OK")


def test_the_client_leaves_in_the_middle() -> None:
    client = driver(WAIT).greet()
    client.say("AUTH LOGIN", base64("joe"))
    assert client.lose() == ""
    assert client.happened == []


def test_shutting_down_in_the_middle() -> None:
    client = driver(accepts).greet()
    client.say("AUTH LOGIN")
    client.session.drain()
    assert client.run() == "421 4.3.2 Shutting down, come again soon"
    assert client.say(base64("joe")) == ""
