"""`fastsmtp user`: who has a mailbox."""

from dataclasses import asdict
from pathlib import Path

import click

from fastsmtp.cli.admin import open_admin, yes_no
from fastsmtp.cli.terminal import config_option, json_option, print_json, print_table

__all__ = ["user"]

_addresses = click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)


@click.group(short_help="Users with a mailbox: add, list, remove, disable, enable.")
def user() -> None:
    """Users with a mailbox."""


@user.command()
@_addresses
@config_option
def add(addresses: tuple[str, ...], config: Path | None) -> None:
    """Give ADDRESS a mailbox; its domain must be ours."""
    with open_admin(config) as admin:
        for address in addresses:
            click.echo(f"{admin.add_user(address).address} has a mailbox now")


@user.command("list")
@click.argument("domain", required=False)
@json_option
@config_option
def list_(domain: str | None, config: Path | None, as_json: bool) -> None:
    """List the users, of DOMAIN or all."""
    with open_admin(config) as admin:
        rows = admin.list_users(domain)
    if as_json:
        print_json([{"address": row.address, **asdict(row)} for row in rows])
        return
    lines = [(row.address, yes_no(row.can_receive), yes_no(row.can_login)) for row in rows]
    print_table(("user", "receives", "logs in"), lines, empty="No users yet: fastsmtp user add ADDRESS")


@user.command()
@_addresses
@config_option
def remove(addresses: tuple[str, ...], config: Path | None) -> None:
    """Forget ADDRESS. Its mail stays where it is."""
    with open_admin(config) as admin:
        for address in addresses:
            admin.remove_user(address)
            click.echo(f"{address} is removed")


@user.command()
@_addresses
@config_option
def disable(addresses: tuple[str, ...], config: Path | None) -> None:
    """Take no mail for ADDRESS until it is enabled."""
    _set_receiving(config, addresses, can_receive=False)


@user.command()
@_addresses
@config_option
def enable(addresses: tuple[str, ...], config: Path | None) -> None:
    """Take mail for ADDRESS again."""
    _set_receiving(config, addresses, can_receive=True)


def _set_receiving(config: Path | None, addresses: tuple[str, ...], *, can_receive: bool) -> None:
    with open_admin(config) as admin:
        for address in addresses:
            row = admin.set_user(address, can_receive=can_receive)
            click.echo(f"{row.address} is {'enabled' if can_receive else 'disabled'}")
