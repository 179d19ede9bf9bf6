"""What a new site starts with."""

import asyncio
import tomllib
from pathlib import Path

import pytest

from fastsmtp.config.load import load
from fastsmtp.config.starter import LISTS, starter_plugins, write_lists
from fastsmtp.config.template import render
from fastsmtp.pipeline.loader import load_plugins
from fastsmtp.testing import Site


def entries(*, dns_in_shadow: bool = False) -> list[dict[str, object]]:
    made: list[dict[str, object]] = tomllib.loads(starter_plugins(dns_in_shadow=dns_in_shadow))["plugin"]
    return made


def test_the_plugins_load_with_the_lists_beside_them(tmp_path: Path) -> None:
    (tmp_path / "fastsmtp.toml").write_text(render({"hostname": "mx.example.org"}, starter_plugins()))
    write_lists(tmp_path / "lists")
    settings = load(tmp_path / "fastsmtp.toml")
    loaded = load_plugins(settings.plugin, settings.plugin_path)
    assert [plugin.name for plugin in loaded] == [entry["use"] for entry in entries()]


def test_every_example_in_a_comment_is_one_that_loads(tmp_path: Path) -> None:
    """As an operator tries them: without the `#`, and with a network or a name of their own."""
    lines = {name: [line for line in text.splitlines() if line.startswith("#   ")] for name, text in LISTS.items()}
    assert min(map(len, lines.values())) >= 2
    write_lists(tmp_path / "lists")
    for name, examples in lines.items():
        (tmp_path / "lists" / name).write_text("\n".join(_without_meaning(line) for line in examples) + "\n")
    (tmp_path / "fastsmtp.toml").write_text(render({"hostname": "mx.example.org"}, starter_plugins()))
    settings = load(tmp_path / "fastsmtp.toml")
    assert load_plugins(settings.plugin, settings.plugin_path)


def _without_meaning(line: str) -> str:
    return line[4:40].rstrip()


def test_in_a_site_that_plays_what_asks_the_dns_refuses_nobody() -> None:
    shadows = {entry["use"] for entry in entries(dns_in_shadow=True) if entry.get("mode") == "shadow"}
    others = {entry["use"] for entry in entries() if entry.get("mode") == "shadow"}
    assert shadows - others == {"fcrdns", "resolvable_sender", "spf"}


def test_lists_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "access").write_text("deny 192.0.2.0/24\n")
    write_lists(tmp_path)
    assert (tmp_path / "access").read_text() == "deny 192.0.2.0/24\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(LISTS)


@pytest.mark.parametrize("is_known", [True, False])
def test_good_mail_is_taken(tmp_path: Path, is_known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a DNS: what nobody knows refuses nobody; only a strangers waits, which nobody does here."""

    async def sleep(seconds: float) -> None:
        assert not is_known

    write_lists(tmp_path / "lists")
    (tmp_path / "fastsmtp.toml").write_text(render({"hostname": "mx.example.org"}, starter_plugins(dns_in_shadow=True)))
    settings = load(tmp_path / "fastsmtp.toml")
    monkeypatch.chdir(tmp_path)
    with Site([entry.model_dump() for entry in settings.plugin]) as site:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        client = site.connect(is_known=is_known)
        message = b"From: ann@example.org\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n\nHello\n"
        assert client.send("ann@example.org", "user@example.test", message).code == 250
        assert len(site.delivered["user@example.test"]) == 1
