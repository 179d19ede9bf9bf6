"""Mail refused by its sender."""

from pathlib import Path

import pytest
from lists import rewrite, until

from fastsmtp.errors import DirectoryError, PluginLoadError
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
            "<a@spam.example> is blocked by spam.example",
        )
        assert site.delivered == {}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "plugin[0].options: name at least one of `addresses`, `domains`, `patterns`, `file` and `directory`"),
        ({"domains": ["no domain"]}, "plugin[0].options: 'no domain' is not a domain name"),
        ({"addresses": ["nobody"]}, "plugin[0].options: 'nobody' is not of the form user@domain"),
        ({"domain": ["a.example"]}, "plugin[0].options.domain: unknown option; did you mean 'domains'?"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError) as caught:
        block_sender(**options)
    assert problem in caught.value.problems


def test_patterns_and_what_is_spared_of_them() -> None:
    with block_sender(patterns=["*-bounces@*", "/x[0-9]+@.*/", "!list-bounces@good.example"]) as site:
        client = site.connect()
        client.hello()
        senders = ("a-bounces@b.example", "x12@b.example", "list-bounces@good.example", "")
        assert [client.command(f"MAIL FROM:<{sender}>").code for sender in senders] == [550, 550, 250, 503]


def test_a_file_that_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "senders"
    file.write_text("spam.example  We know you\n")
    with block_sender(file=str(file), addresses=["bad@example.org"]) as site:
        assert str(site.connect().send("a@spam.example", "user@example.test", b"")) == "550 5.7.1 We know you"
        assert site.connect().send("bad@example.org", "user@example.test", b"").code == 550
        rewrite(file, "other.example\n")
        until(site, lambda: site.connect().send("a@spam.example", "user@example.test", b"").code == 250)
        assert site.connect().send("a@other.example", "user@example.test", b"").code == 550
        assert site.connect().send("bad@example.org", "user@example.test", b"").code == 550


def test_a_bad_file_is_told_at_once_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "senders"
    file.write_text("good.example\n*.spam.example\n/(a+)+/\n")
    with pytest.raises(PluginLoadError) as caught:
        block_sender(file=str(file))
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [f"{file}:2", f"{file}:3"]


def test_the_list_in_the_directory() -> None:
    site = block_sender(directory=True, patterns=["!good@spam.example"])
    site.lists.entries["sender"] = {"spam.example": "We know you"}
    with site:
        client = site.connect()
        assert str(client.send("a@mail.spam.example", "user@example.test", b"")) == "550 5.7.1 We know you"
        assert client.send("good@spam.example", "user@example.test", b"").code == 250
        site.lists.entries["sender"] = {"*@other.example": ""}
        until(site, lambda: client.send("a@spam.example", "user@example.test", b"").code == 250)
        reply = client.send("a@other.example", "user@example.test", b"")
        assert str(reply) == "550 5.7.1 Mail from this sender is not taken here"
    assert site.plugins[0].plugin.reads_lists == ("sender",)


def test_a_site_does_not_start_without_its_list() -> None:
    site = block_sender(directory=True)
    site.lists.trouble = DirectoryError("it is away")
    with pytest.raises(DirectoryError, match="it is away"), site:
        pass
