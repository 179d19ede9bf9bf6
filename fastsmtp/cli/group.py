"""The command group: its help page, and what becomes of errors. Heavy imports wait inside the commands."""

from collections.abc import Iterator, Mapping
from typing import Final

import click

from fastsmtp import __version__
from fastsmtp.cli.alias import alias
from fastsmtp.cli.block import block
from fastsmtp.cli.check import check
from fastsmtp.cli.db import db
from fastsmtp.cli.domain import domain
from fastsmtp.cli.exits import translated_errors
from fastsmtp.cli.explain import explain
from fastsmtp.cli.init import init
from fastsmtp.cli.plugins import plugins
from fastsmtp.cli.quota import quota
from fastsmtp.cli.rehearse import test_plugin
from fastsmtp.cli.serve import serve
from fastsmtp.cli.user import user

__all__ = ["main"]

_SECTIONS: Final[Mapping[str, tuple[click.Command, ...]]] = {
    "Run": (init, serve),
    "Who exists": (domain, user, alias, block, quota, db),
    "Look": (check, plugins, explain, test_plugin),
}
_EXIT_CODES: Final = "Exit codes: 0 fine, 1 configuration, 2 usage, 3 could not start."


class _Formatter(click.HelpFormatter):
    """Headings stand out, where there is a terminal."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(click.style(prog, bold=True), args, prefix)

    def write_heading(self, heading: str) -> None:
        self.write(f"{click.style(heading, fg='cyan', bold=True)}\n")


class _Context(click.Context):
    formatter_class = _Formatter


class _MainGroup(click.Group):
    """Lists its commands by what they are for."""

    context_class = _Context

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.list_commands(ctx))
        for heading, commands in _SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(_lines(commands, width)))

        formatter.write(f"\n{click.style(_EXIT_CODES, dim=True)}\n")

    def invoke(self, ctx: click.Context) -> object:
        with translated_errors():
            return super().invoke(ctx)


def _lines(commands: tuple[click.Command, ...], width: int) -> Iterator[tuple[str, str]]:
    for command in commands:
        padding = " " * (width - len(command.name or ""))
        yield click.style(command.name, fg="green") + padding, command.get_short_help_str(limit=90)


@click.group(cls=_MainGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="fastsmtp %(version)s")
def main() -> None:
    """A receiving SMTP server: policy in short plugins, users in SQL, mail in a Maildir before the 250."""


for _commands in _SECTIONS.values():
    for _command in _commands:
        main.add_command(_command)
