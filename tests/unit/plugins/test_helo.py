"""What clients call themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site

ZONE = """
mail.example.org          A    192.0.2.7
near.example.org          A    192.0.2.99
far.example.net           A    198.51.100.1
mx.example.net            MX   10 mail.example.org
six.example.org           AAAA 2001:db8::7
7.2.0.192.in-addr.arpa    PTR  mail.example.org
8.2.0.192.in-addr.arpa    PTR  out8.example.org
9.2.0.192.in-addr.arpa    PTR  other.example.com
1.113.0.203.in-addr.arpa  PTR  pool.example.net
7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.example.org
"""


def helo(**options: object) -> Site:
    return Site([("helo", {"refusal": "reject", **options})], zone=ZONE)


def say(site: Site, name: str, ip: str = "192.0.2.7") -> str:
    """The test that failed, or nothing."""
    client = site.connect(ip)
    heard = client.hello(name)
    (result,) = client.connection.results
    assert (heard.code, heard.enhanced) == ((550, "5.7.1") if result.outcome == "fail" else (250, ""))
    return result.evidence.partition(": ")[0] if result.outcome == "fail" else ""


# --- The levels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["lenient", "rfc", "strict"])
@pytest.mark.parametrize(
    ("name", "ip", "failed"),
    [
        ("mx.example.test", "192.0.2.7", "own_name"),
        ("MX.Example.TEST.", "192.0.2.7", "own_name"),
        ("localhost", "192.0.2.7", "localhost"),
        ("LocalHost.localdomain", "192.0.2.7", "localhost"),
        ("192.0.2.25", "192.0.2.7", "own_address"),
        ("[192.0.2.25]", "192.0.2.7", "own_address"),
        ("[IPv6:::ffff:192.0.2.25]", "192.0.2.7", "own_address"),
        ("192.0.2.7", "192.0.2.7", "plain_ip"),
        ("198.51.100.1", "192.0.2.7", "plain_ip"),
        ("2001:db8::1", "192.0.2.7", "plain_ip"),
        ("[198.51.100.1]", "192.0.2.7", "forged_literal"),
        ("[127.0.0.1]", "192.0.2.7", "forged_literal"),
        ("[IPv6:2001:db8::1]", "2001:db8::7", "forged_literal"),
        ("[mail.example.org]", "192.0.2.7", "forged_literal"),
        ("[]", "192.0.2.7", "forged_literal"),
        ("mail.example.org", "192.0.2.7", ""),
        ("MAIL.Example.ORG", "192.0.2.7", ""),
        ("mail.example.org.", "192.0.2.7", ""),
        ("near.example.org", "192.0.2.7", ""),
        ("six.example.org", "2001:db8::7", ""),
    ],
)
def test_what_every_level_says(policy: str, name: str, ip: str, failed: str) -> None:
    with helo(policy=policy) as site:
        assert say(site, name, ip) == failed


@pytest.mark.parametrize(
    ("name", "ip", "rfc", "strict"),
    [
        ("under_score.example.org", "192.0.2.7", "bad_characters", "bad_characters"),
        ("a..b", "192.0.2.7", "bad_characters", "bad_characters"),
        ("-a.example", "192.0.2.7", "bad_characters", "bad_characters"),
        ("a-.example", "192.0.2.7", "bad_characters", "bad_characters"),
        ("host.1", "192.0.2.7", "bad_characters", "bad_characters"),
        (f"{'a' * 64}.example", "192.0.2.7", "bad_characters", "bad_characters"),
        ("<script>.example", "192.0.2.7", "bad_characters", "bad_characters"),
        ("desktop-7", "192.0.2.7", "not_fqdn", "not_fqdn"),
        ("desktop.", "192.0.2.7", "not_fqdn", "not_fqdn"),
        ("nowhere.example", "192.0.2.7", "no_such_host", "no_such_host"),
        ("mx.example.net", "192.0.2.7", "no_such_host", "no_such_host"),  # it has mail, and no address
        ("mail.example.org", "192.0.2.10", "no_reverse", "no_reverse"),
        ("[192.0.2.10]", "192.0.2.10", "no_reverse", "literal"),
        ("[192.0.2.7]", "192.0.2.7", "", "literal"),
        ("[IPv6:2001:DB8::7]", "2001:db8:0::7", "", "literal"),
        ("far.example.net", "192.0.2.7", "", "no_match"),
        ("far.example.net", "192.0.2.9", "", "no_match"),
        ("mail.example.org", "203.0.113.1", "", "no_match"),
        ("six.example.org", "192.0.2.9", "", "no_match"),
        ("mail.example.org", "192.0.2.9", "", ""),  # a neighbour's address
        ("far.example.net", "203.0.113.1", "", ""),  # a name of the same organization
        ("six.example.org", "192.0.2.8", "", ""),
    ],
)
def test_what_stricter_levels_say(name: str, ip: str, rfc: str, strict: str) -> None:
    for policy, failed in (("lenient", ""), ("rfc", rfc), ("strict", strict)):
        with helo(policy=policy) as site:
            assert say(site, name, ip) == failed, policy


def test_the_lenient_level_asks_nothing() -> None:
    with helo() as site:
        assert say(site, "nowhere.example") == ""
        assert site.resolver.asked == []


@pytest.mark.parametrize(
    ("policy", "skip", "asked"),
    [
        ("rfc", [], {"A", "AAAA", "PTR"}),
        ("rfc", ["no_reverse"], {"A", "AAAA"}),
        ("rfc", ["no_such_host"], {"PTR"}),
        ("rfc", ["no_such_host", "no_reverse"], set()),
        ("strict", ["no_such_host", "no_reverse"], {"A", "AAAA", "PTR"}),
        ("strict", ["no_match"], {"A", "AAAA", "PTR"}),
    ],
)
def test_only_what_is_needed_is_asked(policy: str, skip: list[str], asked: set[str]) -> None:
    with helo(policy=policy, skip=skip) as site:
        say(site, "mail.example.org")
        assert {kind for kind, _ in site.resolver.asked} == asked


def test_tests_that_are_left_out() -> None:
    with helo(policy="strict", skip=["own_name", "plain_ip", "bad_characters", "no_such_host", "no_match"]) as site:
        assert say(site, "mx.example.test") == ""
        assert say(site, "192.0.2.7") == ""


def test_names_of_ours() -> None:
    with helo(own_names=["MX2.example.test", "bücher.example"]) as site:
        assert say(site, "mx2.example.test") == "own_name"
        assert say(site, "xn--bcher-kva.example") == "own_name"
        assert say(site, "mx.example.test") == "own_name"


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "127.1.2.3"])
def test_this_host_may_say_its_name(ip: str) -> None:
    with helo() as site:
        for name in ("localhost", "mx.example.test"):
            assert say(site, name, ip) == ""
        assert say(site, "[127.0.0.2]", ip) == "forged_literal"


def test_who_has_no_address_or_is_exempt_is_not_looked_at() -> None:
    with Site([("access", {"trust": ["192.0.2.0/24"]}), ("helo", {"refusal": "reject"})]) as site:
        for ip in ("", "192.0.2.7"):
            assert site.connect(ip).hello("localhost").code == 250
        assert site.connect("198.51.100.1").hello("localhost").code == 550


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_the_refusal_waits_for_the_recipient() -> None:
    with Site(["helo"], users=["user@example.test", "postmaster@example.test"]) as site:
        client = site.connect()
        assert client.hello("localhost").code == 250
        assert client.mail("a@example.org").code == 250
        assert str(client.rcpt("user@example.test")).startswith("550 5.7.1 You are not this host")
        assert client.rcpt("postmaster@example.test").code == 250


def test_it_may_be_said_at_once_or_be_temporary() -> None:
    with helo() as site:
        heard = site.connect().hello("192.0.2.9")
        assert str(heard).startswith("550 5.7.1 An IP address in HELO stands in brackets")
    with helo(refusal="defer") as site:
        assert str(site.connect().hello("192.0.2.9")).startswith("450 4.7.1 An IP address in HELO stands in brackets")


def test_the_record_has_the_name() -> None:
    with helo(policy="rfc") as site:
        client = site.connect("192.0.2.7")
        client.hello("mail.example.org")
        client.hello("desktop-7")
        assert [(one.outcome, one.evidence) for one in client.connection.results] == [
            ("pass", "mail.example.org"),
            ("fail", "not_fqdn: desktop-7"),
        ]


# --- The DNS ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_remembered", [True, False], ids=["at once", "waited for"])
@pytest.mark.parametrize("failing", ["", "nowhere.example", "7.2.0.192.in-addr.arpa"])
def test_trouble_refuses_nobody(failing: str, is_remembered: bool) -> None:
    with helo(policy="strict") as site:
        site.resolver.is_remembered = is_remembered
        site.resolver.fail(failing, error="SERVFAIL")
        client = site.connect("192.0.2.7")
        assert client.hello("nowhere.example").code == 250
        assert [(one.outcome, one.evidence) for one in client.connection.results] == [("error", "SERVFAIL")]
        assert client.hello("192.0.2.7").code == 550  # what asks nothing is still refused


def test_answers_that_are_waited_for_are_the_same() -> None:
    with helo(policy="strict") as site:
        site.resolver.is_remembered = False
        assert say(site, "mail.example.org") == ""
        assert say(site, "nowhere.example") == "no_such_host"
        assert say(site, "mail.example.org", "192.0.2.10") == "no_reverse"
        assert say(site, "far.example.net") == "no_match"


def test_whatever_it_is_called_is_no_fault_of_ours() -> None:
    names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=80)
    literals = st.text(st.sampled_from("[]IPv6:0123.db8%"), min_size=1, max_size=40)
    with helo(policy="strict") as site:

        @given(names | literals)
        def check(name: str) -> None:
            say(site, name)
            assert site.count("fastsmtp_plugin_answers_total", answer="fault") == 0

        check()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"policy": "mild"}, "plugin[0].options.policy: Input should be 'lenient', 'rfc' or 'strict'"),
        ({"own_names": ["no name"]}, "plugin[0].options: 'no name' is not a domain name"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError) as caught:
        helo(**options)
    assert problem in caught.value.problems
