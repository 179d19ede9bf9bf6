"""`fastsmtp quota`: how much mail there is, and how much there may be."""

from pathlib import Path

import click

from fastsmtp.cli.admin import connect_admin
from fastsmtp.cli.terminal import config_option, json_option, print_json, print_table, shown_size

__all__ = ["quota"]


@click.group(short_help="How much mail users have, and may have: show.")
def quota() -> None:
    """How much mail users have, and may have; `fastsmtp user quota` sets it."""


@quota.command(short_help="Show mail and quota of ADDRESS or DOMAIN.")
@click.argument("target", metavar="ADDRESS|DOMAIN")
@json_option
@config_option
def show(target: str, config: Path | None, as_json: bool) -> None:
    """Show the mail and the quota of one user, or of every user of a domain."""
    from fastsmtp.config.file import find_file
    from fastsmtp.config.load import load
    from fastsmtp.delivery.quota import usage
    from fastsmtp.directory.lookup import is_mailbox_name
    from fastsmtp.errors import StartError

    settings = load(find_file(config))
    with connect_admin(settings) as admin:
        users = [admin.get_user(target)] if "@" in target else admin.list_users(target)
    rows = []
    for user in filter(lambda user: is_mailbox_name(user.name), users):  # others, of another program, get no mail
        try:
            used = usage(settings.maildir.root, user.domain, user.name)
        except OSError as error:
            raise StartError(f"cannot read the mailbox of {user.address}: {error.strerror}") from error
        percent = round(100 * used.bytes / user.quota_bytes, 1) if user.quota_bytes else None
        rows.append((user.address, used.bytes, user.quota_bytes, percent, used.messages))
    if as_json:
        keys = ("address", "used_bytes", "quota_bytes", "percent", "messages")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    lines = [
        (
            address,
            shown_size(used_bytes),
            shown_size(quota_bytes),
            "-" if percent is None else f"{percent:g} %",
            f"{count}",
        )
        for address, used_bytes, quota_bytes, percent, count in rows
    ]
    columns = ("user", "used", "quota", "percent", "messages")
    print_table(columns, lines, empty=f"No users in {target} yet: fastsmtp user add ADDRESS")
