"""Mail whose names are on lists in the DNS."""

from typing import Any

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site

ZONE = """
spam.test.one.test                  A    127.0.1.2
spam.test.one.test                  TXT  "See one.test"
bad.example.one.test                A    127.0.1.2
bad.example.two.test                A    127.0.1.2
dyn.test.one.test                   A    127.0.1.2
xn--bcher-kva.test.one.test         A    127.0.1.2
9.2.0.192.in-addr.arpa              PTR  dyn.test
"""


def site(**options: Any) -> Site:
    return Site([("rhsbl", {"lists": ["one.test", "two.test"], **options})], zone=ZONE)


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize(
    ("ip", "hello", "sender", "reply"),
    [
        ("192.0.2.1", "client.example", "a@good.test", "250"),
        ("192.0.2.1", "client.example", "", "250"),
        ("192.0.2.1", "client.example", "a@SPAM.test", "550 5.7.1 spam.test is listed by one.test: See one.test"),
        ("192.0.2.1", "Bad.example", "a@good.test", "550 5.7.1 bad.example is listed by "),
        ("192.0.2.1", "bad.example", "", "550 5.7.1 bad.example is listed by "),
        ("192.0.2.9", "client.example", "a@good.test", "550 5.7.1 dyn.test is listed by one.test"),
        ("", "client.example", "a@[192.0.2.1]", "250"),
        ("192.0.2.1", "[192.0.2.1]", "a@good.test", "250"),
        ("192.0.2.1", "192.0.2.1", "a@localhost", "250"),
    ],
)
def test_names(ip: str, hello: str, sender: str, reply: str, is_remembered: bool) -> None:
    with site() as served:
        served.resolver.is_remembered = is_remembered
        client = served.connect(ip)
        client.hello(hello)
        assert str(client.mail(sender)).startswith(reply)


def test_internationalized_names() -> None:
    with site() as served:
        client = served.connect()
        client.hello()
        assert client.mail("a@bücher.test", "SMTPUTF8").code == 550


@pytest.mark.parametrize(("names", "refused"), [(["sender"], "sender"), (["hello"], "hello"), (["reverse"], "reverse")])
def test_which_names_is_up_to_the_operator(names: list[str], refused: str) -> None:
    with site(names=names) as served:
        for kind, ip, hello, sender in [
            ("sender", "192.0.2.1", "client.example", "a@spam.test"),
            ("hello", "192.0.2.1", "bad.example", "a@good.test"),
            ("reverse", "192.0.2.9", "client.example", "a@good.test"),
        ]:
            client = served.connect(ip)
            client.hello(hello)
            assert (client.mail(sender).code == 550) is (kind == refused)


def test_weights_and_the_record() -> None:
    with site(threshold=2) as served:
        client = served.connect()
        client.hello("bad.example")
        assert client.mail("a@spam.test").code == 550
        client.hello("client.example")
        assert client.mail("a@spam.test").code == 250
        client.disconnect()
        first, second = (transaction.results[-1] for transaction in served.transactions)
        assert first.outcome == "fail"
        assert "bad.example by two.test (127.0.1.2)" in first.evidence
        assert (second.outcome, second.evidence) == ("pass", "spam.test by one.test (127.0.1.2)")


def test_it_is_only_written_down() -> None:
    with site(action="record") as served:
        client = served.connect()
        client.hello()
        assert client.mail("a@spam.test").code == 250
        client.disconnect()
        (result,) = served.transactions[0].results
        assert result.outcome == "fail"


@pytest.mark.parametrize("is_remembered", [True, False])
def test_trouble_refuses_nobody(is_remembered: bool) -> None:
    with site() as served:
        served.resolver.is_remembered = is_remembered
        served.resolver.fail()
        client = served.connect("192.0.2.9")
        client.hello("bad.example")
        assert client.mail("a@spam.test").code == 250
        client.disconnect()
        outcomes = [result.outcome for result in served.transactions[0].results]
        assert outcomes.count("error") == len(outcomes) - 1


def test_the_name_of_the_address_is_looked_up_when_it_connects() -> None:
    with site() as served:
        served.resolver.is_remembered = False
        served.connect("192.0.2.9")
        assert served.resolver.asked == [("PTR", "9.2.0.192.in-addr.arpa")]
    with site(names=["sender"]) as served:
        served.connect("192.0.2.9")
        assert served.resolver.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lists": [{"zone": "one.test", "weight": -1}]}, "anybody can take a good name"),
        ({"threshold": 3}, "threshold is 1 to 2"),
        ({"names": []}, "at least one of"),
        ({"reason": "{address} is bad"}, r"there is no \{address\}"),
        ({"names": ["helo"]}, "names"),
    ],
)
def test_options_that_make_no_sense(options: Any, message: str) -> None:
    with pytest.raises(PluginLoadError, match=message):
        site(**options)
