"""`fastsmtp alias`: addresses that lead to others."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from fastsmtp.cli.admin import open_admin, yes_no
from fastsmtp.cli.bulk import import_lines, import_options, output_file
from fastsmtp.cli.terminal import config_option, json_option, print_json, print_table, say, warn

__all__ = ["alias"]

_addresses = click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)


@click.group(short_help="Addresses that lead to others: add, list, remove, import ...")
def alias() -> None:
    """Addresses that lead to others. An alias *@DOMAIN takes the mail of everybody who is not there."""


@alias.command()
@click.argument("address")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@config_option
def add(address: str, targets: tuple[str, ...], config: Path | None) -> None:
    """Let mail for ADDRESS go to each TARGET, too. '*@DOMAIN' is the catch-all of a domain.

    A TARGET may be a user or an alias of any domain of ours. One in another domain is kept, but mail for the alias is
    refused as long as there is no relay to send it on.
    """
    with open_admin(config) as admin:
        row = admin.add_alias(address, targets)
        say(f"{row.address} leads to {', '.join(row.targets)}")
        for sentence in admin.warnings(row):
            warn(sentence)


@alias.command("list")
@click.argument("domain", required=False)
@json_option
@config_option
def list_(domain: str | None, config: Path | None, as_json: bool) -> None:
    """List the aliases, of DOMAIN or all; a line for each target."""
    with open_admin(config) as admin:
        rows = admin.list_aliases(domain)
    if as_json:
        print_json([{"address": row.address, **asdict(row)} for row in rows])
        return
    lines = [(row.address, yes_no(row.is_active), target) for row in rows for target in row.targets]
    print_table(("alias", "active", "target"), lines, empty="No aliases yet: fastsmtp alias add ADDRESS TARGET")


@alias.command()
@click.argument("address")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@config_option
def remove(address: str, targets: tuple[str, ...], config: Path | None) -> None:
    """Forget each TARGET of ADDRESS; without any, the whole alias."""
    with open_admin(config) as admin:
        left = admin.remove_alias(address, targets)
    say(f"{address} is removed" if left is None else f"{left.address} leads to {', '.join(left.targets)}")


@alias.command()
@_addresses
@config_option
def disable(addresses: tuple[str, ...], config: Path | None) -> None:
    """Do as if ADDRESS were not there until it is enabled."""
    _set_active(config, addresses, is_active=False)


@alias.command()
@_addresses
@config_option
def enable(addresses: tuple[str, ...], config: Path | None) -> None:
    """Let ADDRESS lead to its targets again."""
    _set_active(config, addresses, is_active=True)


@alias.command("import", short_help="Add aliases from CSV.")
@import_options
@config_option
def import_(file: TextIO, config: Path | None, update: bool, skip_errors: bool) -> None:
    """Add the aliases of FILE (- is standard input): all of them, or none when a line is wrong.

    FILE is CSV with a header and the columns address and target; an alias with several targets has a line for each.
    With --update, a target that is there already is no error.
    """
    from fastsmtp.directory.csv_lines import read_aliases

    with open_admin(config) as admin:
        store = partial(admin.import_aliases, update=update, skip_errors=skip_errors)
        import_lines(file, read_aliases, lambda lines, progress: store(lines, progress=progress), "targets")


@alias.command(short_help="Write the aliases as CSV.")
@output_file
@click.option("--domain", metavar="DOMAIN", help="Only the aliases of this domain.")
@config_option
def export(file: TextIO, domain: str | None, config: Path | None) -> None:
    """Write the aliases to FILE (standard output, if there is none), as `import` reads them."""
    from fastsmtp.directory.csv_lines import write_aliases

    with open_admin(config) as admin:
        rows = admin.list_aliases(domain)
    write_aliases(file, rows)


def _set_active(config: Path | None, addresses: tuple[str, ...], *, is_active: bool) -> None:
    with open_admin(config) as admin:
        for address in addresses:
            row = admin.set_alias_active(address, is_active)
            say(f"{row.address} is {'enabled' if is_active else 'disabled'}")
