"""Recipients of a message, by who sends it."""

from typing import Any

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site

USERS = tuple(f"user{number}@example.test" for number in range(6))


def taken(sender: str = "x@example.org", ip: str = "192.0.2.1", *, is_known: bool = False, **options: object) -> int:
    """How many of six recipients are taken."""
    with Site([("recipient_limit", options)], USERS) as site:
        client = site.connect(ip, is_known=is_known)
        client.hello()
        client.mail(sender)
        return [client.rcpt(user).code for user in USERS].count(250)


def test_everybody() -> None:
    assert taken() == 6
    assert taken(recipients=4) == 4
    assert taken(recipients=1) == 1
    assert taken(recipients=0) == 6


def test_networks() -> None:
    networks = {"192.0.2.0/24": 4, "192.0.2.128/25": 0, "2001:db8::/32": 5}
    assert [taken(ip=ip, recipients=2, networks=networks) for ip in ("192.0.2.1", "192.0.2.200", "2001:db8::1")] == [
        4,
        6,
        5,
    ]
    assert taken(ip="198.51.100.1", recipients=2, networks=networks) == 2


def test_senders_go_before_networks() -> None:
    limits: dict[str, Any] = {"networks": {"192.0.2.0/24": 5}, "senders": {"lists.example.org": 0, "news-*@*": 3}}
    assert taken("a@lists.example.org", **limits) == 6
    assert taken("News-1@example.org", **limits) == 3
    assert taken("a@example.org", **limits) == 5


def test_who_is_known() -> None:
    assert taken(recipients=2, known=5) == 2
    assert taken(recipients=2, known=5, is_known=True) == 5
    assert taken(recipients=2, is_known=True) == 2


def test_who_has_logged_in() -> None:
    options = {"recipients": 2, "users": 4}
    with Site([("recipient_limit", options)], USERS, passwords={"ann@example.test": "secret"}) as site:
        client = site.connect()
        client.login("ann@example.test", "secret")
        client.mail("ann@example.test")
        assert [client.rcpt(user).code for user in USERS] == [250, 250, 250, 250, 452, 452]


@pytest.mark.parametrize(
    ("options", "reply"),
    [
        ({}, "452 4.5.3 Too many recipients for one message of yours"),
        ({"action": "reject", "reason": "no"}, "550 5.5.3 no"),
    ],
)
def test_what_is_said_and_the_others_get_the_mail(options: dict[str, object], reply: str) -> None:
    with Site([("recipient_limit", {"recipients": 2, **options})], USERS) as site:
        client = site.connect()
        client.hello()
        client.mail("x@example.org")
        assert [str(client.rcpt(user)) for user in USERS[:4]][2:] == [reply, reply]
        assert client.data(b"Subject: hi\n\n").code == 250
        assert list(site.delivered) == list(USERS[:2])
        (result,) = site.transactions[0].results
        assert (result.outcome, result.evidence) == ("fail", "more than 2 recipients")
        assert client.send("x@example.org", USERS[2:4], b"Subject: hi\n\n").code == 250


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"recipients": -1}, "a limit is 0"),
        ({"networks": {"192.0.2.1/24": 1}}, "is no network, but an address in one"),
        ({"senders": {"*.example.org": 1}}, "is no pattern for addresses"),
        ({"senders": {"a@b.example": -2}}, "a limit is 0"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginLoadError, match=problem):
        taken(**options)
