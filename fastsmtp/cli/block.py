"""`fastsmtp block`: whose mail is not taken, and for whom none is."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastsmtp.cli.admin import connect_admin, open_admin
from fastsmtp.cli.terminal import config_option, json_option, print_json, print_table, say, warn

if TYPE_CHECKING:
    from fastsmtp.config.model import Settings

__all__ = ["block"]

_LIST = click.Choice(["sender", "recipient"])

_list = click.argument("name", metavar="sender|recipient", type=_LIST)
_entry = click.argument("entry")


@click.group(short_help="Senders and recipients that are refused: add, list, remove.")
def block() -> None:
    """Senders and recipients that are refused, as the plugins block_sender and block_recipient do it.

    These lists are in the directory, and are read by plugins with `directory = true` in their options. Servers that
    run have a change within seconds.
    """


@block.command()
@_list
@_entry
@click.option("--reason", default="", help="What the client hears; else it is what the plugin says.")
@config_option
def add(name: str, entry: str, reason: str, config: Path | None) -> None:
    """Put ENTRY on a list: an address, a domain, a local part (ann@), a '*' pattern, a /regex/, or an '!exception'."""
    from fastsmtp.config.file import find_file
    from fastsmtp.config.load import load

    settings = load(find_file(config))
    with connect_admin(settings) as admin:
        row = admin.add_block(name, entry, reason)
    say(f"{row.entry} is on the list {name}")
    if not _has_reader(settings, name):
        warn(f"no plugin reads this list: block_{name} does, with `directory = true` in its options")


@block.command("list")
@click.argument("name", metavar="[sender|recipient]", type=_LIST, required=False)
@json_option
@config_option
def list_(name: str | None, config: Path | None, as_json: bool) -> None:
    """List the entries, of one list or of both."""
    with open_admin(config) as admin:
        rows = admin.list_blocks(name)
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    empty = "No entries yet: fastsmtp block add sender|recipient ENTRY"
    print_table(("list", "entry", "reason"), rows, empty=empty)


@block.command()
@_list
@_entry
@config_option
def remove(name: str, entry: str, config: Path | None) -> None:
    """Take ENTRY from a list."""
    with open_admin(config) as admin:
        admin.remove_block(name, entry)
    say(f"{entry} is not on the list {name} any more")


def _has_reader(settings: "Settings", name: str) -> bool:
    return any(entry.use == f"block_{name}" and entry.options.get("directory") for entry in settings.plugin)
