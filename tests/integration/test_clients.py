"""Real clients, a real server, and a recorder between them: what lies in the mailboxes is what went over the wire."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Final

import pytest
from integration.clients import trace
from integration.clients.postfix import running_postfix, why_not
from integration.clients.recorder import Recorder, recording
from integration.clients.senders import SENDERS, Mail, Sender, missing, require, run, with_swaks
from integration.clients.wire import Delivery
from integration.server import DEADLINE_S, ServerProcess, running_server, wait_until

from fastsmtp.smtp.address import parse_forward_path, parse_reverse_path

ALICE: Final = "alice@example.test"
BOB: Final = "bob@example.test"
CAROL: Final = "carol@example.test"
JOERG: Final = "jörg@example.test"
LOAD: Final = tuple(f"{number}load@example.test" for number in range(1, 5))
"""Postfix's smtp-source numbers the recipients of a message."""

MANY: Final = (ALICE, BOB, CAROL)
HEADER: Final = b"From: Ann <ann@example.org>\r\nTo: somebody@example.test\r\nSubject: a real client\r\n\r\n"
BODY: Final = b"Hello,\r\n\r\n.\r\n..\r\n.dots in front\r\nFrom here on: --\r\n\ttab, trailing blank \r\n\r\n"
PLAIN: Final = HEADER + BODY
EIGHT_BIT: Final = HEADER + "Grüße, 日本, naïve\r\n".encode() + b"\xe4\xf6\xfc in Latin-1\r\n"
LARGE: Final = HEADER + b"".join(b"%08d %s\r\n" % (number, b".x" * 45) for number in range(100_000))

every_sender = pytest.mark.parametrize(
    "sender",
    [pytest.param(sender, marks=pytest.mark.skipif(bool(sender.missing), reason=sender.missing)) for sender in SENDERS],
    ids=str,
)
needs_swaks = pytest.mark.skipif(bool(missing("swaks", "swaks")), reason=missing("swaks", "swaks"))
needs_smtp_source = pytest.mark.skipif(
    bool(missing("smtp-source", "postfix")), reason=missing("smtp-source", "postfix")
)
needs_postfix = pytest.mark.skipif(bool(why_not()), reason=why_not())


class Witness:
    """The server behind a recorder, and what is new in its mailboxes."""

    def __init__(self, server: ServerProcess, recorder: Recorder) -> None:
        self.endpoint = (recorder.host, recorder.port)
        self._recorder = recorder
        self._server = server
        self._before = set(self._files())

    def arrived(self) -> int:
        """How many files are new."""
        return len(set(self._files()) - self._before)

    def check(self, *, messages: int = 1) -> list[Delivery]:
        """Every file that is new is a copy of a delivery, and every recipient of a delivery has one, exactly."""
        deliveries = self._recorder.deliveries()
        assert len(deliveries) == messages
        expected = sorted(
            (delivery.id, recipient, delivery.content) for delivery in deliveries for recipient in _recipients(delivery)
        )
        found = []
        for file in set(self._files()) - self._before:
            stored = trace.split(file.read_bytes())
            assert file.parent == self._server.mailbox(stored.delivered_to) / "new"
            found.append((stored.id, stored.delivered_to, stored.content))
            _check_trace(stored, next(delivery for delivery in deliveries if delivery.id == stored.id))
        assert sorted(found) == expected
        assert self._server.unfinished() == []
        return deliveries

    def _files(self) -> Iterator[Path]:
        return self._server.mail_root.glob("*/*/new/*")


def _recipients(delivery: Delivery) -> list[str]:
    return [str(parse_forward_path(path, smtputf8=True)[0]) for path in delivery.recipients]


def _check_trace(stored: trace.Trace, delivery: Delivery) -> None:
    verb, _, name = delivery.hello.decode().partition(" ")
    assert stored.name == name
    smtputf8 = b" SMTPUTF8" in delivery.sender
    assert stored.protocol == ("UTF8SMTP" if smtputf8 else "ESMTP" if verb.upper() == "EHLO" else "SMTP")
    assert stored.return_path == str(parse_reverse_path(delivery.sender, smtputf8=True)[0])
    recipients = _recipients(delivery)
    assert stored.recipient == (recipients[0] if len(recipients) == 1 else None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("site"), users=[*MANY, JOERG, *LOAD, "load@example.test"]) as server:
        yield server


@pytest.fixture
def witness(server: ServerProcess) -> Iterator[Witness]:
    with recording(server.smtp_addresses[0]) as recorder:
        yield Witness(server, recorder)


def deliver(sender: Sender, mail: Mail, witness: Witness, folder: Path) -> None:
    """Send one mail, and see that it is stored as it was sent and that nothing of it was lost on the way there."""
    sender.deliver(witness.endpoint, mail, folder)
    [delivery] = witness.check()
    assert _recipients(delivery) == list(mail.recipients)
    assert delivery.content == mail.content.replace(b"\r\n", b"\n")


