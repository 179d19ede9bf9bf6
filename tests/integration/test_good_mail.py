"""Unusual good mail against every plugin at once, as strict as good mail permits, and junk that looks like it.

The server is a real one, and so is its DNS; clients come from everywhere, as a proxy says with XCLIENT.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest
from integration.clients.raw import RawClient
from integration.clients.senders import stuffed
from integration.server import ServerProcess, running_server
from refusals import without_ids
from zone import ZoneServer

SIX: Final = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
ZONE: Final = f"""
good.example                  MX   10 Mail.Good.Example.
good.example                  TXT  "v=spf1 a:mail.good.example ip6:2001:db8::/64 -all"
mail.good.example             A    198.51.100.1
mail.good.example             AAAA 2001:db8::1
mail.good.example             TXT  "v=spf1 a -all"
1.100.51.198.in-addr.arpa     PTR  Mail.Good.Example.
{SIX}.ip6.arpa PTR  mail.good.example
xn--bcher-kva.example         MX   10 mail.good.example
xn--bcher-kva.example         TXT  "v=spf1 redirect=good.example"
slow.example                  MX   10 away.example
nomail.example                MX   0 .
plain.example                 MX   10 mail.good.example
listed.example                A    198.51.100.9
9.100.51.198.in-addr.arpa     PTR  listed.example
9.100.51.198.bl.example       A    127.0.0.2
spam.example.bl.example       A    127.0.0.2
spam.example                  MX   10 mail.good.example
"""
TABLES: Final = """
[[listener]]
name = "proxied"
address = "127.0.0.1:0"
xclient = ["127.0.0.1"]

