"""Clients that do not wait for their turn."""

import asyncio
import time
from typing import Any

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.plugin import Connection, NoOptions, Plugin
from fastsmtp.testing import Client, Site

DELAY_S = 0.05


def early_talker(**options: object) -> Site:
    return Site([("early_talker", {"delay": DELAY_S, **options})])


def results(client: Client) -> list[str]:
    return [f"{result.outcome} {result.evidence}" for result in client.connection.results]


def test_strangers_wait() -> None:
    with early_talker() as site:
        begun = time.monotonic()
        assert site.connect().greeting.code == 220
        assert time.monotonic() - begun >= DELAY_S  # no timer is early


@pytest.mark.parametrize("options", [{"delay": 0}, {"exempt": ["192.0.2.0/24"]}])
def test_who_need_not_wait_causes_no_wait(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        raise AssertionError("nobody should wait")

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with early_talker(**options) as site:
        assert site.connect().greeting.code == 220
    with early_talker() as site:
        assert site.connect(is_known=True).greeting.code == 220


def test_who_has_spoken_is_refused() -> None:
    with early_talker(reason="wait") as site:
        client = site.connect(talks_early=True)
        assert str(client.greeting) == "554 5.7.1 wait"
        assert not client.is_open
        assert results(client) == ["fail spoke before the greeting"]


def test_who_is_known_and_speaks_early_is_refused_all_the_same() -> None:
    with early_talker() as site:
        assert site.connect(is_known=True, talks_early=True).greeting.code == 554


def test_who_speaks_while_he_waits() -> None:
    class Impatient(Plugin[NoOptions]):
        """The client speaks a moment after it has come."""

        def on_connect(self, connection: Connection) -> None:
            asyncio.get_running_loop().call_later(0, setattr, connection, "early_talker", True)

    with Site([Impatient, ("early_talker", {"delay": DELAY_S})]) as site:
        assert site.connect().greeting.code == 554


@pytest.mark.parametrize(
    ("action", "greeting", "recipient"), [("defer", 421, None), ("naughty", 220, 550), ("record", 220, 250)]
)
def test_what_is_done(action: str, greeting: int, recipient: int | None) -> None:
    with early_talker(action=action) as site:
        client = site.connect(talks_early=True)
        assert client.greeting.code == greeting
        if recipient is not None:
            assert client.send("", "user@example.test", b"").code == recipient
        assert results(client) == ["fail spoke before the greeting"]


def test_who_has_spoken_waits_for_the_refusal() -> None:
    with early_talker(tarpit=DELAY_S) as site:
        begun = time.monotonic()
        assert site.connect(talks_early=True).greeting.code == 554
        assert time.monotonic() - begun >= DELAY_S


def test_no_more_wait_than_may() -> None:
    with early_talker(delay=30, waiting=1) as site:
        plugin: Any = site.plugins[0].plugin

        async def two() -> Connection:
            first, second = (Connection(name, "192.0.2.1", 1, "192.0.2.25", 25) for name in ("A", "B"))
            waiting = asyncio.ensure_future(plugin.on_connect(first))
            await asyncio.sleep(0)
            assert plugin.on_connect(second) is None
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert plugin.on_connect(first) is not None  # there is room again
            return second

        with pytest.warns(RuntimeWarning, match="was never awaited"):
            second = site.run(two())
        assert [(result.outcome, result.evidence) for result in second.results] == [("skip", "1 wait already")]


@pytest.mark.parametrize(("action", "code"), [("record", 250), ("reject", 550), ("naughty", 250)])
def test_who_does_not_wait_for_the_reply_to_ehlo(action: str, code: int) -> None:
    with early_talker(delay=0, pipelining=action) as site:
        client = site.connect()
        replies = client.say(b"EHLO client.example\r\nNOOP\r\n")
        assert replies[0].code == code
        assert client.rcpt("user@example.test").code == 503
        assert results(client) == ["fail did not wait for the reply to HELO, EHLO, DATA or AUTH"]


def test_who_does_not_wait_for_the_reply_to_data() -> None:
    with early_talker(delay=0, pipelining="reject") as site:
        client = site.connect()
        client.hello()
        client.mail()
        client.rcpt("user@example.test")
        assert str(client.say(b"DATA\r\nSubject: x\r\n")[0]) == "550 5.7.1 You have to wait until you are greeted"


def test_its_mark_for_that_outlives_starttls() -> None:
    with Site([("early_talker", {"delay": 0, "pipelining": "naughty"})], starttls=True) as site:
        client = site.connect()
        client.say(b"EHLO client.example\r\nNOOP\r\n")
        client.starttls()
        client.hello()
        client.mail()
        assert client.rcpt("user@example.test").code == 550


def test_in_shadow_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        raise AssertionError("nobody should wait")

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with Site([{"use": "early_talker", "mode": "shadow", "options": {"delay": 30, "tarpit": 30}}]) as site:
        assert site.connect().greeting.code == 220
        client = site.connect(talks_early=True)
        assert client.greeting.code == 220
        assert results(client) == [
            "fail spoke before the greeting",
            "skip shadow connect: 550 5.7.1 You have to wait until you are greeted",
        ]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"delay": "61s"}, "`delay` is at most 60 s, not 61"),
        ({"tarpit": 100}, "`tarpit` is at most 60 s, not 100"),
        ({"waiting": 0}, "`waiting` is at least 1, not 0"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError, match=problem):
        early_talker(**options)
