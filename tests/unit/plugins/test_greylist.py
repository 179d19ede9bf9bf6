"""Who comes again is let in."""

from collections.abc import Awaitable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastsmtp.errors import PluginLoadError, StateError
from fastsmtp.plugin import Address, Authentication, NoOptions, Plugin, Transaction
from fastsmtp.testing import Client, MemoryRecords, Site

USERS = ["ann@example.test", "bob@example.test"]
MINUTE, DAY = 60.0, 86_400.0


def greylist(**options: object) -> Site:
    return Site([("greylist", options)], users=USERS, passwords={"ann@example.test": "secret"})


def send(client: Client, sender: str = "a@example.org", to: str = "ann@example.test") -> int:
    return client.send(sender, to, b"Subject: x\n\ny\n").code


def test_a_stranger_comes_again_and_is_known_from_then_on() -> None:
    with greylist() as mx:
        client = mx.connect("192.0.2.1")
        client.hello()
        client.mail("a@example.org")
        heard = client.rcpt("ann@example.test")
        assert str(heard) == "451 4.7.1 Greylisted: nobody knows you here yet, come again in 300 seconds"
        assert client.rcpt("bob@example.test") == heard, "one answer for a transaction"
        client.command("RSET")
        mx.clock.advance(4 * MINUTE)
        assert send(client) == 451
        assert "in 60 seconds" in client.send("a@example.org", "ann@example.test", b"x\n\ny\n").lines[0]
        mx.clock.advance(MINUTE)
        assert send(mx.connect("192.0.2.77"), "other@EXAMPLE.org", "bob@example.test") == 250
        mx.clock.advance(30 * DAY)
        assert send(client) == 250


@pytest.mark.parametrize("now", [1_764_030_000.1, 1_764_030_000.3, 1_764_030_123.456_789])
def test_time_is_not_whole(now: float) -> None:
    with greylist(delay=1) as mx:
        mx.clock.now = now
        client = mx.connect()
        assert send(client) == 451
        mx.clock.advance(0.7)
        assert "in 1 seconds" in client.send("a@example.org", "ann@example.test", b"x\n\ny\n").lines[0]
        mx.clock.advance(0.7)
        assert send(client) == 250


def test_the_record_says_why() -> None:
    with greylist() as mx:
        client = mx.connect("192.0.2.1")
        send(client)
        mx.clock.advance(5 * MINUTE)
        send(client)
        send(client)
        evidence = [result.evidence for txn in mx.transactions for result in txn.results]
        assert evidence == [
            "first seen 0 s ago: 192.0.2.0/24 example.org *",
            "came again: 192.0.2.0/24 example.org *",
            "known: 192.0.2.0/24 example.org *",
        ]


@pytest.mark.parametrize(
    ("options", "ip", "sender", "to", "is_known"),
    [
        ({}, "192.0.2.9", "b@example.org", "bob@example.test", True),
        ({}, "192.0.3.9", "b@example.org", "bob@example.test", False),
        ({"v4_bits": 16}, "192.0.3.9", "b@example.org", "bob@example.test", True),
        ({}, "192.0.2.1", "a@example.net", "ann@example.test", False),
        ({"by_sender": "nothing"}, "192.0.2.1", "a@example.net", "ann@example.test", True),
        ({"by_sender": "address"}, "192.0.2.1", "A@example.org", "ann@example.test", True),
        ({"by_sender": "address"}, "192.0.2.1", "b@example.org", "ann@example.test", False),
        ({"by_recipient": True}, "192.0.2.1", "a@example.org", "Ann@example.test", True),
        ({"by_recipient": True}, "192.0.2.1", "a@example.org", "bob@example.test", False),
    ],
)
def test_what_is_known_together(options: dict[str, object], ip: str, sender: str, to: str, is_known: bool) -> None:
    with greylist(**options) as mx:
        client = mx.connect("192.0.2.1")
        send(client)
        mx.clock.advance(5 * MINUTE)
        assert send(client) == 250
        assert send(mx.connect(ip), sender, to) == (250 if is_known else 451)


