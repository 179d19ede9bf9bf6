"""Names of addresses that lead back."""

from typing import Any

import pytest

from fastsmtp.plugin import Authentication
from fastsmtp.testing import Site

ZONE = """
1.2.0.192.in-addr.arpa   PTR  good.test
good.test                A    192.0.2.9
good.test                A    192.0.2.1
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa  PTR  six.test
six.test                 AAAA 2001:db8::1
2.2.0.192.in-addr.arpa   PTR  false.test
false.test               A    192.0.2.99
3.2.0.192.in-addr.arpa   PTR  nowhere.test
3.2.0.192.in-addr.arpa   PTR  good3.test
good3.test               A    192.0.2.3
"""

FAIL = "550 5.7.25 Your address has no name that leads back to it"


def site(**options: Any) -> Site:
    return Site([("fcrdns", options)], users=["user@example.test", "postmaster@example.test"], zone=ZONE)


def send(served: Site, ip: str, recipient: str = "user@example.test") -> str:
    return str(served.connect(ip).send("a@a.test", recipient, b"Subject: hi\n"))


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize(
    ("ip", "outcome", "result", "name", "evidence"),
    [
        ("192.0.2.1", "pass", "pass", "good.test", "192.0.2.1 is good.test"),
        ("::ffff:192.0.2.1", "pass", "pass", "good.test", "192.0.2.1 is good.test"),
        ("2001:db8::1", "pass", "pass", "six.test", "2001:db8::1 is six.test"),
        ("192.0.2.3", "pass", "pass", "good3.test", "192.0.2.3 is good3.test"),
        ("192.0.2.2", "fail", "fail", "", "false.test is not 192.0.2.2"),
        ("192.0.2.7", "fail", "permerror", "", "192.0.2.7 has no name"),
    ],
)
def test_what_is_written_down(
    ip: str, outcome: str, result: str, name: str, evidence: str, is_remembered: bool
) -> None:
    with site() as served:
        served.resolver.is_remembered = is_remembered
        client = served.connect(ip)
        assert client.send("a@a.test", "user@example.test", b"").code == 250
        assert client.send("b@a.test", "user@example.test", b"").code == 250
        (found,) = client.connection.results
        assert (found.outcome, found.evidence) == (outcome, evidence)
        assert found.authentication == Authentication("iprev", result, (("policy", "iprev", ip),), name)
        assert client.connection.remote_name == name


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize(
    ("refuse", "refused"),
    [("nobody", []), ("no_name", ["192.0.2.7"]), ("unconfirmed", ["192.0.2.2", "192.0.2.7"])],
)
def test_who_is_refused(refuse: str, refused: list[str], is_remembered: bool) -> None:
    with site(refuse=refuse) as served:
        served.resolver.is_remembered = is_remembered
        for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.7"):
            assert send(served, ip).startswith(FAIL if ip in refused else "250")
            assert send(served, ip, "postmaster@example.test").startswith("250")


def test_nobody_gets_away_by_starting_tls() -> None:
    with Site([("fcrdns", {"refuse": "no_name"})], zone=ZONE) as served:
        client = served.connect("192.0.2.7")
        client.hello()
        for _ in range(2):
            client.mail("a@a.test")
            assert str(client.rcpt("user@example.test")).startswith(FAIL)
            client.command("RSET")
            client.connection.naughty = None  # as STARTTLS does


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize("trouble", ["1.2.0.192.in-addr.arpa", "good.test"])
def test_trouble_refuses_nobody(trouble: str, is_remembered: bool) -> None:
    with site(refuse="unconfirmed") as served:
        served.resolver.is_remembered = is_remembered
        served.resolver.fail(trouble, error="server failure")
        client = served.connect("192.0.2.1")
        assert client.send("a@a.test", "user@example.test", b"").code == 250
        (found,) = client.connection.results
        assert found.outcome == "error"
        assert found.evidence.endswith(": server failure")
        assert found.authentication is not None
        assert found.authentication.result == "temperror"


def test_it_begins_at_the_connection_and_the_greeting_does_not_wait() -> None:
    with site() as served:
        served.resolver.hold()
        client = served.connect("192.0.2.1")
        assert client.greeting.code == 220
        assert served.resolver.asked == [("PTR", "1.2.0.192.in-addr.arpa")]
        client.disconnect()


def test_a_silent_lookup_is_a_fault_of_the_plugin_only_after_its_timeout() -> None:
    entry = {"use": "fcrdns", "timeout": "10ms", "on_fault": "pass"}
    with Site([entry], zone=ZONE) as served:
        served.resolver.hold()
        client = served.connect("192.0.2.1")
        client.hello()
        assert client.mail("a@a.test").code == 250
        client.command("RSET")
        assert client.mail("a@a.test").code == 250
        client.disconnect()


def test_a_thousand_names_are_not_followed() -> None:
    zone = {"1.2.0.192.in-addr.arpa": {"PTR": [f"n{number}.test" for number in range(1000)]}}
    with Site(["fcrdns"], zone=zone) as served:
        assert send(served, "192.0.2.1").startswith("250")
        assert len(served.resolver.asked) == 11


def test_two_of_them_do_not_mix_up_what_they_found() -> None:
    strict = {"use": "fcrdns", "name": "strict", "mode": "shadow", "options": {"refuse": "no_name"}}
    with Site(["fcrdns", strict], zone=ZONE) as served:
        assert send(served, "192.0.2.7").startswith("250")
        assert served.count("fastsmtp_plugin_answers_total", plugin="strict", answer="naughty") == 1
        assert served.count("fastsmtp_plugin_answers_total", plugin="fcrdns", answer="naughty") == 0


def test_a_client_on_a_unix_socket_has_no_address() -> None:
    with site(refuse="unconfirmed") as served:
        assert send(served, "").startswith("250")
        assert served.resolver.asked == []
