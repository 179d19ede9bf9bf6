"""What became of it before."""

from collections.abc import Awaitable

import pytest

from fastsmtp.errors import PluginLoadError, StateError
from fastsmtp.plugin import Address, Connection, Naughty, NoOptions, Plugin, Reply, Transaction, defer, naughty, reject
from fastsmtp.testing import Client, MemoryRecords, PluginSpec, Site

DAY = 86_400.0
USERS = ["ann@example.test"]
IP, NEIGHBOUR, STRANGER = "192.0.2.1", "192.0.2.2", "203.0.113.1"


class Judge(Plugin[NoOptions]):
    """Has an opinion of senders."""

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
        return {"bad": reject("5.7.1", "no"), "slow": defer("4.7.1", "later")}.get(sender.local)


def karma(*plugins: object, **options: object) -> Site:
    return Site([("karma", options), *plugins], users=USERS, passwords={"ann@example.test": "secret"})  # type: ignore[list-item]  # a plugin each


def score(mx: Site, key: str = IP) -> float:
    return mx.records.score(f"karma {key}", DAY)


def send(client: Client, sender: str = "a@example.org") -> int:
    return client.send(sender, "ann@example.test", b"Subject: x\n\ny\n").code


def guess(mx: Site, ip: str, count: int) -> None:
    client = mx.connect(ip)
    client.hello()
    client.mail("a@example.org")
    for number in range(count):
        client.rcpt(f"user{number}@example.test")
    client.disconnect()


def test_mail_that_is_stored_is_good_for_address_and_network() -> None:
    with karma() as mx:
        client = mx.connect(IP)
        assert [send(client), send(client)] == [250, 250]
        client.quit()
        assert (score(mx), score(mx, "192.0.2.0/24 *"), score(mx, NEIGHBOUR)) == (2.0, 2.0, 0.0)


@pytest.mark.parametrize(
    ("commands", "earned"),
    [
        (["EHLO x.example", "MAIL FROM:<a@example.org>", "RCPT TO:<nobody@example.test>"], -1.0),
        (["EHLO x.example", "MAIL FROM:<a@example.org>", "RCPT TO:<a@elsewhere.example>"], -3.0),
        (["NONSENSE", "RCPT TO:<ann@example.test>"], -1.0),
        (["EHLO x.example", "MAIL FROM:<a@example.org>", "MAIL FROM:<a@example.org>"], -0.5),
        (["EHLO x.example", "NOOP"], 0.0),
    ],
)
def test_what_is_bad(commands: list[str], earned: float) -> None:
    with karma() as mx:
        client = mx.connect(IP)
        for command in commands:
            client.command(command)
        client.disconnect()
        assert score(mx) == earned


def test_what_other_plugins_say_counts_but_not_of_neutral_ones_and_not_in_shadow() -> None:
    with karma(Judge, deferred=-0.25) as mx:
        client = mx.connect(IP)
        assert [send(client, "bad@example.org"), send(client, "slow@example.org")] == [550, 450]
        client.disconnect()
        assert score(mx) == -1.25
    for site in (karma(Judge, neutral=["Judge"]), karma({"use": Judge, "mode": "shadow"}, stored=0)):
        with site as mx:
            client = mx.connect(IP)
            send(client, "bad@example.org")
            client.disconnect()
            assert score(mx) == 0.0


class Marks(Plugin[NoOptions]):
    """Says at each MAIL what is wrong with the connection."""

    def on_mail(self, txn: Transaction, sender: Address) -> Naughty:
        return naughty("no such host" if sender.local == "other" else "listed")


def test_a_mark_counts_once_for_what_it_says() -> None:
    with karma(Marks, unknown_recipient=0) as mx:
        client = mx.connect(IP)
        assert [send(client), send(client), send(client)] == [550, 550, 550]
        client.disconnect()
        assert score(mx) == -1.0
        client = mx.connect(IP)
        assert [send(client), send(client, "other@example.org"), send(client)] == [550, 550, 550]
        client.disconnect()
        assert score(mx) == -3.0, "another connection, with two of them"


def test_one_address_alone_does_not_put_its_network_into_the_box() -> None:
    with karma() as mx:
        guess(mx, IP, 100)
        assert score(mx) == -40.0
        assert [mx.connect(ip).greeting.code for ip in (IP, NEIGHBOUR)] == [421, 220]
        assert mx.connect(NEIGHBOUR).connection.results == []


def test_two_of_them_have_a_score_each() -> None:
    plugins: list[PluginSpec] = ["karma", {"use": "karma", "name": "strict", "options": {"unknown_recipient": -5.0}}]
    with Site(plugins, users=USERS) as mx:
        guess(mx, IP, 1)
        assert [mx.records.score(f"{name} {IP}", DAY) for name in ("karma", "strict")] == [-1.0, -5.0]