[[plugin]]
use = "fcrdns"
options = { refuse = "unconfirmed" }
[[plugin]]
use = "karma"
options = { rejected = 0, unknown_recipient = 0, relay = 0 }
[[plugin]]
use = "dnsbl"
options = { lists = ["bl.example"] }
[[plugin]]
use = "rate_limit"
options = { limits = [{ by = "address", rate = "1000/minute" }, { by = "sender", rate = "1000/minute" }] }
[[plugin]]
use = "helo"
options = { policy = "strict", skip = ["literal"] }
[[plugin]]
use = "block_sender"
options = { patterns = ["news-*@*"] }
[[plugin]]
use = "resolvable_sender"
[[plugin]]
use = "spf"
options = { softfail = "reject", permerror = "reject", helo = "always" }
[[plugin]]
use = "rhsbl"
options = { lists = ["bl.example"] }
[[plugin]]
use = "bogus_bounce"
[[plugin]]
use = "recipient_limit"
[[plugin]]
use = "harvest_guard"
options = { delay = 0 }
[[plugin]]
use = "loop"
[[plugin]]
use = "headers"
[[plugin]]
use = "authentication_results"
"""
USERS: Final = ("alice@example.test", "bob@example.test", "postmaster@example.test", "jürgen@example.test")
IPV4, IPV6 = "198.51.100.1", "IPV6:2001:db8::1"
LISTED: Final = ("<ann@plain.example>", "198.51.100.9", "listed.example")
CONTENT: Final = b"From: a@good.example\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nSubject: hi\r\n\r\nHello!\r\n"


class Mail(NamedTuple):
    """What a client says; the refusal is the first that it hears, at whatever command, and empty for good mail."""

    name: str
    sender: str = "<ann@good.example>"
    address: str = IPV4
    helo: str = "mail.good.example"
    recipients: tuple[str, ...] = ("<alice@example.test>",)
    content: bytes = CONTENT
    refusal: str = ""


MAILS: Final = (
    Mail("from IPv6", address=IPV6),
    Mail("from an IPv4 address that came by IPv6", address="IPV6:::ffff:198.51.100.1"),
    Mail("upper case and a dot behind the name", "<ANN@GOOD.EXAMPLE>", helo="MAIL.Good.Example."),
    Mail("an A-label", "<ann@xn--bcher-kva.example>"),
    Mail("a U-label and a local part that is not ASCII", "<jürgen@BÜCHER.example> SMTPUTF8"),
    Mail("a recipient that is not ASCII", "<ann@good.example> SMTPUTF8", recipients=("<jürgen@example.test>",)),
    Mail("blanks in a local part", r'<"a b\"c"@good.example>'),
    Mail("a sender of a list (VERP)", "<list-bounces+alice=example.test@good.example>"),
    Mail("a long local part", f"<{'a' * 120}@good.example>"),
    Mail("its own address as HELO", helo="[198.51.100.1]"),
    Mail("its own address as HELO, IPv6", address=IPV6, helo="[IPv6:2001:DB8::1]"),
    Mail("an address as the sender's domain", "<ann@[198.51.100.1]>"),
    Mail("a bounce", "<>"),
    Mail("a bounce from IPv6", "<>", address=IPV6),
    Mail("a bounce from a host without a name to say", "<>", helo="[198.51.100.1]"),
    Mail("a bounce for somebody who is named twice", "<>", recipients=("<alice@example.test>", "<Alice@EXAMPLE.test>")),
    Mail("a sender whose mail server cannot be looked up", "<ann@slow.example>"),
    Mail("for the postmaster, from a host on a list", *LISTED, recipients=("<postmaster>",)),
    Mail("for the postmaster of the domain, likewise", *LISTED, recipients=("<PostMaster@Example.TEST>",)),
    Mail("a route", "<@relay.example:ann@good.example>"),
    Mail("with 26 hops", content=b"Received: from a by b; Tue, 14 Nov 2023 22:13:20 +0000\r\n" * 26 + CONTENT),
    Mail("delivered to somebody else before", content=b"Delivered-To: bob@example.test\r\n" + CONTENT),
    Mail("forged, IPv6", address="IPV6:2001:db8:0:1::1", refusal="550 5.7.23"),
    Mail("forged, an IDN", "<ann@bücher.example> SMTPUTF8", "203.0.113.1", refusal="550 5.7.23"),
    Mail("HELO forged", "<>", "203.0.113.1", refusal="550 5.7.23 203.0.113.1 may not send mail for mail.good.example"),
    Mail("on a list", *LISTED, refusal="550 5.7.1 198.51.100.9 is listed by bl.example"),
    Mail("a sender on a list, upper case", "<a@SPAM.example>", refusal="550 5.7.1 spam.example is listed by bl"),
    Mail("takes no mail", "<a@nomail.example>", refusal="550 5.7.27"),
    Mail("an address of nobody", "<a@[127.0.0.1]>", refusal="550 5.1.8"),
    Mail("an address of nobody, IPv6", "<a@[IPv6:::1]>", refusal="550 5.1.8"),
    Mail("our own name", helo="MX.Example.TEST.", refusal="550 5.7.1 That is my name, not yours"),
    Mail("a bounce for two", "<>", recipients=("<alice@example.test>", "<bob@example.test>"), refusal="550 5.7.1"),
    Mail("been here before", content=b"Delivered-To: ALICE@example.test\r\n" + CONTENT, refusal="554 5.4.6"),
    Mail("two of From", content=b"From: b@good.example\r\n" + CONTENT, refusal="550 5.6.0"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ZoneServer(ZONE) as dns:
        dns.fail("away.example")
        settings = {"dns.servers": [dns.address], "directory.postmaster": "postmaster@example.test"}
        folder = tmp_path_factory.mktemp("good")
        with running_server(folder, settings, users=USERS, plugins=TABLES) as server:
            yield server


def refusal_of(client: RawClient, mail: Mail) -> str:
    """The first refusal, or nothing: then it is stored."""
    commands = [f"MAIL FROM:{mail.sender}", *(f"RCPT TO:{recipient}" for recipient in mail.recipients), "DATA"]
    for command in commands:
        reply = client.say(command.encode())
        if reply[:1] in (b"4", b"5"):
            return without_ids(reply).decode()
    client.send(stuffed(mail.content))
    reply = client.reply()
    return without_ids(reply).decode() if reply[:1] in (b"4", b"5") else ""


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.name)
def test_it_is_what_it_is(server: ServerProcess, mail: Mail) -> None:
    with RawClient(server.connect("proxied")) as client:
        client.say(b"EHLO proxy.example")
        assert client.say(f"XCLIENT ADDR={mail.address} NAME=[UNAVAILABLE]".encode()).startswith(b"220 ")
        assert client.say(f"EHLO {mail.helo}".encode()).startswith(b"250-")
        refusal = refusal_of(client, mail)
        assert refusal.startswith(mail.refusal) if mail.refusal else not refusal, refusal


def test_nothing_of_it_was_a_fault(server: ServerProcess) -> None:
    assert server.metric("fastsmtp_plugin_answers_total", answer="fault") == 0
    assert server.troubles() == []
