"""Clients whose address is on lists in the DNS."""

from typing import Any

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site

ZONE = """
7.2.0.192.one.test  A    127.0.0.2
7.2.0.192.one.test  TXT  "See one.test"
7.2.0.192.two.test  A    127.0.0.2
8.2.0.192.one.test  A    127.0.0.2
8.2.0.192.good.test A    127.0.10.1
9.2.0.192.one.test  A    127.255.255.254
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.one.test  A  127.0.0.4
"""
LISTS = ["one.test", "two.test", {"zone": "good.test", "weight": -2}]


def site(*others: Any, **options: Any) -> Site:
    users = ["user@example.test", "postmaster@example.test"]
    return Site([("dnsbl", {"lists": LISTS, **options}), *others], users=users, zone=ZONE)


def send(served: Site, ip: str, recipient: str = "user@example.test") -> str:
    return str(served.connect(ip).send("a@a.test", recipient, b"Subject: hi\n"))


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize(
    ("ip", "reply"),
    [
        ("192.0.2.1", "250"),
        ("192.0.2.7", "550 5.7.1 192.0.2.7 is listed by one.test: See one.test"),
        ("192.0.2.8", "250"),
        ("192.0.2.9", "250"),
        ("2001:db8::1", "550 5.7.1 2001:db8::1 is listed by one.test"),
        ("::ffff:192.0.2.7", "550 5.7.1 ::ffff:192.0.2.7 is listed by one.test: See one.test"),
    ],
)
def test_refused_at_rcpt(ip: str, reply: str, is_remembered: bool) -> None:
    with site() as served:
        served.resolver.is_remembered = is_remembered
        assert send(served, ip).startswith(reply)
        assert send(served, ip, "postmaster@example.test").startswith("250")


@pytest.mark.parametrize("is_remembered", [True, False])
def test_refused_in_place_of_the_greeting(is_remembered: bool) -> None:
    with site(action="reject", reason="go away, {address}") as served:
        served.resolver.is_remembered = is_remembered
        client = served.connect("192.0.2.7")
        assert str(client.greeting).startswith("554 5.7.1 go away, 192.0.2.7")
        assert not client.is_open
        assert served.connect("192.0.2.8").greeting.code == 220


def test_a_threshold() -> None:
    with site(threshold=2) as served:
        assert send(served, "192.0.2.7").startswith("550")
        assert send(served, "2001:db8::1").startswith("250")


def test_it_is_only_written_down() -> None:
    with site(action="record") as served:
        client = served.connect("192.0.2.7")
        assert client.send("a@a.test", "user@example.test", b"").code == 250
        (result,) = client.connection.results
        assert (result.outcome, result.evidence) == ("fail", "one.test (127.0.0.2), two.test (127.0.0.2): 2 of 1")


def test_what_is_written_down_of_the_good_and_of_trouble() -> None:
    with site() as served:
        served.resolver.fail("1.2.0.192.two.test")
        client = served.connect("192.0.2.1")
        client.send("a@a.test", "user@example.test", b"")
        assert [(result.outcome, result.evidence) for result in client.connection.results] == [
            ("error", "two.test: timeout"),
            ("pass", "not listed"),
        ]


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize("action", ["naughty", "reject"])
def test_trouble_refuses_nobody(action: str, is_remembered: bool) -> None:
    with site(action=action) as served:
        served.resolver.is_remembered = is_remembered
        served.resolver.fail()
        assert send(served, "192.0.2.7").startswith("250")


def test_nobody_is_kept_waiting_before_mail() -> None:
    with site() as served:
        served.resolver.hold()
        client = served.connect("192.0.2.7")
        assert client.hello().code == 250
        assert len(served.resolver.asked) == 3
        client.disconnect()


def test_nobody_gets_away_by_starting_tls() -> None:
    with site() as served:
        client = served.connect("192.0.2.7")
        client.hello()
        for _ in range(2):
            client.mail("a@a.test")
            assert client.rcpt("user@example.test").code == 550
            client.command("RSET")
            client.connection.naughty = None  # as STARTTLS does


def test_two_of_them() -> None:
    other = {"use": "dnsbl", "name": "trial", "mode": "shadow", "options": {"lists": ["two.test"]}}
    with site(other, threshold=2) as served:
        send(served, "192.0.2.7")
        assert served.count("fastsmtp_plugin_answers_total", plugin="trial", answer="naughty") == 1
        send(served, "192.0.2.8")
        assert served.count("fastsmtp_plugin_answers_total", plugin="trial", answer="naughty") == 1


@pytest.mark.parametrize(
    "ip", ["", "127.0.0.1", "10.1.2.3", "100.64.0.1", "169.254.1.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"]
)
def test_who_is_on_no_list(ip: str) -> None:
    with site() as served:
        assert send(served, ip).startswith("250")
        assert served.resolver.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "lists"),
        ({"lists": []}, "threshold is 1 to 0"),
        ({"lists": ["a.test", {"zone": "b.test", "weight": -5}], "threshold": 2}, "threshold is 1 to 1"),
        ({"lists": ["a.test"], "threshold": 0}, "threshold is 1 to 1"),
        ({"lists": ["a.test"], "reason": "{adress} is bad"}, r"there is no \{adress\}"),
    ],
)
def test_options_that_make_no_sense(options: Any, message: str) -> None:
    with pytest.raises(PluginLoadError, match=message):
        Site([("dnsbl", options)])
