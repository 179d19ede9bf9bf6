"""`fastsmtp domain`: which domains are ours."""

from dataclasses import asdict
from pathlib import Path

import click

from fastsmtp.cli.admin import open_admin, yes_no
from fastsmtp.cli.terminal import config_option, json_option, print_json, print_table, say

__all__ = ["domain"]

_names = click.argument("names", metavar="DOMAIN...", nargs=-1, required=True)


@click.group(short_help="Domains that we take mail for: add, list, remove, alias ...")
def domain() -> None:
    """Domains that we take mail for."""


@domain.command()
@_names
@config_option
def add(names: tuple[str, ...], config: Path | None) -> None:
    """Take mail for DOMAIN; makes the directory's file with the first one."""
    with open_admin(config, make=True) as admin:
        for name in names:
            row = admin.add_domain(name)
            say(f"{row.name} is ours now; it needs a postmaster: fastsmtp user add postmaster@{row.name}")


@domain.command("list")
@json_option
@config_option
def list_(config: Path | None, as_json: bool) -> None:
    """List the domains."""
    with open_admin(config) as admin:
        rows = admin.list_domains()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    lines = [(row.name, yes_no(row.is_active), str(row.users)) for row in rows]
    print_table(("domain", "active", "users"), lines, empty="No domains yet: fastsmtp domain add DOMAIN")


@domain.command()
@_names
@click.option("--force", is_flag=True, help="Remove its users and aliases, too.")
@config_option
def remove(names: tuple[str, ...], config: Path | None, force: bool) -> None:
    """Forget DOMAIN. Its mail stays where it is."""
    with open_admin(config) as admin:
        for name in names:
            users = admin.remove_domain(name, force=force)
            say(f"{name} is removed" + (f", users: {users}" if users else ""))


@domain.command()
@_names
@config_option
def disable(names: tuple[str, ...], config: Path | None) -> None:
    """Take no mail for DOMAIN until it is enabled."""
    _set_active(config, names, is_active=False)


@domain.command()
@_names
@config_option
def enable(names: tuple[str, ...], config: Path | None) -> None:
    """Take mail for DOMAIN again."""
    _set_active(config, names, is_active=True)


@domain.group(short_help="Other names of a domain: add, list, remove.")
def alias() -> None:
    """Other names of a domain: mail for user@ALIAS is mail for user@DOMAIN."""


@alias.command("add")
@click.argument("alias")
@click.argument("domain")
@config_option
def add_alias(alias: str, domain: str, config: Path | None) -> None:
    """Let ALIAS be another name of DOMAIN."""
    with open_admin(config) as admin:
        row = admin.add_domain_alias(alias, domain)
    say(f"{row.name} is another name of {row.domain} now")


@alias.command("list")
@json_option
@config_option
def list_aliases(config: Path | None, as_json: bool) -> None:
    """List the other names."""
    with open_admin(config) as admin:
        rows = admin.list_domain_aliases()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    empty = "No other names yet: fastsmtp domain alias add ALIAS DOMAIN"
    print_table(("alias", "domain"), [(row.name, row.domain) for row in rows], empty=empty)


@alias.command("remove")
@click.argument("names", metavar="ALIAS...", nargs=-1, required=True)
@config_option
def remove_aliases(names: tuple[str, ...], config: Path | None) -> None:
    """Take no mail for ALIAS any more."""
    with open_admin(config) as admin:
        for name in names:
            admin.remove_domain_alias(name)
            say(f"{name} is removed")


def _set_active(config: Path | None, names: tuple[str, ...], *, is_active: bool) -> None:
    with open_admin(config) as admin:
        for name in names:
            admin.set_domain_active(name, is_active)
            say(f"{name} is {'enabled' if is_active else 'disabled'}")
