"""`fastsmtp test-plugin`: what plugins would say to a message, without a server and without consequences."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastsmtp.cli.terminal import config_option, json_option, print_json

if TYPE_CHECKING:
    from fastsmtp.config.listeners import ListenerEntry
    from fastsmtp.config.model import Settings
    from fastsmtp.pipeline.loader import LoadedPlugin
    from fastsmtp.testing.client import Heard
    from fastsmtp.testing.rehearsal import Performance

__all__ = ["DEFERRED", "REFUSED", "test_plugin"]

DEFERRED: Final = 4
REFUSED: Final = 5
"""Exit codes beside those of every command: how the transaction ended."""

_MESSAGE: Final = (
    b"From: <%s>\r\nTo: <%s>\r\nSubject: a rehearsal\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\nHello\r\n"
)


def _options(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        options = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON: {error}") from None
    if not isinstance(options, dict):
        raise click.BadParameter('options are a JSON object, like {"domains": ["spam.example"]}')
    return options


@click.command("test-plugin", short_help="What plugins would say to a message, without consequences.")
@click.argument("name", required=False)
@click.option("--all", "ask_all", is_flag=True, help="All plugins of the listener, and the directory.")
@click.option("--ip", default="192.0.2.1", show_default=True, help="The client's address.")
@click.option("--helo", default="client.example", show_default=True, help="What it calls itself.")
@click.option("--from", "sender", default="sender@example.org", show_default=True, help="The sender; empty: null.")
@click.option("--to", "recipients", multiple=True, help="A recipient; may be there many times.")
@click.option("--message", type=click.File("rb"), help="A file with the message; - is standard input.")
@click.option("--user", default="", help="Who has logged in.")
@click.option("--tls", is_flag=True, help="The connection is encrypted.")
@click.option("--listener", help="Through which listener it comes; else the first.")
@click.option("--options", callback=_options, metavar="JSON", help="Options in place of those of the configuration.")
@json_option
@config_option
def test_plugin(
    name: str | None,
    *,
    ask_all: bool,
    ip: str,
    helo: str,
    sender: str,
    recipients: Sequence[str],
    message: Any,
    user: str,
    tls: bool,
    listener: str | None,
    options: dict[str, Any] | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Play a transaction to the plugin NAME, or to --all, and show what each one answered, found out and would add.

    NAME is one of the configuration, or any plugin that can be loaded. It is asked as if it were active, and every
    recipient is known. DNS and directory are real, what plugins share begins empty, and nothing is stored anywhere.

    Exit codes: 0 it would be stored, 4 deferred (4xx), 5 refused (5xx); 1 configuration, 2 usage, 3 could not start.
    """
    from ipaddress import ip_address

    from fastsmtp.config.file import find_file
    from fastsmtp.config.load import load
    from fastsmtp.testing.rehearsal import Part, Rehearsal

    if (name is None) != ask_all:
        raise click.UsageError("give the NAME of a plugin, or --all")
    if ask_all and options is not None:
        raise click.UsageError("--options are for one plugin; give its NAME")
    try:
        ip_address(ip)
    except ValueError:
        raise click.BadParameter(f'{ip!r} is no address; write one like "192.0.2.1"', param_hint="--ip") from None
    settings = load(find_file(config))
    entry = _listener(settings, listener)
    recipients = recipients or (str(settings.postmaster or "postmaster@example.org"),)
    content = message.read() if message else _MESSAGE % (sender.encode(), recipients[0].encode())
    part = Part(ip, helo, sender, recipients, content, user, tls)
    with Rehearsal(settings, entry, _plugins(settings, entry, name, options), anybody=not ask_all) as rehearsal:
        performance = rehearsal.play(part)
    if as_json:
        _print_json(performance)
    else:
        _print(performance)
    code = performance.verdict.code
    raise SystemExit(0 if code < 400 else DEFERRED if code < 500 else REFUSED)


def _listener(settings: "Settings", name: str | None) -> "ListenerEntry":
    entries = settings.listeners
    if name is None:
        return entries[0]
    for entry in entries:
        if entry.title == name:
            return entry
    raise click.BadParameter(
        f"no listener is called {name!r}; there are {', '.join(entry.title for entry in entries)}",
        param_hint="--listener",
    )


def _plugins(
    settings: "Settings", entry: "ListenerEntry", name: str | None, options: dict[str, Any] | None
) -> "list[LoadedPlugin]":
    from fastsmtp.config.model import PluginEntry
    from fastsmtp.pipeline.loader import load_plugins

    if name is None:
        loaded = load_plugins(settings.plugin, settings.plugin_path)
        return [plugin for plugin in loaded if entry.has_plugin(plugin.name)]
    found = next((one for one in settings.plugin if one.title == name), None) or PluginEntry(use=name)
    if options is not None:
        found = found.model_copy(update={"options": options})
    return load_plugins([found.model_copy(update={"mode": "active"})], settings.plugin_path)


def _print_json(performance: "Performance") -> None:
    story, verdict = performance.story, performance.verdict
    print_json(
        {
            "verdict": "accept" if verdict.code < 400 else "defer" if verdict.code < 500 else "reject",
            "reply": str(verdict),
            "dialogue": [{"command": command, "reply": str(heard)} for command, heard in performance.said],
            "plugins": story["plugins"],
            "findings": story["findings"],
            "added": performance.added,
        }
    )


def _shown(heard: "Heard") -> str:
    """A reply in a line; of what EHLO offers, the first."""
    return str(heard) if heard.code >= 400 else str(replace(heard, lines=heard.lines[:1]))


def _print(performance: "Performance") -> None:
    from fastsmtp.cli.story import print_dialogue, print_fields, print_plugins, print_verdict

    print_dialogue([(command, _shown(heard)) for command, heard in performance.said])
    print_plugins(performance.story["plugins"], performance.story["findings"])
    print_fields(performance.added)
    print_verdict(performance.verdict.code, str(performance.verdict))