class Early(Plugin[NoOptions]):
    """Finds that they spoke too early."""

    def on_connect(self, connection: Connection) -> None:
        connection.early_talker = True


def test_early_talkers() -> None:
    with karma(Early) as mx:
        mx.connect(IP).disconnect()
        assert score(mx) == -3.0


def test_the_penalty_box_opens_again() -> None:
    with karma() as mx:
        guess(mx, IP, 20)
        heard = mx.connect(IP).greeting
        assert (heard.code, heard.enhanced) == (421, "4.7.1")
        assert heard.lines[0] == "Too much of what came from your address was bad, come again later"
        assert [mx.connect(ip).greeting.code for ip in (NEIGHBOUR, STRANGER)] == [220, 220]
        mx.clock.advance(1.5 * DAY)
        assert mx.connect(IP).greeting.code == 220


def test_a_network_counts_for_its_share() -> None:
    with karma() as mx:
        for last in range(10, 22):
            guess(mx, f"192.0.2.{last}", 9)
        assert mx.connect("192.0.2.200").greeting.code == 421
        assert mx.connect(STRANGER).greeting.code == 220
    with karma(network_share=0) as mx:
        for last in range(10, 22):
            guess(mx, f"192.0.2.{last}", 9)
        assert mx.connect("192.0.2.200").greeting.code == 220
        assert score(mx, "192.0.2.0/24 *") == 0.0


def test_other_penalties() -> None:
    with karma(penalty="reject") as mx:
        guess(mx, IP, 20)
        assert mx.connect(IP).greeting.code == 554
    with karma(penalty="naughty") as mx:
        guess(mx, IP, 20)
        client = mx.connect(IP)
        assert client.greeting.code == 220
        assert send(client) == 550
        assert client.connection.naughty_by == "karma"


def test_who_gets_there_while_connected_is_sent_away() -> None:
    with karma() as mx:
        client = mx.connect(IP)
        client.hello()
        client.mail("a@example.org")
        for number in range(11):
            client.rcpt(f"user{number}@example.test")
        client.command("RSET")
        assert client.mail("a@example.org").code == 421
        assert not client.is_open
        assert mx.connect(IP).greeting.code == 421


def test_good_ones_have_a_pass_and_no_more_than_the_best() -> None:
    with karma(best=8) as mx:
        client = mx.connect(IP)
        for _ in range(12):
            assert send(client) == 250
        client.quit()
        assert score(mx) == 8.0
        (result,) = mx.connect(IP).connection.results
        assert (result.plugin, result.outcome, result.evidence) == ("karma", "pass", "karma +8.0, its network's +0.8")
        assert mx.connect(STRANGER).connection.results == []


def test_who_is_exempt() -> None:
    with karma(exempt=["192.0.2.0/24"]) as mx:
        guess(mx, IP, 20)
        guess(mx, "", 20)
        assert [mx.connect(ip).greeting.code for ip in (IP, "")] == [220, 220]
        client = mx.connect(STRANGER)
        client.login("ann@example.test", "secret")
        assert send(client) == 250
        client.quit()
        assert score(mx, STRANGER) == 0.0


def test_when_nobody_knows_nobody_is_in_the_box() -> None:
    with karma() as mx:
        guess(mx, IP, 20)
        mx.records.trouble = StateError("away")
        client = mx.connect(IP)
        assert client.greeting.code == 220
        assert [result.outcome for result in client.connection.results] == ["error"]
        mx.records.trouble = None
        assert mx.connect(IP).greeting.code == 421


class Slow(MemoryRecords):
    """Scores that have to be waited for."""

    def score(self, key: str, half_life_s: float) -> Awaitable[float]:  # type: ignore[override]  # as the port allows
        async def answer() -> float:
            return MemoryRecords.score(self, key, half_life_s)

        return answer()

    def add(self, key: str, amount: float, half_life_s: float) -> None:
        before = MemoryRecords.score(self, key, half_life_s)
        self._scores[key] = (self._clock.time(), before + amount)


def test_scores_of_several_hosts_are_waited_for() -> None:
    mx = karma()
    mx.records = Slow(mx.clock)
    with mx:
        guess(mx, IP, 20)
        assert mx.connect(IP).greeting.code == 421
        mx.records.trouble = StateError("away")
        assert mx.connect(IP).greeting.code == 220


@pytest.mark.parametrize(
    "options",
    [
        {"penalty_below": 1},
        {"good_from": 30},
        {"worst": -5},
        {"network_share": 2},
        {"half_life": 1},
        {"v6_bits": 99},
        {"penalty": "x"},
    ],
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(PluginLoadError):
        karma(**options)
