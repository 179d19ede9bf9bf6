"""Deferred refusals, given earlier."""

import pytest

from fastsmtp import plugin
from fastsmtp.plugin import Address, Connection, Hello, NoOptions, Plugin, Transaction
from fastsmtp.testing import Client, PluginSpec, Site

USERS = ("ann@example.test", "postmaster@example.test")


class Marks(Plugin[NoOptions]):
    """Marks by the last octet of the address: at which step."""

    def on_connect(self, connection: Connection) -> plugin.Naughty | None:
        return plugin.naughty("listed") if connection.remote_address == "192.0.2.1" else None

    def on_hello(self, connection: Connection, hello: Hello) -> plugin.Naughty | None:
        return plugin.naughty("a lie") if connection.remote_address == "192.0.2.2" else None

    def on_mail(self, txn: Transaction, sender: Address) -> plugin.Naughty | None:
        return plugin.naughty("forged") if txn.connection.remote_address == "192.0.2.3" else None


def replies(client: Client) -> list[int]:
    """To connecting, HELO, MAIL, RCPT, as far as it comes."""
    codes = [client.greeting.code]
    for line in ("HELO client.example", "MAIL FROM:<x@example.org>", "RCPT TO:<ann@example.test>"):
        if not client.is_open or codes[-1] >= 500:
            break
        codes.append(client.command(line).code)
    return codes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, ([220, 250, 250, 550], [220, 250, 250, 550], [220, 250, 250, 550])),
        ({}, ([220, 250, 550], [220, 250, 550], [220, 250, 550])),
        ({"at": "hello"}, ([220, 550], [220, 550], [220, 250, 550])),
        ({"at": "connect"}, ([554], [220, 550], [220, 250, 550])),
    ],
)
def test_where(options: dict[str, object] | None, expected: tuple[list[int], ...]) -> None:
    plugins: list[PluginSpec] = [Marks] if options is None else [Marks, ("naughty", options)]
    with Site(plugins, USERS) as site:
        assert tuple(replies(site.connect(f"192.0.2.{host}")) for host in (1, 2, 3)) == expected
        assert replies(site.connect("192.0.2.4")) == [220, 250, 250, 250]


def test_for_good() -> None:
    with Site([Marks, ("naughty", {"hang_up": True})], USERS) as site:
        client = site.connect("192.0.2.1")
        client.hello()
        assert str(client.mail("x@example.org")) == "550 5.7.1 listed"
        assert not client.is_open
        results = [(result.plugin, result.evidence) for result in client.connection.results]
        assert results[-1] == ("naughty", "naughty, says Marks")


def test_who_logs_in_is_let_through() -> None:
    with Site([Marks, "naughty"], USERS, passwords={"bob@example.test": "secret"}) as site:
        client = site.connect("192.0.2.1")
        client.login("bob@example.test", "secret")
        assert client.send("bob@example.test", "ann@example.test", b"Subject: hi\n\n").code == 250


def test_it_has_to_stand_behind_those_who_mark() -> None:
    with Site([("naughty", {"at": "connect"}), Marks], USERS) as site:
        assert replies(site.connect("192.0.2.1")) == [220, 550]
