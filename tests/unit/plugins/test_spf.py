"""SPF at MAIL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.errors import PluginLoadError
from fastsmtp.plugin import Authentication, Connection, NoOptions, Plugin
from fastsmtp.testing import Site

ZONE = """
pass.example       TXT  "v=spf1 ip4:192.0.2.0/24 -all"
fail.example       TXT  "v=spf1 ip4:198.51.100.1 -all exp=why.fail.example"
why.fail.example   TXT  "%{i} is no server of %{d}"
red.example        TXT  "v=spf1 redirect=fail.example"
soft.example       TXT  "v=spf1 ~all"
neutral.example    TXT  "v=spf1 ?all"
bad.example        TXT  "v=spf1 moo"
helo.example       TXT  "v=spf1 a -all"
helo.example       A    192.0.2.7
none.example       A    192.0.2.7
"""
RESULTS = ("pass", "fail", "softfail", "neutral", "none", "permerror", "temperror")
SENDERS = {
    "pass": "joe@pass.example",
    "fail": "joe@fail.example",
    "softfail": "joe@soft.example",
    "neutral": "joe@neutral.example",
    "none": "joe@none.example",
    "permerror": "joe@bad.example",
    "temperror": "joe@broken.example",
}


def spf(**options: object) -> Site:
    site = Site([("spf", options)], zone=ZONE)
    site.resolver.fail("broken.example", error="SERVFAIL")
    return site


def mail(site: Site, sender: str, helo: str = "helo.example", ip: str = "192.0.2.7") -> str:
    client = site.connect(ip)
    client.hello(helo)
    return str(client.mail(sender)).partition(" [")[0]


# --- What is done -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", RESULTS)
def test_only_fail_is_refused_unless_one_says_so(result: str) -> None:
    with spf() as site:
        assert mail(site, SENDERS[result])[:3] == ("550" if result == "fail" else "250")


@pytest.mark.parametrize(
    ("result", "reject", "defer"),
    [
        ("fail", "550 5.7.23", "451 4.7.23"),
        ("softfail", "550 5.7.23", "451 4.7.23"),
        ("neutral", "550 5.7.23", "451 4.7.23"),
        ("none", "550 5.7.23", "451 4.7.23"),
        ("permerror", "550 5.7.24", "451 4.7.24"),
        ("temperror", "", "451 4.7.24"),
    ],
)
def test_every_result_has_its_action(result: str, reject: str, defer: str) -> None:
    for action, status in (("reject", reject), ("defer", defer), ("record", "250 2.1.0")):
        if not status:
            with pytest.raises(PluginLoadError, match="temperror"):
                spf(**{result: action})
            continue
        with spf(**{result: action}) as site:
            assert mail(site, SENDERS[result])[:10].rstrip() == status
            assert mail(site, SENDERS["pass"])[:3] == "250"


def test_what_the_client_hears() -> None:
    with spf() as site:
        assert mail(site, "joe@fail.example") == (
            "550 5.7.23 192.0.2.7 may not send mail for fail.example / "
            "fail.example says: 192.0.2.7 is no server of fail.example"
        )
        assert "red.example / fail.example says: 192.0.2.7 is no server of fail.example" in mail(site, "a@red.example")
    with spf(explain=False, reason="{result}: not {client}, {domain}") as site:
        assert mail(site, "joe@fail.example") == "550 5.7.23 fail: not 192.0.2.7, fail.example"
    with spf(permerror="reject", temperror="defer") as site:
        assert mail(site, "joe@bad.example") == (
            "550 5.7.24 The SPF policy of bad.example cannot be evaluated: "
            "no mechanism: 'moo' in the policy of bad.example"
        )
        assert mail(site, "joe@broken.example") == (
            "451 4.7.24 The SPF policy of broken.example cannot be evaluated: SERVFAIL"
        )


@given(st.text(st.characters(codec="ascii", exclude_characters='"\\'), max_size=300))
def test_an_explanation_cannot_say_more_than_a_line(text: str) -> None:
    with spf() as site:
        site.resolver.zone["why.fail.example"] = {"TXT": [f'"{text}"']}
        client = site.connect("192.0.2.7")
        client.hello()
        heard = client.mail("joe@fail.example")
        assert (heard.code, heard.enhanced) == (550, "5.7.23")
        assert len(heard.lines) <= 3  # ours, theirs, and where the refusal is found


# --- What is checked --------------------------------------------------------------------------------------------------


def test_the_sender_is_checked_and_of_a_bounce_the_name_of_helo() -> None:
    with spf() as site:
        assert mail(site, "joe@pass.example", "fail.example")[:3] == "250"
        assert mail(site, "", "helo.example")[:3] == "250"
        assert mail(site, "", "fail.example")[:10] == "550 5.7.23"
        assert mail(site, "", "[192.0.2.7]")[:3] == "250"
        assert mail(site, "joe@[192.0.2.7]")[:3] == "250"


def test_helo_may_be_checked_always_and_before_the_sender() -> None:
    with spf(helo="always") as site:
        assert mail(site, "joe@pass.example", "helo.example")[:3] == "250"
        assert "fail.example" in mail(site, "joe@pass.example", "fail.example")
        assert mail(site, "joe@fail.example", "helo.example")[:3] == "550"
        assert mail(site, "joe@fail.example", "[192.0.2.7]")[:3] == "550"


def test_addresses_of_version_4_in_those_of_6() -> None:
    with spf() as site:
        assert mail(site, "joe@pass.example", ip="::ffff:192.0.2.7")[:3] == "250"
        assert mail(site, "joe@fail.example", ip="::ffff:192.0.2.7")[:3] == "550"
        assert mail(site, "joe@fail.example", ip="2001:db8::1")[:3] == "550"


def test_who_has_no_address_is_not_checked() -> None:
    with spf() as site:
        assert mail(site, "joe@fail.example", ip="")[:3] == "250"
        assert site.resolver.asked == []


@pytest.mark.parametrize("ip", ["10.0.0.1", "172.17.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "fe80::1%eth0"])
def test_of_private_addresses_no_policy_knows(ip: str) -> None:
    with spf(helo="always") as site:
        client = site.connect(ip)
        client.hello("fail.example")
        assert client.mail(SENDERS["fail"]).code == 250
        client.disconnect()
        (transaction,) = site.transactions
        (result,) = transaction.results
        assert (result.outcome, result.authentication) == ("skip", None)
        assert site.resolver.asked == []
        assert mail(site, SENDERS["fail"], ip="172.32.0.1").startswith("550 5.7.23")


def test_who_is_exempt_is_not_checked() -> None:
    class Trust(Plugin[NoOptions]):
        def on_connect(self, connection: Connection) -> None:
            connection.is_trusted = True

    with Site([Trust, "spf"], zone=ZONE) as site:
        assert mail(site, "joe@fail.example")[:3] == "250"
        assert site.resolver.asked == []


# --- What is on record ------------------------------------------------------------------------------------------------


def test_the_record() -> None:
    with spf(fail="record", helo="always") as site:
        for sender in SENDERS.values():
            site.connect("192.0.2.7").send(sender, "user@example.test", b"")
        first = site.transactions[0].results
        assert [(one.plugin, one.outcome, one.evidence) for one in first] == [
            ("spf", "skip", "helo none: client.example has no policy"),
            ("spf", "pass", "mailfrom pass: ip4:192.0.2.0/24 of pass.example"),
        ]
        assert [one.authentication for one in first] == [
            Authentication("spf", "none", (("smtp", "helo", "client.example"),), "client.example has no policy"),
            Authentication(
                "spf", "pass", (("smtp", "mailfrom", "joe@pass.example"),), "ip4:192.0.2.0/24 of pass.example"
            ),
        ]
        found = [(one.results[1].outcome, one.results[1].evidence) for one in site.transactions[1:]]
        assert found == [
            ("fail", "mailfrom fail: -all of fail.example"),
            ("fail", "mailfrom softfail: ~all of soft.example"),
            ("skip", "mailfrom neutral: ?all of neutral.example"),
            ("skip", "mailfrom none: none.example has no policy"),
            ("error", "mailfrom permerror: no mechanism: 'moo' in the policy of bad.example"),
            ("error", "mailfrom temperror: SERVFAIL"),
        ]


def test_it_is_written_into_the_message() -> None:
    with Site(["spf", "authentication_results"], zone=ZONE) as site:
        site.connect("192.0.2.7").send("joe@soft.example", "user@example.test", b"To: x\n\n")
        (message,) = site.delivered["user@example.test"]
        assert message == (
            b'Authentication-Results: mx.example.test;\n\tspf=softfail reason="~all of soft.example"\n'
            b"\tsmtp.mailfrom=joe@soft.example\nTo: x\n\n"
        )


def test_received_spf() -> None:
    with spf(received_spf=True, helo="always") as site:
        site.connect("192.0.2.7").send("joe@pass.example", "user@example.test", b"To: x\n\n")
        message = site.delivered["user@example.test"][0].decode()
        assert [line for line in message.split("\n") if "SPF" in line or "identity" in line] == [
            "Received-SPF: pass",
            "\tidentity=mailfrom;",
            "Received-SPF: none",
            "\tidentity=helo;",
        ]


def test_a_shadow_only_records() -> None:
    with Site([{"use": "spf", "mode": "shadow", "options": {"received_spf": True}}], zone=ZONE) as site:
        site.connect("192.0.2.7").send("joe@fail.example", "user@example.test", b"To: x\n\n")
        assert site.delivered["user@example.test"] == [b"To: x\n\n"]
        assert [one.outcome for one in site.transactions[0].results] == ["fail", "skip"]


# --- The DNS ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_remembered", [True, False], ids=["at once", "waited for"])
def test_answers_that_are_waited_for_are_the_same(is_remembered: bool) -> None:
    with spf(helo="always", softfail="defer") as site:
        site.resolver.is_remembered = is_remembered
        assert [mail(site, SENDERS[result])[:3] for result in RESULTS] == [
            "250",
            "550",
            "451",
            "250",
            "250",
            "250",
            "250",
        ]
        assert mail(site, SENDERS["pass"], "fail.example")[:3] == "550"


def test_trouble_later_is_no_reason_to_refuse() -> None:
    with spf() as site:
        site.resolver.is_remembered = False
        assert mail(site, SENDERS["temperror"])[:3] == "250"
        assert site.count("fastsmtp_plugin_answers_total", answer="fault") == 0


def test_a_reason_with_unknown_words() -> None:
    with pytest.raises(PluginLoadError) as caught:
        spf(reason="{ip} no")
    assert caught.value.problems == ("plugin[0].options: there is no {ip}; there are {client}, {domain}, {result}",)
