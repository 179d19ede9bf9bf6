"""Mail refused by its sender."""

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site


def block_sender(**options: object) -> Site:
    return Site([("block_sender", options)])


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        ("bad@example.org", 550),
        ("BAD@Example.ORG", 550),
        ("good@example.org", 250),
        ("anybody@spam.example", 550),
        ("anybody@mail.spam.example", 550),
        ("anybody@a.b.spam.example", 550),
        ("anybody@notspam.example", 250),
        ("anybody@example", 250),
        ("anybody@[192.0.2.1]", 250),
        ("", 250),
    ],
)
def test_addresses_and_domains_with_what_is_below_them(sender: str, code: int) -> None:
    with block_sender(addresses=["Bad@example.org"], domains=["Spam.example"]) as site:
        client = site.connect()
        client.hello()
        assert client.mail(sender).code == code


def test_subdomains_can_be_spared() -> None:
    with block_sender(domains=["spam.example"], subdomains=False) as site:
        client = site.connect()
        client.hello()
        assert client.mail("a@mail.spam.example").code == 250
        client.say(b"RSET\r\n")
        assert client.mail("a@spam.example").code == 550


def test_internationalized_domains_are_the_same_in_both_forms() -> None:
    with block_sender(domains=["bücher.example"]) as site:
        client = site.connect()
        client.hello()
        assert client.mail("a@xn--bcher-kva.example").code == 550
        assert client.mail("a@bücher.example", "SMTPUTF8").code == 550


def test_the_client_hears_the_reason_and_the_record_says_who() -> None:
    with block_sender(domains=["spam.example"], reason="not from you") as site:
        reply = site.connect().send("a@spam.example", "user@example.test", b"")
        assert str(reply) == "550 5.7.1 not from you"
        (transaction,) = site.transactions
        (result,) = transaction.results
        assert (result.plugin, result.outcome, result.evidence) == (
            "block_sender",
            "fail",
            "<a@spam.example> is blocked",
        )
        assert site.delivered == {}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "plugin[0].options: name at least one of `addresses` and `domains`"),
        ({"domains": ["no domain"]}, "plugin[0].options: 'no domain' is not a domain name"),
        ({"addresses": ["nobody"]}, "plugin[0].options: 'nobody' is not of the form user@domain"),
        ({"domain": ["a.example"]}, "plugin[0].options.domain: unknown option; did you mean 'domains'?"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError) as caught:
        block_sender(**options)
    assert problem in caught.value.problems
