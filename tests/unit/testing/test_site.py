"""A server in memory."""

import asyncio
import doctest
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastsmtp import testing
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.errors import PluginLoadError
from fastsmtp.plugin import Address, Connection, NoOptions, Plugin, Reply, Services, Transaction, defer
from fastsmtp.testing import Site


@dataclass(frozen=True, slots=True)
class Options:
    text: str = "later"


class Later(Plugin[Options]):
    """Answers MAIL after a moment, and writes down what happens to it."""

    def __init__(self, options: Options, name: str) -> None:
        super().__init__(options, name)
        self.told: list[str] = []

    async def start(self, services: Services) -> None:
        self.told.append(f"start at {services.clock.time():.0f}")

    async def stop(self) -> None:
        self.told.append("stop")

    async def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
        await asyncio.sleep(0)
        return defer("4.7.1", f"{self.options.text}, {txn.id}") if sender.local == "early" else None

    async def on_stored(self, txn: Transaction, reply: Reply) -> None:
        await asyncio.sleep(0)
        self.told.append(f"{txn.id} {reply.code}")

    async def on_disconnect(self, connection: Connection) -> None:
        await asyncio.sleep(0)
        self.told.append(f"{connection.id} gone")


class Broken(Plugin[NoOptions]):
    async def start(self, services: Services) -> None:
        raise RuntimeError(f"no {services.clock.time():.0f}")


def test_the_example_in_the_documentation() -> None:
    results = doctest.testmod(testing)
    assert results.attempted > 5
    assert results.failed == 0


def test_plugins_live_as_in_a_server() -> None:
    with Site([Later]) as site:
        (loaded,) = site.plugins
        plugin = loaded.plugin
        assert isinstance(plugin, Later)
        client = site.connect()
        assert str(client.send("early@example.org", "user@example.test", b"")) == "450 4.7.1 later, T1"
        assert client.send("late@example.org", "user@example.test", b"").code == 250
        assert plugin.told == ["start at 1700000000", "T2 250"]
        client.quit()
        site.connect()
        assert plugin.told[2:] == ["C1 gone"]
    assert plugin.told[3:] == ["C2 gone", "stop"]


@pytest.mark.parametrize(
    ("spec", "name", "text"),
    [
        (Later, "Later", "later"),
        ((Later, {"text": "x"}), "Later", "x"),
        ({"use": Later, "name": "mine", "options": {"text": "y"}, "timeout": "50ms"}, "mine", "y"),
        (f"{__name__}:Later", "Later", "later"),
    ],
)
def test_plugins_are_named_in_several_ways(
    spec: testing.PluginSpec, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(Later=Later))
    (loaded,) = Site([spec]).plugins
    assert (loaded.name, loaded.plugin.options.text) == (name, text)


def test_plugins_by_entry_point_and_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from fastsmtp.plugin import Plugin\nclass Mine(Plugin):\n    pass\n")
    site = Site(["loop", ("add_header", {"name": "X-A", "value": "1"}), "mine"], plugin_path=[tmp_path])
    assert [loaded.name for loaded in site.plugins] == ["loop", "add_header", "mine"]


def test_what_is_wrong_with_plugins_is_said_as_by_the_server() -> None:
    with pytest.raises(PluginLoadError) as caught:
        Site([Later, Later, (Later, {"txt": "x"}), "no_such"])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "plugin[1]",
        "plugin[2]",
        "plugin[2].options.txt",
        "plugin[3]",
    ]


def test_a_plugin_that_does_not_start_stops_the_others() -> None:
    site = Site([Later, Broken])
    with pytest.raises(RuntimeError, match="no 1700000000"), site:
        pass
    plugin = site.plugins[0].plugin
    assert isinstance(plugin, Later)
    assert plugin.told == ["start at 1700000000", "stop"]


def test_a_site_has_to_be_entered() -> None:
    with pytest.raises(RuntimeError, match="with Site"):
        Site().connect()


def test_single_bytes_make_no_difference() -> None:
    heard = []
    for byte_by_byte in (False, True):
        with Site(byte_by_byte=byte_by_byte) as site:
            client = site.connect()
            reply = client.send("a@example.org", "user@example.test", b"Subject: hi\n\n.\nHello\n")
            heard.append((client.greeting, reply, site.delivered, client.say(b"NOOP\r\nQUIT\r\n")))
    assert heard[0] == heard[1]


def test_options_directory_and_users() -> None:
    directory = MemoryDirectory(["ann@one.example"], separator="-")
    with Site(directory=directory, hostname="mx.one.example", recipients=1) as site:
        client = site.connect()
        assert client.greeting.lines[0].startswith("mx.one.example ")
        client.hello()
        client.mail()
        assert client.rcpt("ann-x@one.example").code == 250
        assert client.rcpt("ann@one.example").code == 452
    with pytest.raises(TypeError, match="no_such"):
        Site(no_such=1)


def test_counters_are_added_up() -> None:
    with Site([Later]) as site:
        site.connect().send("early@example.org", "user@example.test", b"")
        assert site.count("fastsmtp_plugin_answers_total", answer="defer") == 1
        assert site.count("fastsmtp_plugin_answers_total", plugin="Later", stage="mail") == 1
        assert site.count("fastsmtp_replies_total", verb="MAIL", class_="4xx") == 1
        with pytest.raises(KeyError):
            site.count("fastsmtp_nothing_total")
