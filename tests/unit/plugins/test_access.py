"""Who is let in, kept out, spared the checks."""

from pathlib import Path

import pytest
from lists import rewrite, until

from fastsmtp.errors import PluginLoadError
from fastsmtp.plugin import Connection, NoOptions, Plugin, Reply, Transaction, reject
from fastsmtp.testing import Site


class Strict(Plugin[NoOptions]):
    """Refuses whoever is a stranger."""

    spares_exempt = True

    def on_data(self, txn: Transaction) -> Reply | None:
        return reject("5.7.1", "no strangers")


class Namer(Plugin[NoOptions]):
    """Knows the name of every host."""

    def on_connect(self, connection: Connection) -> None:
        connection.remote_name = {"192.0.2.7": "a.Good.example", "192.0.2.8": "b.bad.example"}.get(
            connection.remote_address, ""
        )


def access(**options: object) -> Site:
    return Site([("access", options), Namer, Strict])


def send(site: Site, ip: str, helo: str = "client.example") -> str:
    client = site.connect(ip)
    if not client.is_open:
        return str(client.greeting)
    hello = client.hello(helo)
    return str(hello) if hello.code != 250 else str(client.send("", "user@example.test", b""))[:3]


def test_the_most_specific_network_decides() -> None:
    with access(deny=["192.0.2.0/24 no"], allow=["192.0.2.128/25"], trust=["192.0.2.200", "2001:db8::/32"]) as site:
        assert send(site, "192.0.2.1") == "554 5.7.1 no"
        assert send(site, "192.0.2.129") == "550"  # let in, and checked
        assert send(site, "192.0.2.200") == "250"  # not even checked
        assert send(site, "2001:db8::25") == "250"
        assert send(site, "203.0.113.1") == "550"


def test_what_the_record_says() -> None:
    with access(deny=["192.0.2.0/24"], trust=["192.0.2.200"]) as site:
        denied, trusted, other = (site.connect(f"192.0.2.{host}") for host in (1, 200, 0))
        assert [(result.outcome, result.evidence) for result in denied.connection.results] == [
            ("fail", "deny 192.0.2.0/24")
        ]
        assert [(result.outcome, result.evidence) for result in trusted.connection.results] == [
            ("pass", "trust 192.0.2.200")
        ]
        assert str(denied.greeting) == "554 5.7.1 You are not welcome here"
        assert not other.is_open


@pytest.mark.parametrize(
    ("action", "reply"), [("reject", "554 5.7.1 x"), ("defer", "421 4.7.1 x"), ("naughty", "550"), ("record", "550")]
)
def test_how_it_is_said(action: str, reply: str) -> None:
    with access(deny=["192.0.2.1"], action=action, reason="x") as site:
        assert send(site, "192.0.2.1") == reply


def test_names_of_hosts_that_somebody_has_confirmed() -> None:
    with access(deny=["bad.example"], trust=[".good.example"]) as site:
        assert send(site, "192.0.2.7") == "250"
        assert send(site, "192.0.2.8") == "550 5.7.1 You are not welcome here"
        assert send(site, "192.0.2.9", helo="a.good.example") == "550"  # anybody may say that


def test_an_address_is_more_specific_than_a_name() -> None:
    with access(trust=["good.example"], allow=["192.0.2.7"]) as site:
        assert send(site, "192.0.2.7") == "550"


def test_what_clients_call_themselves() -> None:
    with access(deny=["helo .friend  not like that"], trust=["192.0.2.200"]) as site:
        assert send(site, "192.0.2.1", helo="My.Friend") == "550 5.7.1 not like that"
        assert send(site, "192.0.2.1", helo="friend.example") == "550"
        assert send(site, "192.0.2.200", helo="my.friend") == "250"


def test_a_file_that_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "access"
    file.write_text("# who may do what\ndeny 192.0.2.0/24  go away\ndeny helo friend\ntrust good.example\n")
    with access(file=str(file), allow=["192.0.2.5"]) as site:
        assert send(site, "192.0.2.1") == "554 5.7.1 go away"
        assert send(site, "192.0.2.5") == "550"
        rewrite(file, "trust 192.0.2.0/24\n")
        until(site, lambda: send(site, "192.0.2.1") == "250")
        assert send(site, "192.0.2.5") == "550"
        rewrite(file, "nonsense\n")
        until(site, lambda: site.connect("192.0.2.1").is_open)
        assert send(site, "192.0.2.1") == "250"


def test_a_bad_file(tmp_path: Path) -> None:
    file = tmp_path / "access"
    file.write_text("block 192.0.2.1\ndeny 192.0.2.1/24\ntrust helo friend\ndeny -\n")
    with pytest.raises(PluginLoadError) as caught:
        access(file=str(file))
    where = f"plugin[0]: {file}"
    assert list(caught.value.problems) == [
        f"{where}:1: an entry begins with one of allow, deny, trust, not with 'block'",
        f"{where}:2: '192.0.2.1/24' is no network, but an address in one; write \"192.0.2.0/24\"",
        f"{where}:3: helo friend: anybody may say that; it can only be denied",
        f'{where}:4: \'-\' is no network; write one like "192.0.2.0/24" or "2001:db8::/48"',
    ]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "plugin[0].options: name at least one of `allow`, `deny`, `trust` and `file`"),
        ({"trust": ["helo a"]}, "plugin[0].options: helo a: anybody may say that; it can only be denied"),
        ({"deny": ["a..b"]}, "plugin[0].options: 'a..b' is not a domain name"),
        ({"file": "/nowhere"}, "plugin[0]: /nowhere cannot be read: No such file or directory"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError) as caught:
        access(**options)
    assert caught.value.problems == (problem,)


def test_thousands_of_networks(tmp_path: Path) -> None:
    file = tmp_path / "access"
    file.write_text("".join(f"deny 10.{n // 256}.{n % 256}.0/24\n" for n in range(20_000)))
    with access(file=str(file)) as site:
        assert not site.connect("10.78.31.9").is_open  # the last one
        assert site.connect("10.78.32.9").is_open


@pytest.mark.parametrize("is_remembered", [True, False])
def test_names_that_fcrdns_confirms_count_from_the_first_connection_on(is_remembered: bool) -> None:
    zone = """
    7.2.0.192.in-addr.arpa  PTR  a.good.example
    a.good.example          A    192.0.2.7
    8.2.0.192.in-addr.arpa  PTR  b.bad.example
    b.bad.example           A    192.0.2.8
    """
    options = {"trust": ["good.example"], "deny": ["bad.example no"]}
    with Site(["fcrdns", ("access", options), Strict], zone=zone) as site:
        site.resolver.is_remembered = is_remembered
        assert send(site, "192.0.2.7") == "250"
        assert send(site, "192.0.2.8") == "550 5.7.1 no"
        assert send(site, "192.0.2.9") == "550"


def test_a_dot_at_the_end_makes_no_other_name() -> None:
    with access(deny=["helo .local no"]) as site:
        assert send(site, "192.0.2.1", "foo.local.") == send(site, "192.0.2.1", "foo.local") == "550 5.7.1 no"


def test_in_shadow_nobody_is_trusted() -> None:
    with Site([{"use": "access", "mode": "shadow", "options": {"trust": ["192.0.2.0/24"]}}, Strict]) as site:
        assert send(site, "192.0.2.1") == "550"
