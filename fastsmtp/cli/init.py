"""`fastsmtp init`: a new site."""

import shlex
from pathlib import Path

import click

from fastsmtp.cli.terminal import console

__all__ = ["init"]


def _domain(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from fastsmtp.smtp.address import AddressError, canonical_domain

    if value is None:
        return None
    try:
        return canonical_domain(value)
    except AddressError as error:
        raise click.BadParameter(str(error)) from None


@click.command(short_help="Write a configuration, a directory and a mail root into a folder.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--domain", metavar="D", callback=_domain, help="A domain to take mail for, with a postmaster.")
@click.option("--hostname", metavar="H", callback=_domain, help="The name of this host; else the machine's own name.")
def init(folder: Path, domain: str | None, hostname: str | None) -> None:
    """Write DIR/fastsmtp.toml with every setting explained, a SQLite directory and a mail root.

    What is there already is never overwritten.
    """
    import socket

    from fastsmtp.cli.site import create_site

    values = {"hostname": hostname or socket.gethostname()}
    configuration = create_site(folder, values, domain=domain, users=["postmaster"])
    _say_what_next(configuration, domain)


def _say_what_next(configuration: Path, domain: str | None) -> None:
    from fastsmtp.cli.site import DATABASE_NAME, LISTS_NAME, MAIL_NAME

    option = f"-c {shlex.quote(str(configuration))}"
    steps = [
        ("a user", f"fastsmtp user add alice@{domain or 'example.org'} {option}"),
        ("a check", f"fastsmtp check {option}"),
        ("the server", f"fastsmtp serve {option}"),
    ]
    if domain is None:
        steps.insert(0, ("a domain", f"fastsmtp domain add example.org {option}"))
    out = console()
    out.print("Made", style="bold green", end=" ")
    out.print(f"{configuration.parent}: {configuration.name}, {DATABASE_NAME}, {LISTS_NAME}/, {MAIL_NAME}/")
    if domain is not None:
        out.print(f"     postmaster@{domain} has a mailbox")
    out.print("\nNext", style="bold cyan")
    for what, command in steps:
        out.print(f"  {what:<11} {command}")
