"""helo, spf and authentication_results in a real server that asks a real DNS server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from integration.clients.raw import RawClient
from integration.server import ServerProcess, running_server, wait_until
from refusals import without_ids
from zone import ZoneServer

ZONE: Final = """
mail.example.org          A    192.0.2.7
7.2.0.192.in-addr.arpa    PTR  mail.example.org
example.org               TXT  "v=spf1 include:_spf.example.org ~all"
_spf.example.org          TXT  "v=spf1 mx:example.org" " -all"
example.org               MX   10 mail.example.org
fail.example              TXT  "v=spf1 -all exp=why.fail.example"
why.fail.example          TXT  "%{c} is not ours: see http://fail.example/?from=%{S}"
mail.example.org          TXT  "v=spf1 a -all"
trouble.example           TXT  "v=spf1 a:broken.example -all"
broken.example            A    192.0.2.7
"""
TABLES: Final = """
[[listener]]
name = "trusting"
address = "127.0.0.1:0"
xclient = ["127.0.0.1"]

[[plugin]]
use = "helo"
options = { policy = "strict" }

[[plugin]]
use = "spf"

[[plugin]]
use = "authentication_results"
"""
CONTENT: Final = (
    b"Authentication-Results: (forged) MX.Example.Test 1; spf=pass\r\n\tsmtp.mailfrom=boss@example.org\r\n"
    b"Authentication-Results: mx.example.net; spf=pass\r\nSubject: hi\r\n\r\nbody\r\n"
)


@pytest.fixture(scope="module")
def dns() -> Iterator[ZoneServer]:
    with ZoneServer(ZONE) as dns:
        yield dns


@pytest.fixture(scope="module")
def server(dns: ZoneServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {
        "dns.servers": [dns.address],
        "dns.timeout": "1s",
        "dns.budget": "1s",
        "dns.failure_ttl": "1s",
        "directory.postmaster": "postmaster@example.test",
    }
    users = ("alice@example.test", "postmaster@example.test")
    with running_server(tmp_path_factory.mktemp("checks"), settings, users=users, plugins=TABLES) as server:
        yield server


@contextmanager
def client_from(server: ServerProcess, address: bytes, helo: bytes) -> Iterator[RawClient]:
    with RawClient(server.connect("trusting")) as client:
        client.say(b"EHLO proxy.example.org")
        assert client.say(b"XCLIENT ADDR=" + address).startswith(b"220 ")
        assert client.say(b"EHLO " + helo).startswith(b"250-")
        yield client


def results_of(server: ServerProcess, stored_as: str) -> list[dict[str, Any]]:
    wait_until(lambda: any(line["id"] == stored_as for line in server.log_lines("transaction")), "it is logged")
    (line,) = [line for line in server.log_lines("transaction") if line["id"] == stored_as]
    results: list[dict[str, Any]] = line["results"]
    return results


def message_of(server: ServerProcess, stored_as: str) -> bytes:
    (message,) = [one for one in server.messages("alice@example.test") if stored_as.encode() in one]
    return message


def test_good_mail_has_its_results_and_no_forged_ones(server: ServerProcess) -> None:
    with client_from(server, b"192.0.2.7", b"mail.example.org") as client:
        stored_as = client.deliver(CONTENT, sender=b"<ann@example.org>")
        bounce = client.deliver(b"\r\n", sender=b"<>")
    assert (
        b"Authentication-Results: mx.example.test;\n"
        b'\tspf=pass reason="include:_spf.example.org of example.org"\n\tsmtp.mailfrom=ann@example.org\n'
        b"Authentication-Results: mx.example.net; spf=pass\nSubject: hi\n\nbody\n"
    ) in message_of(server, stored_as)
    assert b"forged" not in message_of(server, stored_as)
    assert b'spf=pass reason="a of mail.example.org" smtp.helo=mail.example.org\n' in message_of(server, bounce)
    assert [(one["plugin"], one["outcome"], one.get("authentication")) for one in results_of(server, stored_as)] == [
        ("helo", "pass", None),
        ("spf", "pass", "spf=pass"),
        ("authentication_results", "fail", None),
    ]


def test_a_large_message_loses_forged_fields_and_nothing_else(server: ServerProcess) -> None:
    body = b"0123456789abcdef" * 4 + b"\r\n"
    with client_from(server, b"192.0.2.7", b"mail.example.org") as client:
        stored_as = client.deliver(CONTENT + body * 10_000, sender=b"<ann@example.org>")
    header, _, stored_body = message_of(server, stored_as).partition(b"\n\n")
    assert header.count(b"Authentication-Results:") == 2
    assert b"forged" not in header
    assert stored_body == b"body\n" + body.replace(b"\r\n", b"\n") * 10_000


def test_a_forged_sender_is_refused_with_the_words_of_its_domain(server: ServerProcess) -> None:
    with client_from(server, b"192.0.2.7", b"mail.example.org") as client:
        heard = without_ids(client.say(b"MAIL FROM:<o'boss@fail.example>")).splitlines()
        assert heard[:2] == [
            b"550-5.7.23 192.0.2.7 may not send mail for fail.example",
            b"550 5.7.23 fail.example says: 192.0.2.7 is not ours: see http://fail.example/?from=o%27boss%40fail.example",
        ]
        assert client.say(b"MAIL FROM:<ann@example.org>").startswith(b"250 2.1.0 ")
    with client_from(server, b"198.51.100.7", b"mail.example.org") as client:
        assert client.say(b"MAIL FROM:<>").startswith(b"550 5.7.23 198.51.100.7 may not send mail for mail.example.org")


@pytest.mark.parametrize(
    ("address", "helo", "said"),
    [
        (b"192.0.2.7", b"mx.example.test", b"That is my name, not yours"),
        (b"192.0.2.7", b"[192.0.2.8]", b"That is not the address from which you come"),
        (b"192.0.2.7", b"nowhere.example", b"The name in HELO leads to no address"),
        (b"192.0.2.8", b"mail.example.org", b"Your address has no name"),
        (b"192.0.2.7", b"[192.0.2.7]", b"Say the name of your host in HELO, not its address"),
    ],
)
def test_bad_names_are_refused_at_rcpt(server: ServerProcess, address: bytes, helo: bytes, said: bytes) -> None:
    with client_from(server, address, helo) as client:
        assert client.say(b"MAIL FROM:<ann@example.net>").startswith(b"250 ")
        assert client.say(b"RCPT TO:<alice@example.test>").startswith(b"550 5.7.1 " + said)
        assert client.say(b"RCPT TO:<postmaster>").startswith(b"250 ")


@pytest.mark.parametrize("misdeed", ["fail", "drop", "loop", "garbage", "id"])
def test_trouble_refuses_nobody_and_takes_no_longer_than_the_budget(
    server: ServerProcess, dns: ZoneServer, misdeed: str
) -> None:
    sender = f"x@{misdeed}.trouble.example".encode()
    broken = f"{misdeed}.broken.example"
    dns.zone[f"{misdeed}.trouble.example"] = {"TXT": [f'"v=spf1 a:{broken} -all"']}
    try:
        if misdeed in ("fail", "drop"):
            getattr(dns, misdeed)(broken)
        else:
            dns.lie(misdeed, broken)  # type: ignore[arg-type] # one of the lies
        with client_from(server, b"192.0.2.7", b"mail.example.org") as client:
            stored_as = client.deliver(b"\r\n", sender=b"<" + sender + b">")
    finally:
        dns.behave()
    (found,) = [one for one in results_of(server, stored_as) if one["plugin"] == "spf"]
    assert (found["outcome"], found["authentication"]) == ("error", "spf=temperror")
    assert b"spf=temperror" in message_of(server, stored_as)


def test_answers_that_do_not_fit_come_over_tcp(server: ServerProcess, dns: ZoneServer) -> None:
    policy = " ".join(f'" ip4:198.51.100.{number}"' for number in range(200))
    dns.zone["long.example"] = {"TXT": [f'"v=spf1" {policy} " ip4:192.0.2.7 -all"']}
    dns.truncate("long.example")
    with client_from(server, b"192.0.2.7", b"mail.example.org") as client:
        stored_as = client.deliver(b"\r\n", sender=b"<a@long.example>")
    dns.behave()
    assert b'spf=pass reason="ip4:192.0.2.7 of long.example"' in message_of(server, stored_as)
    assert ("tcp", "TXT", "long.example") in dns.asked


def test_a_flood_of_addresses_is_no_burden(server: ServerProcess, dns: ZoneServer) -> None:
    dns.zone["flood.example"] = {"TXT": ['"v=spf1 a:many.example -all"']}
    dns.zone["many.example"] = {"A": ["192.0.2.7"]}
    dns.lie("flood", "many.example")
    with client_from(server, b"192.0.2.7", b"mail.example.org") as client:
        assert client.say(b"MAIL FROM:<a@flood.example>").startswith((b"250 ", b"550 5.7.23 "))
    dns.behave()


def test_nothing_of_it_was_a_fault(server: ServerProcess) -> None:
    assert server.metric("fastsmtp_plugin_answers_total", answer="fault") == 0
    assert server.troubles() == []
