"""Mail refused by its recipient."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from lists import rewrite, until

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site

USERS = ("ann@example.test", "sales@example.test", "sales@other.test", "postmaster@other.test")


def codes(options: Mapping[str, object], *recipients: str) -> list[int]:
    with Site([("block_recipient", options)], USERS) as site:
        client = site.connect()
        client.hello()
        client.mail("somebody@example.org")
        return [client.rcpt(recipient).code for recipient in recipients]


def test_addresses_are_meant_as_given() -> None:
    blocked = {"addresses": ["Ann+Shop@example.test"]}
    assert codes(blocked, "ann+shop@example.test", "ann@example.test", "ann+list@EXAMPLE.test") == [550, 250, 250]


def test_local_parts_are_blocked_in_every_domain() -> None:
    blocked = {"local_parts": ["SALES"]}
    assert codes(blocked, "sales@example.test", "sales@other.test", "ann@example.test") == [550, 550, 250]


def test_domains_spare_the_postmaster() -> None:
    blocked = {"domains": ["other.test"]}
    assert codes(blocked, "sales@other.test", "Postmaster@other.test", "sales@example.test") == [550, 250, 250]


@pytest.mark.parametrize("named", [{"local_parts": ["postmaster"]}, {"addresses": ["postmaster@other.test"]}])
def test_the_postmaster_is_blocked_by_name(named: Mapping[str, object]) -> None:
    assert codes(named, "postmaster@other.test") == [550]


def test_who_is_blocked_need_not_exist_and_the_others_get_the_mail() -> None:
    with Site([("block_recipient", {"local_parts": ["trap"], "reason": "gone"})], USERS) as site:
        client = site.connect()
        client.hello()
        client.mail("somebody@example.org")
        assert str(client.rcpt("trap@example.test")) == "550 5.7.1 gone"
        assert client.rcpt("ann@example.test").code == 250
        assert client.data(b"Subject: hi\n\n").code == 250
        assert list(site.delivered) == ["ann@example.test"]
        (result,) = site.transactions[0].results
        assert (result.outcome, result.evidence) == ("fail", "<trap@example.test> is blocked by trap@")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "name at least one of `addresses`, `local_parts`, `domains`, `patterns`, `file` and `directory`"),
        ({"local_parts": ["a b"]}, "'a b@invalid' is not of the form user@domain"),
        ({"domains": [""]}, "'' is not a domain name"),
    ],
)
def test_options_that_cannot_be_meant(options: Mapping[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError) as caught:
        codes(options)
    assert caught.value.problems == (f"plugin[0].options: {problem}",)


def test_patterns_do_not_block_the_postmaster_unless_they_name_them() -> None:
    recipients = ("sales@example.test", "ann@example.test", "postmaster@other.test")
    assert codes({"patterns": ["*s*@*", "!*n@example.test"]}, *recipients) == [550, 250, 250]
    assert codes({"patterns": ["postmaster@"]}, *recipients) == [250, 250, 550]


def test_a_file_that_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "recipients"
    file.write_text("ann@example.test  Ann has left us\n")
    with Site([("block_recipient", {"file": str(file)})], USERS) as site:
        client = site.connect()
        assert str(client.send("a@b.example", "ann@example.test", b"")) == "550 5.7.1 Ann has left us"
        rewrite(file, "sales@\n")
        until(site, lambda: client.send("a@b.example", "ann@example.test", b"").code == 250)
        assert client.send("a@b.example", "sales@example.test", b"").code == 550


def test_the_list_in_the_directory() -> None:
    site = Site([("block_recipient", {"directory": True})], USERS)
    site.lists.entries["recipient"] = {"ann@example.test": "Ann has left us", "*@example.test": ""}
    site.lists.entries["sender"] = {"b.example": ""}
    with site:
        client = site.connect()
        assert str(client.send("a@b.example", "ann@example.test", b"")) == "550 5.7.1 Ann has left us"
        site.lists.entries["recipient"] = {"sales@": ""}
        until(site, lambda: client.send("a@b.example", "ann@example.test", b"").code == 250)
        assert client.send("a@b.example", "sales@example.test", b"").code == 550