def test_blanks_in_a_local_part_name_no_record_of_others() -> None:
    """Split at its last blanks, the second key would begin with the first, whose record is no number of passes."""
    with greylist(by_sender="address", by_recipient=True) as mx:
        client = mx.connect()
        assert send(client, "a@example.org") == 451
        sly = r'"a@example.org ann@example.test x"@example.net'
        assert send(client, sly) == 451
        mx.clock.advance(5 * MINUTE)
        assert [send(client, sly), send(client, "a@example.org"), send(client, "b@example.org")] == [250, 250, 250]
        evidence = [txn.results[0].evidence for txn in mx.transactions]
        assert evidence[-1] == "of 2 who came again: 192.0.2.0/24"
        assert mx.count("fastsmtp_plugin_answers_total", answer="fault") == 0


PARTS = st.text(st.sampled_from('ab@. "\\*'), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.tuples(PARTS, PARTS), st.tuples(PARTS, PARTS))
@example(("a@example.test b", "c"), ("a", "b@example.test c"))
def test_who_is_another_is_not_known(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Who comes again says nothing about anybody else, however they spell themselves."""
    with greylist(by_sender="address", by_recipient=True) as mx:
        client = mx.connect()
        client.hello()
        codes = []
        for locals_ in (one, other):
            sender, recipient = (Address(local, "example.test") for local in locals_)
            client.mail(str(sender))
            codes.append(client.rcpt(str(recipient)).code)
            client.command("RSET")
            mx.clock.advance(5 * MINUTE)
        is_the_same = [local.lower() for local in one] == [local.lower() for local in other]
        assert codes[0] == 451
        assert (codes[1] == 451) == (not is_the_same)


def test_networks_of_ipv6() -> None:
    with greylist() as mx:
        send(mx.connect("2001:db8::1"))
        mx.clock.advance(5 * MINUTE)
        assert send(mx.connect("2001:db8:0:1::1")) == 451
        assert send(mx.connect("2001:db8::ffff")) == 250


def test_a_network_of_which_two_came_again_is_let_in() -> None:
    with greylist() as mx:
        client = mx.connect("192.0.2.1")
        for domain in ("example.org", "example.net"):
            assert send(client, f"a@{domain}") == 451
            mx.clock.advance(5 * MINUTE)
            assert send(client, f"a@{domain}") == 250
        assert send(mx.connect("192.0.2.2"), "a@example.com") == 250
        assert send(mx.connect("192.0.3.2"), "a@example.com") == 451
        for _ in range(3):
            mx.clock.advance(30 * DAY)
            assert send(client, "a@never-before.example") == 250, "each message begins the lifetime anew"
        mx.clock.advance(37 * DAY)
        assert send(client, "a@example.edu") == 451


def test_a_network_is_not_let_in_where_that_is_not_wanted() -> None:
    with greylist(auto_allow=0) as mx:
        client = mx.connect("192.0.2.1")
        for number in range(5):
            assert send(client, f"a@{number}.example") == 451
            mx.clock.advance(5 * MINUTE)
            assert send(client, f"a@{number}.example") == 250


def test_a_first_try_is_forgotten_after_the_window() -> None:
    with greylist(window=3600) as mx:
        client = mx.connect()
        send(client)
        mx.clock.advance(3601)
        assert send(client) == 451
        mx.clock.advance(5 * MINUTE)
        assert send(client) == 250


def test_who_is_known_is_forgotten_in_the_end() -> None:
    with greylist(lifetime=10 * DAY) as mx:
        client = mx.connect()
        send(client)
        mx.clock.advance(5 * MINUTE)
        for _ in range(5):
            assert send(client) == 250
            mx.clock.advance(9 * DAY)
        mx.clock.advance(2 * DAY)
        assert send(client) == 451


def test_callouts_hear_of_recipients_and_bounces_come_again() -> None:
    with greylist() as mx:
        client = mx.connect()
        client.hello()
        client.mail("")
        assert [client.rcpt("ann@example.test").code, client.rcpt("nobody@example.test").code] == [250, 550]
        heard = client.command("DATA")
        assert (heard.code, heard.enhanced) == (451, "4.7.1")
        client.command("RSET")
        mx.clock.advance(5 * MINUTE)
        assert send(client, "") == 250


def test_who_is_exempt() -> None:
    lists = {"exempt_senders": ["friend.example", "a@example.org"], "exempt_recipients": ["bob@example.test"]}
    with greylist(exempt=["192.0.2.0/30", "2001:db8::/32"], **lists) as mx:
        assert [send(mx.connect(ip)) for ip in ("192.0.2.1", "2001:db8::1")] == [250, 250]
        client = mx.connect("198.51.100.1")
        assert send(client, "x@friend.example") == send(client, "A@example.org") == 250
        assert send(client, "b@example.org", "Bob@example.test") == 250
        assert send(client, "b@example.org") == 451
        assert send(mx.connect("")) == 250
        user = mx.connect("198.51.100.1")
        user.login("ann@example.test", "secret")
        assert send(user, "b@example.org") == 250


class Says(Plugin[NoOptions]):
    """Finds what the sender's address says."""

    def on_mail(self, txn: Transaction, sender: Address) -> None:
        if sender.local == "good":
            self.record(txn, "pass", "good")
        if sender.local == "spf":
            self.record(txn, "pass", "spf", Authentication("spf", "pass", (("smtp", "mailfrom", str(sender)),)))
        if sender.local == "helo":
            self.record(txn, "pass", "spf", Authentication("spf", "pass", (("smtp", "helo", "anybody.example"),)))


def test_who_is_trusted_by_another_plugin() -> None:
    with Site([Says, ("greylist", {"trust": ["Says"]})], users=USERS) as mx:
        assert [send(mx.connect(), f"{local}@example.org") for local in ("good", "bad")] == [250, 451]
    with Site([Says, "greylist"], users=USERS) as mx:
        assert send(mx.connect(), "good@example.org") == 451


def test_where_spf_passes_any_host_of_the_sender_may_come_again() -> None:
    with Site([Says, "greylist"], users=USERS) as mx:
        assert send(mx.connect("192.0.2.1"), "spf@example.org") == 451
        mx.clock.advance(5 * MINUTE)
        assert send(mx.connect("198.51.100.1"), "spf@example.org") == 250
        assert send(mx.connect("203.0.113.1"), "spf@example.org") == 250
        assert send(mx.connect("192.0.2.1"), "spf@example.net") == 451
        assert send(mx.connect("192.0.2.1"), "forged@example.org") == 451


def test_that_spf_passes_for_the_helo_says_nothing_of_the_sender() -> None:
    with Site([Says, "greylist"], users=USERS) as mx:
        assert send(mx.connect("192.0.2.1"), "helo@example.org") == 451
        mx.clock.advance(5 * MINUTE)
        assert send(mx.connect("198.51.100.1"), "helo@example.org") == 451


def test_when_nobody_knows_mail_goes_on() -> None:
    with greylist() as mx:
        mx.records.trouble = StateError("the state is away")
        client = mx.connect()
        assert [send(client), send(client, "")] == [250, 250]
        assert [result.outcome for txn in mx.transactions for result in txn.results] == ["error", "error"]
        mx.records.trouble = None
        assert send(client) == 451


class Slow(MemoryRecords):
    """What is read has to be waited for."""

    def get(self, key: str) -> Awaitable[str | None]:  # type: ignore[override]  # as the port allows
        async def answer() -> str | None:
            return MemoryRecords.get(self, key)

        return answer()


def test_records_of_several_hosts_are_waited_for() -> None:
    mx = greylist()
    mx.records = Slow(mx.clock)
    with mx:
        client = mx.connect()
        assert send(client) == 451
        mx.clock.advance(5 * MINUTE)
        assert [send(client), send(client)] == [250, 250]
        mx.records.trouble = StateError("away")
        assert send(client, "a@example.net") == 250


@pytest.mark.parametrize(
    "options",
    [{"delay": "3d"}, {"delay": "soon"}, {"v6_bits": 8}, {"by_sender": "x"}, {"exempt_senders": ["@@"]}, {"trust": 1}],
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(PluginLoadError):
        greylist(**options)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=12))
def test_timing_is_that_of_the_rules(pauses_s: list[int]) -> None:
    """A first try, and whoever comes again between `delay` and `window` is known, for a lifetime after each message."""
    delay, window, lifetime = 100, 300, 200
    with greylist(delay=delay, window=window, lifetime=lifetime, auto_allow=0) as mx:
        client = mx.connect()
        seen_s: float | None = None
        known_s: float | None = None
        for pause_s in pauses_s:
            mx.clock.advance(pause_s)
            now = mx.clock.now
            if known_s is not None and now - known_s < lifetime:
                expected = 250
                if now - known_s > lifetime / 10:
                    known_s = now
            elif known_s is None and seen_s is not None and delay <= now - seen_s < window:
                expected, known_s = 250, now
            else:
                if known_s is not None or seen_s is None or now - seen_s >= window:
                    seen_s, known_s = now, None
                expected = 451
            assert send(client) == expected