@every_sender
@pytest.mark.parametrize("recipients", [(BOB,), MANY], ids=["one", "several"])
def test_delivers(sender: Sender, recipients: tuple[str, ...], witness: Witness, tmp_path: Path) -> None:
    deliver(sender, Mail(PLAIN, recipients), witness, tmp_path)


@every_sender
def test_eight_bit(sender: Sender, witness: Witness, tmp_path: Path) -> None:
    deliver(sender, Mail(EIGHT_BIT), witness, tmp_path)


@every_sender
def test_ten_megabytes(sender: Sender, witness: Witness, tmp_path: Path) -> None:
    assert len(LARGE) > 10_000_000
    deliver(sender, Mail(LARGE, (ALICE, BOB)), witness, tmp_path)


@every_sender
def test_bounce(sender: Sender, witness: Witness, tmp_path: Path) -> None:
    deliver(sender, Mail(PLAIN, sender=""), witness, tmp_path)


@needs_swaks
def test_swaks_without_extensions(witness: Witness, tmp_path: Path) -> None:
    with_swaks(witness.endpoint, Mail(PLAIN, (ALICE, CAROL)), tmp_path, "--protocol", "SMTP")
    [delivery] = witness.check()
    assert delivery.hello == b"HELO swaks.example.org"


def test_smtplib_internationalized(witness: Witness) -> None:
    message = EmailMessage()
    message["From"] = "Ännchen <ännchen@bücher.example>"
    message["To"] = f"{JOERG}, {BOB}"
    message["Subject"] = "Grüße"
    message.set_content("Schöne Grüße\n", cte="8bit")
    with smtplib.SMTP(*witness.endpoint, local_hostname="smtplib.example.org", timeout=DEADLINE_S) as client:
        refused = client.send_message(message)
    assert refused == {}
    [delivery] = witness.check()
    assert delivery.sender.endswith(b" SMTPUTF8 BODY=8BITMIME")
    assert _recipients(delivery) == [JOERG, BOB]
    assert "Schöne Grüße\n".encode() in delivery.content


def test_smtplib_many_on_one_connection(witness: Witness) -> None:
    with smtplib.SMTP(*witness.endpoint, local_hostname="smtplib.example.org", timeout=DEADLINE_S) as client:
        for number in range(50):
            client.sendmail("ann@example.org", MANY[: number % 3 + 1], PLAIN + b"%d\r\n" % number)
    deliveries = witness.check(messages=50)
    assert [delivery.content.splitlines()[-1] for delivery in deliveries] == [b"%d" % number for number in range(50)]


@needs_smtp_source
@pytest.mark.parametrize(
    ("options", "messages", "recipients"),
    [
        (["-l", "4096"], 1, 1),
        (["-m", "60", "-s", "6", "-l", "300", "-d"], 60, 1),
        (["-m", "1100", "-l", "300", "-d"], 1100, 1),
        (["-m", "20", "-s", "4", "-l", "20000", "-r", "4"], 20, 4),
        (["-l", "10000000"], 1, 1),
    ],
    ids=[
        "one",
        "many in six sessions",
        "very many in one session",
        "several recipients in four sessions",
        "ten megabytes",
    ],
)
def test_smtp_source(options: list[str], messages: int, recipients: int, witness: Witness) -> None:
    host, port = witness.endpoint
    names = ["-M", "source.example.org", "-f", "ann@example.org", "-t", "load@example.test"]
    run(require("smtp-source"), *names, *options, f"inet:{host}:{port}")
    deliveries = witness.check(messages=messages)
    assert {len(delivery.recipients) for delivery in deliveries} == {recipients}


@needs_postfix
def test_postfix(server: ServerProcess) -> None:
    mails = [
        Mail(PLAIN, (BOB,)),
        Mail(PLAIN, MANY),
        Mail(EIGHT_BIT, (ALICE,)),
        Mail(PLAIN, (CAROL,), sender=""),
        Mail(EIGHT_BIT, (JOERG, BOB), sender="ännchen@example.org"),
        Mail(LARGE, (ALICE, BOB)),
    ]
    with recording(server.smtp_addresses[0]) as recorder:
        witness = Witness(server, recorder)
        with running_postfix(witness.endpoint) as postfix:
            for mail in mails:
                postfix.submit(mail)
            copies = sum(len(mail.recipients) for mail in mails)
            wait_until(lambda: witness.arrived() == copies, "Postfix has delivered everything")
        deliveries = witness.check(messages=len(mails))
    # It puts its own fields on top and says who submitted the mail.
    for mail in mails:
        body = mail.content.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
        matching = [delivery for delivery in deliveries if sorted(_recipients(delivery)) == sorted(mail.recipients)]
        assert any(delivery.content.partition(b"\n\n")[2] == body for delivery in matching)
