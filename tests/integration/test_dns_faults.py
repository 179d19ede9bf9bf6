"""The DNS is down, slow or lies: with every plugin that asks it, a real server takes good mail; nothing stays open."""

import smtplib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias, get_args

import pytest
from integration.server import DEADLINE_S, ServerProcess, running_server, wait_until
from zone import Lie, ZoneServer

MESSAGES: Final = 3

PLUGINS: Final = """
[[listener]]
name = "front"
address = "127.0.0.1:0"
xclient = ["127.0.0.1"]
[[plugin]]
use = "dnsbl"
options = { lists = ["one.test", "two.test", { zone = "good.test", weight = -1 }] }
[[plugin]]
use = "fcrdns"
options = { refuse = "unconfirmed" }
[[plugin]]
use = "rhsbl"
options = { lists = ["dbl.test"] }
[[plugin]]
use = "resolvable_sender"
[[plugin]]
use = "helo"
options = { policy = "rfc" }
[[plugin]]
use = "spf"
"""

ZONE: Final = """
*.example.net            MX   10 mx.example.net
*.example.net            TXT  "v=spf1 ip4:192.0.2.0/24 -all"
*.example.org            A    198.51.100.2
mx.example.net           A    198.51.100.1
*.2.0.192.in-addr.arpa   PTR  mx.example.com
mx.example.com           A    192.0.2.1
mx.example.com           A    192.0.2.2
mx.example.com           A    192.0.2.3
mx.example.com           A    192.0.2.4
mx.example.com           A    192.0.2.5
2.2.0.192.one.test       A    127.0.0.2
6.2.0.192.one.test       A    127.0.0.2
"""

# A question may take longer than the budget of a connection, so that it is the budget that ends the waiting.
SETTINGS: Final = {"dns.timeout": "5s", "dns.budget": "1s", "dns.failure_ttl": "1s"}


Site: TypeAlias = tuple[ServerProcess, ZoneServer]
_numbers = count(11)


@contextmanager
def running_site(folder: Path, settings: Mapping[str, object] = MappingProxyType({})) -> Iterator[Site]:
    with (
        ZoneServer(ZONE) as dns,
        running_server(folder, {**SETTINGS, **settings, "dns.servers": [dns.address]}, plugins=PLUGINS) as server,
    ):
        yield server, dns


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(whole_site: Site) -> Iterator[Site]:
    yield whole_site
    whole_site[1].behave()


def send(server: ServerProcess, number: int) -> tuple[int, str]:
    """A message of another client and another sender for each number: nothing of it is remembered."""
    with smtplib.SMTP() as client:
        client.timeout = DEADLINE_S
        host, _, port = server.listeners["front"].rpartition(":")
        client.connect(host, int(port))
        client.ehlo("proxy.example")
        assert client.docmd("XCLIENT", f"ADDR=192.0.2.{number}")[0] == 220
        client.ehlo(f"n{number}.example.org")
        client.mail(f"a@n{number}.example.net")
        code, said = client.rcpt("alice@example.test")
        if code == 250:
            code, said = client.data(b"Subject: hi\n\nhi\n")
        return code, said.decode()


def is_listed(answer: tuple[int, str]) -> bool:
    return answer[0] == 550 and answer[1].startswith("5.7.1 192.0.2.2 is listed by one.test")


def found_by(server: ServerProcess, plugin: str) -> list[str]:
    """What it found out about each message that was stored, in order."""
    lines = [line for line in server.log_lines("transaction") if line["outcome"] == "stored"]
    return [
        one.get("authentication", one["outcome"])
        for line in lines
        for one in line["results"]
        if one["plugin"] == plugin
    ]


def errors(server: ServerProcess) -> float:
    return server.metric("fastsmtp_dns_queries_total") - sum(
        server.metric("fastsmtp_dns_queries_total", result=result) for result in ("found", "no_name", "no_data")
    )


def check_good_mail(server: ServerProcess, misbehave: Callable[[], None]) -> None:
    """Good mail goes through while the DNS misbehaves, no plugin is at fault, and nothing stays open."""
    wait_until(lambda: is_listed(send(server, 2)), "the channel is open")
    wait_until(lambda: server.metric("fastsmtp_connections") == 0)
    before, stored, asked_in_vain = server.descriptors(), len(server.messages("alice@example.test")), errors(server)
    misbehave()
    for _ in range(MESSAGES):
        code, said = send(server, next(_numbers))
        assert code == 250, said
    wait_until(lambda: errors(server) > asked_in_vain, "the trouble is counted")
    wait_until(lambda: server.descriptors() <= before, "nothing stays open")
    wait_until(lambda: len(found_by(server, "spf")) == stored + MESSAGES, "all of them are logged")
    assert found_by(server, "spf")[-MESSAGES:] == ["spf=temperror"] * MESSAGES
    assert found_by(server, "helo")[-MESSAGES:] == ["error"] * MESSAGES
    assert server.metric("fastsmtp_plugin_answers_total", answer="fault") == 0
    assert len(server.messages("alice@example.test")) == stored + MESSAGES
    assert server.troubles() == []


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP"])
def test_servers_that_fail(site: Site, rcode: str) -> None:
    server, dns = site
    check_good_mail(server, lambda: dns.fail(rcode=rcode))


@pytest.mark.parametrize("lie", get_args(Lie))
def test_servers_that_lie(site: Site, lie: Lie) -> None:
    server, dns = site
    check_good_mail(server, lambda: dns.lie(lie))


def test_servers_that_say_nothing(site: Site) -> None:
    server, dns = site
    check_good_mail(server, dns.drop)


def test_servers_that_are_slow(site: Site) -> None:
    server, dns = site
    check_good_mail(server, lambda: dns.delay(5.0))


def test_servers_that_are_gone(tmp_path: Path) -> None:
    with running_site(tmp_path) as (server, dns):
        check_good_mail(server, dns.close)


def test_what_is_cut_short_is_asked_over_tcp(tmp_path: Path) -> None:
    with running_site(tmp_path, {"dns.budget": "9s"}) as (server, dns):
        dns.truncate()
        assert send(server, 3)[0] == 250
        assert errors(server) == 0
        assert {transport for transport, *_ in dns.asked} == {"udp", "tcp"}
        wait_until(lambda: len(found_by(server, "spf")) == 1, "it is logged")
        assert (found_by(server, "spf"), found_by(server, "helo")) == (["spf=pass"], ["pass"])


def test_it_is_back(site: Site) -> None:
    server, dns = site
    dns.drop()
    assert send(server, 6)[0] == 250
    dns.behave()
    wait_until(lambda: send(server, 6)[0] == 550, "the list is asked again")
