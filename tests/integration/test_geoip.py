"""geoip in a real server, with databases that a real reader opens; clients over real sockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from geoip_databases import countries, providers
from integration.clients.raw import RawClient
from integration.server import ServerProcess, running_server, wait_until

PLUGINS = """
[[listener]]
name = "front"
address = "127.0.0.1:0"
xclient = ["127.0.0.1"]
[[plugin]]
use = "geoip"
[plugin.options]
files = ["country.mmdb", "asn.mmdb"]
deny_countries = ["FR"]
deny_asns = [64497]
action = "{action}"
"""


def serve(folder: Path, action: str) -> Iterator[ServerProcess]:
    folder.mkdir()
    countries(folder)
    providers(folder)
    users = ("alice@example.test", "postmaster@example.test")
    settings = {"limits.exempt": ["0.0.0.0/0", "::/0"]}
    with running_server(folder, settings, users=users, plugins=PLUGINS.format(action=action)) as server:
        yield server
        assert server.metric("fastsmtp_plugin_answers_total", answer="fault") == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    yield from serve(tmp_path / "site", "naughty")


@pytest.fixture
def strict_server(tmp_path: Path) -> Iterator[ServerProcess]:
    yield from serve(tmp_path / "site", "reject")


def send(server: ServerProcess, address: str, *recipients: str) -> list[str]:
    """What a client of this address hears at its recipients, and at the end of its message where one was taken."""
    with RawClient(server.connect("front")) as client:
        client.say(b"EHLO proxy.example")
        spelled = f"IPV6:{address}" if ":" in address else address
        assert client.say(b"XCLIENT ADDR=" + spelled.encode()).startswith(b"220 ")
        client.say(b"EHLO client.example")
        client.say(b"MAIL FROM:<ann@example.org>")
        heard = [client.say(f"RCPT TO:<{recipient}>".encode()) for recipient in recipients]
        if any(reply.startswith(b"250 ") for reply in heard):
            client.say(b"DATA")
            heard.append(client.say(b"Subject: hi\r\n\r\nhi\r\n."))
        return [reply.decode().strip() for reply in heard]


def found(server: ServerProcess, address: str) -> list[str]:
    """What the log says of each transaction of this client."""
    return [
        f"{result['outcome']} {result['evidence']}"
        for line in server.log_lines("transaction")
        if line["remote"] == address
        for result in line["results"]
    ]


def test_countries_and_providers(server: ServerProcess) -> None:
    refusal = "550 5.7.1 Mail from your network is not taken here"
    for address in ("192.0.2.1", "2001:db8::1", "10.0.0.1"):
        assert [reply[:9] for reply in send(server, address, "alice@example.test")] == ["250 2.1.5", "250 2.0.0"]
    for address in ("198.51.100.1", "203.0.113.1"):
        refused, taken, _ = send(server, address, "alice@example.test", "postmaster@example.test")
        assert refused.startswith(refusal)
        assert taken.startswith("250 2.1.5 ")  # whoever is at the wrong place can still say so
    assert len(server.messages("alice@example.test")) == 3
    wait_until(lambda: bool(found(server, "203.0.113.1")), "the last one is logged")
    said = {
        "192.0.2.1": ["pass DE AS64496"],
        "2001:db8::1": ["pass SE"],
        "10.0.0.1": ["skip in no database"],
        "198.51.100.1": ["fail FR"],
        "203.0.113.1": ["fail AS64497"],
    }
    assert {address: found(server, address) for address in said} == said
    assert server.troubles() == []


def test_in_place_of_the_greeting(strict_server: ServerProcess) -> None:
    with RawClient(strict_server.connect("front")) as client:
        client.say(b"EHLO proxy.example")
        assert client.say(b"XCLIENT ADDR=198.51.100.1").startswith(b"554 5.7.1 Mail from your network")
        with pytest.raises(AssertionError):  # and there is nobody any more
            client.reply()


def test_a_database_that_changes_while_the_server_runs(server: ServerProcess) -> None:
    assert send(server, "192.0.2.1", "alice@example.test")[0].startswith("250 ")
    countries(server.folder, {"192.0.2.0/24": "FR"})
    wait_until(lambda: send(server, "192.0.2.1", "alice@example.test")[0].startswith("550 "), "the new one is read")
    (server.folder / "country.mmdb").write_bytes(b"half a download")
    wait_until(lambda: bool(server.troubles()), "the log says so")
    assert send(server, "192.0.2.1", "alice@example.test")[0].startswith("550 ")
