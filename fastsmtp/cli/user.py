"""`fastsmtp user`: who has a mailbox."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from fastsmtp.cli.admin import QUOTA, limit, open_admin, yes_no
from fastsmtp.cli.bulk import import_lines, import_options, output_file
from fastsmtp.cli.password import SCHEME_NAMES, prompt_password, read_password
from fastsmtp.cli.terminal import config_option, json_option, print_json, print_table, say, shown_size

if TYPE_CHECKING:
    from fastsmtp.directory.csv_lines import Quota
    from fastsmtp.directory.schemes import Scheme

__all__ = ["user"]

_addresses = click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)


@click.group(short_help="Users with a mailbox: add, list, remove, passwd, quota, import ...")
def user() -> None:
    """Users with a mailbox."""


@user.command()
@_addresses
@click.option("--quota", type=QUOTA, default="none", metavar="SIZE", help="So much mail at most, such as 1GiB.")
@click.option("--password-stdin", is_flag=True, help="Read a password to log in with from standard input.")
@config_option
def add(addresses: tuple[str, ...], config: Path | None, quota: "Quota", password_stdin: bool) -> None:
    """Give ADDRESS a mailbox; its domain must be ours."""
    from fastsmtp.directory.schemes import hash_password

    if password_stdin and len(addresses) > 1:
        raise click.UsageError("--password-stdin is for one ADDRESS")
    password_hash = hash_password(read_password()) if password_stdin else None
    with open_admin(config) as admin:
        for address in addresses:
            row = admin.add_user(address, quota_bytes=limit(quota), password_hash=password_hash)
            say(f"{row.address} has a mailbox now")


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
    lines = [
        (
            row.address,
            yes_no(row.can_receive),
            yes_no(row.can_login),
            shown_size(row.quota_bytes),
            "password" if row.has_password else "",
        )
        for row in rows
    ]
    heads = ("user", "receives", "may log in", "quota", "")
    print_table(heads, lines, empty="No users yet: fastsmtp user add ADDRESS")


@user.command()
@_addresses
@config_option
def remove(addresses: tuple[str, ...], config: Path | None) -> None:
    """Forget ADDRESS. Its mail stays where it is."""
    with open_admin(config) as admin:
        for address in addresses:
            admin.remove_user(address)
            say(f"{address} is removed")


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


@user.command(short_help="Set the password with which ADDRESS logs in.")
@click.argument("address")
@click.option("--stdin", is_flag=True, help="Read the password from standard input, one line.")
@click.option("--remove", is_flag=True, help="Take the password away: nobody logs in as ADDRESS then.")
@click.option(
    "--scheme",
    type=click.Choice(SCHEME_NAMES),
    default=SCHEME_NAMES[0],
    help="How it is kept. Only with scram-sha-256 does the mechanism of that name work.",
)
@config_option
def passwd(address: str, config: Path | None, stdin: bool, remove: bool, scheme: "Scheme") -> None:
    """Set the password with which ADDRESS logs in (AUTH). It is asked for twice, and never shown or kept as it is."""
    from fastsmtp.directory.schemes import hash_password

    if stdin and remove:
        raise click.UsageError("--stdin and --remove do not go together")
    with open_admin(config) as admin:
        admin.get_user(address)  # before anybody types a password for a misspelled address
        password_hash = None
        if not remove:
            password = read_password() if stdin else prompt_password()
            try:
                password_hash = hash_password(password, scheme)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
        row = admin.set_password(address, password_hash)
    say(f"{row.address} has a new password" if row.has_password else f"{row.address} has no password now")


@user.command(short_help="Limit the mail of ADDRESS.")
@click.argument("address")
@click.argument("size", metavar="SIZE|none", type=QUOTA)
@config_option
def quota(address: str, size: "Quota", config: Path | None) -> None:
    """Let ADDRESS have so much mail at most: a SIZE such as 500MB or 1GiB; none is no limit."""
    with open_admin(config) as admin:
        row = admin.set_quota(address, limit(size))
    say(f"{row.address} has this quota now: {shown_size(row.quota_bytes)}")


@user.command("import", short_help="Add users from CSV, 100,000 in seconds.")
@import_options
@config_option
def import_(file: TextIO, config: Path | None, update: bool, skip_errors: bool) -> None:
    """Add the users of FILE (- is standard input): all of them, or none when a line is wrong.

    FILE is CSV with a header. The column address must be there; can_receive and can_login (yes or no), quota (a size,
    or none) and password_hash (Argon2, bcrypt, SHA-crypt ...) may be there. A cell that is empty says nothing: a new
    user can receive and log in and has neither quota nor password, with --update a known one stays as they are.
    """
    from fastsmtp.directory.csv_lines import read_users

    with open_admin(config) as admin:
        store = partial(admin.import_users, update=update, skip_errors=skip_errors)
        import_lines(file, read_users, lambda lines, progress: store(lines, progress=progress), "users")


@user.command(short_help="Write the users as CSV.")
@output_file
@click.option("--domain", metavar="DOMAIN", help="Only the users of this domain.")
@config_option
def export(file: TextIO, domain: str | None, config: Path | None) -> None:
    """Write the users to FILE (standard output, if there is none), as `import` reads them."""
    from fastsmtp.directory.csv_lines import write_users

    with open_admin(config) as admin:
        rows = admin.list_users(domain)
    write_users(file, rows)


def _set_receiving(config: Path | None, addresses: tuple[str, ...], *, can_receive: bool) -> None:
    with open_admin(config) as admin:
        for address in addresses:
            row = admin.set_user(address, can_receive=can_receive)
            say(f"{row.address} is {'enabled' if can_receive else 'disabled'}")
