"""Senders to whom nobody could answer."""

from typing import Any

import pytest

from fastsmtp.testing import Site

ZONE = """
good.test         MX    10 down.good.test
good.test         MX    20 mx.good.test
mx.good.test      A     198.51.100.1
plain.test        AAAA  2001:db8::1
alias.test        CNAME good.test
nomail.test       MX    0 .
empty.test        TXT   "nothing here"
lost.test         MX    10 nowhere.test
inside.test       MX    10 mx.inside.test
mx.inside.test    A     10.0.0.1
mx.inside.test    AAAA  ::1
mapped.test       AAAA  ::ffff:127.0.0.1
both.test         MX    10 mx.inside.test
both.test         MX    20 mx.good.test
zero.test         A     0.0.0.0
shaky.test        MX    10 shaky.good.test
shaky.test        MX    20 mx.inside.test
xn--bcher-kva.test A    198.51.100.2
"""


def site(**options: Any) -> Site:
    return Site([("resolvable_sender", options)], zone=ZONE)


def say(site: Site, sender: str, *parameters: str) -> str:
    client = site.connect()
    client.hello()
    return str(client.mail(sender, *parameters))


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("", "250"),
        ("a@[192.0.2.1]", "250"),
        ("a@[IPv6:2001:db8::1]", "250"),
        ("a@[127.0.0.1]", "550 5.1.8 Sender refused: mail for [127.0.0.1] would go there"),
        ("a@[IPv6:::ffff:10.0.0.1]", "550 5.1.8 Sender refused"),
        ("a@[IPv6:fe80::1]", "550 5.1.8 Sender refused"),
        ("a@good.test", "250"),
        ("a@plain.test", "250"),
        ("a@alias.test", "250"),
        ("a@both.test", "250"),
        ("a@nowhere.test", "550 5.1.8 Sender refused: there is no domain nowhere.test"),
        ("a@nomail.test", "550 5.7.27 Sender refused: nomail.test says that it has no mail"),
        ("a@empty.test", "550 5.1.8 Sender refused: empty.test has no mail server"),
        ("a@lost.test", "550 5.1.8 Sender refused: lost.test has no mail server"),
        ("a@inside.test", "550 5.1.8 Sender refused: mail for inside.test would go to 10.0.0.1"),
        ("a@mapped.test", "550 5.1.8 Sender refused: mail for mapped.test would go to ::ffff:7f00:1"),
        ("a@zero.test", "550 5.1.8 Sender refused: mail for zero.test would go to 0.0.0.0"),
    ],
)
def test_where_an_answer_would_go(sender: str, reply: str, is_remembered: bool) -> None:
    with site() as served:
        served.resolver.is_remembered = is_remembered
        assert say(served, sender).startswith(reply)


def test_internationalized_domains() -> None:
    with site() as served:
        assert say(served, "a@bücher.test", "SMTPUTF8").startswith("250")
        assert ("MX", "xn--bcher-kva.test") in served.resolver.asked


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize(
    ("trouble", "domain", "finding"),
    [
        ("MX good.test", "good.test", ("error", "good.test: timeout")),
        ("A plain.test", "plain.test", ("pass", "plain.test")),
        ("AAAA plain.test", "plain.test", ("error", "plain.test: timeout")),
        ("AAAA xn--bcher-kva.test", "xn--bcher-kva.test", ("pass", "xn--bcher-kva.test")),
        ("AAAA mx.good.test", "good.test", ("pass", "good.test")),
        (
            "mx.good.test",
            "good.test",
            ("pass", "good.test has mail servers, of whose addresses nobody knows: timeout"),
        ),
    ],
)
def test_trouble_refuses_nobody(trouble: str, domain: str, finding: tuple[str, str], is_remembered: bool) -> None:
    for on_trouble, code in (("pass", 250), ("defer", 451 if finding[0] == "error" else 250)):
        with site(on_trouble=on_trouble) as served:
            served.resolver.is_remembered = is_remembered
            served.resolver.fail(trouble)
            client = served.connect()
            client.hello()
            assert client.mail(f"a@{domain}").code == code
            client.disconnect()
            (transaction,) = served.transactions
            (result,) = transaction.results
            assert (result.outcome, result.evidence) == finding


def test_who_has_an_ipv4_address_is_not_asked_for_another() -> None:
    with site() as served:
        assert say(served, "a@xn--bcher-kva.test").startswith("250")
        assert served.resolver.asked == [("MX", "xn--bcher-kva.test"), ("A", "xn--bcher-kva.test")]


def test_trouble_with_one_of_several_servers_is_no_proof() -> None:
    with site() as served:
        served.resolver.fail("shaky.good.test")
        assert say(served, "a@shaky.test").startswith("250")


def test_trouble_defers_where_the_operator_says_so() -> None:
    with site(on_trouble="defer", reason="Not today") as served:
        served.resolver.fail()
        assert say(served, "a@good.test").startswith("451 4.4.3 Not today: nobody can say")


def test_what_is_bogus_is_up_to_the_operator() -> None:
    with site(bogus=["198.51.100.0/24"]) as served:
        assert say(served, "a@good.test").startswith("550 5.1.8")
        assert say(served, "a@inside.test").startswith("250")


def test_a_domain_with_ten_thousand_servers_is_not_followed_for_ever() -> None:
    zone = {"many.test": {"MX": [f"{number} mx{number}.many.test" for number in range(1000)]}}
    with Site(["resolvable_sender"], zone=zone) as served:
        assert say(served, "a@many.test").startswith("550 5.1.8")
        assert len(served.resolver.asked) <= 21


def test_the_record() -> None:
    with site() as served:
        say(served, "a@nowhere.test")
        (transaction,) = served.transactions
        (result,) = transaction.results
        assert (result.outcome, result.evidence) == ("fail", "there is no domain nowhere.test")


@pytest.mark.parametrize("domain", ["good.test", "nowhere.test", "nomail.test", "lost.test", "inside.test"])
def test_what_the_dns_stands_by_is_not_asked_again(domain: str) -> None:
    with site() as served:
        served.resolver.until_ns = served.clock.monotonic_ns() + 60 * 10**9
        first = say(served, f"a@{domain}")
        del served.resolver.asked[:]
        assert say(served, f"b@{domain}").partition("(")[0] == first.partition("(")[0]
        assert served.resolver.asked == []
        served.clock.advance(60)
        say(served, f"c@{domain}")
        assert ("MX", domain) in served.resolver.asked


@pytest.mark.parametrize(("trouble", "reply"), [(["good.test"], "451"), (["mx.good.test", "down.good.test"], "250")])
def test_trouble_is_asked_about_again(trouble: list[str], reply: str) -> None:
    with site(on_trouble="defer") as served:
        served.resolver.until_ns = served.clock.monotonic_ns() + 60 * 10**9
        served.resolver.fail(*trouble)
        assert say(served, "a@good.test").startswith(reply)
        del served.resolver.asked[:]
        assert say(served, "a@good.test").startswith(reply)
        assert served.resolver.asked != []
