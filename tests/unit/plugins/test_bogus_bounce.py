"""Bounces that go to several people."""

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site

USERS = ("ann@example.test", "bob@example.test")


def codes(sender: str, *recipients: str, **options: object) -> list[int]:
    """The replies to the recipients, and to DATA."""
    with Site([("bogus_bounce", options)], USERS) as site:
        client = site.connect()
        client.hello()
        client.mail(sender)
        return [*(client.rcpt(recipient).code for recipient in recipients), client.command("DATA").code]


def test_a_bounce_for_one() -> None:
    assert codes("", "ann@example.test") == [250, 354]
    assert codes("", "ann@example.test", "ANN@example.test") == [250, 250, 354]


def test_a_bounce_for_two_reaches_nobody() -> None:
    assert codes("", "ann@example.test", "bob@example.test") == [250, 550, 550]


def test_recipients_who_do_not_exist_count() -> None:
    assert codes("", "nobody@example.test", "ann@example.test") == [550, 550, 554]


def test_other_mail_is_no_bounce() -> None:
    assert codes("x@example.org", *USERS) == [250, 250, 354]


@pytest.mark.parametrize("sender", ["MAILER-DAEMON@example.org", "mailer-daemon@example.net"])
def test_senders_that_send_bounces_too(sender: str) -> None:
    assert codes(sender, *USERS) == [250, 250, 354]
    assert codes(sender, *USERS, local_parts=["Mailer-Daemon"]) == [250, 550, 550]


def test_the_next_message_begins_anew_and_the_record_says_why() -> None:
    with Site(["bogus_bounce"], USERS) as site:
        client = site.connect()
        client.hello()
        client.mail()
        client.rcpt("ann@example.test")
        assert str(client.rcpt("bob@example.test")) == "550 5.7.1 A bounce goes to one recipient"
        client.rcpt("nobody@example.test")
        client.command("RSET")
        assert client.send("", "ann@example.test", b"Subject: sorry\n\n").code == 250
        (result,) = site.transactions[0].results
        assert (result.outcome, result.evidence) == ("fail", "a bounce from <> for several recipients")


def test_in_lmtp_a_bounce_may_reach_several_mailboxes() -> None:
    with Site(["bogus_bounce"], USERS, protocol="lmtp") as site:
        client = site.connect()
        client.lhlo()
        client.mail()
        assert [client.rcpt(user).code for user in USERS] == [250, 250]


def test_options_that_cannot_be_meant() -> None:
    with pytest.raises(PluginLoadError, match="'a b@invalid' is not of the form user@domain"):
        codes("", local_parts=["a b"])
