"""What can hardly be meant so, table against table and plugin against plugin."""

from collections.abc import Iterator
from typing import Any

import pytest

from fastsmtp.cli.advice import advice
from fastsmtp.config.model import Settings
from fastsmtp.pipeline.loader import load_plugins


def told(*plugins: dict[str, Any] | str, **tables: Any) -> list[tuple[str, str]]:
    entries = [{"use": one} if isinstance(one, str) else one for one in plugins]
    settings = Settings.model_validate({"plugin": entries, **tables})
    return list(advice(settings, load_plugins(settings.plugin)))


def keys(*plugins: dict[str, Any] | str, **tables: Any) -> list[str]:
    return [key for key, _ in told(*plugins, **tables)]


def plugin(use: str, timeout: str = "10s", **options: Any) -> dict[str, Any]:
    return {"use": use, "timeout": timeout, "options": options}


ALONE = {
    "access": {"deny": ["192.0.2.0/24"]},
    "add_header": {"name": "X-Test", "value": "y"},
    "block_recipient": {"addresses": ["a@example.org"]},
    "block_sender": {"domains": ["example.org"]},
    "content_log": {"folder": "/srv/copies"},
    "dnsbl": {"lists": ["bl.example"]},
    "rate_limit": {"limits": [{"by": "address", "rate": "60/minute", "burst": 120}]},
    "rhsbl": {"lists": ["bl.example"]},
}
DEFAULTS = (
    *("add_header", "authentication_results", "block_recipient", "block_sender", "bogus_bounce", "content_log"),
    *("dnsbl", "early_talker", "fcrdns", "greylist", "harvest_guard", "headers", "helo", "karma", "loop", "rate_limit"),
    *("recipient_limit", "resolvable_sender", "rhsbl", "spf", "access"),
)


@pytest.mark.parametrize("use", DEFAULTS)
def test_nothing_is_said_of_defaults(use: str) -> None:
    assert told({"use": use, "options": ALONE.get(use, {})}) == []


def test_the_dns_has_less_time_than_who_asks_it() -> None:
    assert keys(plugin("spf", "8s"), plugin("loop", "1s"), plugin("helo", "8100ms")) == ["plugin[0].timeout"]
    assert keys("spf", dns={"budget": "10s"}) == ["plugin[0].timeout"]
    ((key, sentence),) = told("spf", dns={"timeout": "9s"})
    assert (key, sentence) == (
        "dns.timeout",
        "is 9 s, and dns.budget ends every wait after 8 s; write that, or less",
    )
    assert keys("loop", dns={"timeout": "9s", "budget": "20s"}) == keys("loop", dns={"timeout": "9s"}) == []


CASES: list[tuple[list[dict[str, Any] | str], str, str]] = [
    ([plugin("early_talker", delay=9, tarpit=1)], "delay", "or timeout = 12 into"),
    ([plugin("early_talker", "60s", delay=31)], "delay", "many clients have gone by then"),
    ([plugin("early_talker", "20s", delay=0, tarpit=3, action="record")], "tarpit", "nobody hears a refusal"),
    ([plugin("harvest_guard", "3s", delay=3)], "delay", "or timeout = 5 into"),
    ([plugin("greylist", lifetime="6d")], "lifetime", "RFC 6647 section 5"),
    ([plugin("greylist", delay="5m", window="1h")], "window", "which many make later"),
    ([plugin("greylist", delay="30s")], "delay", "RFC 6647 section 5"),
    ([plugin("greylist", trust=["karmas"]), "karma"], "trust", 'no plugin is called "karmas"'),
    ([plugin("greylist", trust=["dnsbl"]), plugin("dnsbl", lists=["bl.example"])], "trust", "dnsbl has a pass for all"),
    ([plugin("karma", neutral=["greylst"])], "neutral", 'no plugin is called "greylst"'),
    ([plugin("karma", worst=-100)], "worst", "one bad address puts all of its network into the box"),
    ([plugin("helo", skip=["no_match"])], "skip", '"lenient" does not test no_match'),
    ([plugin("loop", max_received=0, delivered_to=False)], "max_received", "nothing is looked for"),
    ([plugin("naughty", at="connect"), "dnsbl_of_ours"], "at", "no plugin before it"),
    ([plugin("recipient_limit", recipients=1000)], "recipients", "limits.recipients (100)"),
    ([plugin("recipient_limit", users=500)], "users", "limits.recipients (100)"),
    ([plugin("content_log", folder="/srv/copies", max_message=10, max_day=5)], "max_day", "the largest messages"),
    ([plugin("access", deny=["dynamic.example.net"])], "deny", "no fcrdns before it"),
]


@pytest.mark.parametrize(("plugins", "option", "words"), CASES)
def test_options_that_can_hardly_be_meant(plugins: list[dict[str, Any] | str], option: str, words: str) -> None:
    ((key, sentence),) = told(*(one for one in plugins if one != "dnsbl_of_ours"))
    assert key == f"plugin[0].options.{option}"
    assert words in sentence


def test_what_a_client_hears_is_ascii() -> None:
    assert keys(plugin("early_talker", reason="Zu früh")) == ["plugin[0].options.reason"]


def test_names_of_plugins_that_are_there() -> None:
    assert told({"use": "karma", "name": "score"}, plugin("greylist", trust=["score"])) == []
    assert told("fcrdns", plugin("access", deny=["dynamic.example.net"])) == []
    assert told("helo", plugin("naughty", at="hello")) == []


def limits(*entries: dict[str, Any], **options: Any) -> Iterator[tuple[str, str]]:
    for key, sentence in told(plugin("rate_limit", limits=list(entries), **options)):
        yield key.removeprefix("plugin[0].options.limits."), sentence


@pytest.mark.parametrize(
    ("entries", "number", "words"),
    [
        ([{"by": "address", "rate": "1/day", "burst": 100}], "0", "for 100 days"),
        ([{"by": "address", "rate": "1000/minute", "burst": 2}], "0", "mail comes in bunches"),
        ([{"by": "user", "rate": "10/hour"}], "0", "nobody can log in"),
    ],
)
def test_limits_that_can_hardly_be_meant(entries: list[dict[str, Any]], number: str, words: str) -> None:
    ((key, sentence),) = limits(*entries)
    assert key == number
    assert words in sentence


def test_users_who_are_exempt_have_no_limit() -> None:
    limit = plugin("rate_limit", limits=[{"by": "user", "rate": "10/hour"}], exempt_users=True)
    auth = {"auth": {"enabled": True, "require_tls": False}}
    ((key, sentence),) = told(limit, **auth)
    assert (key, "exempt_users" in sentence) == ("plugin[0].options.limits.0", True)
