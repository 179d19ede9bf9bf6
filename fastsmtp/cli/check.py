"""`fastsmtp check`: is everything in place; every error at once."""

from pathlib import Path

import click

from fastsmtp.cli.exits import Failure
from fastsmtp.cli.terminal import config_option, print_table

__all__ = ["check"]


@click.command(short_help="Look at configuration, plugins, database, folders.")
@config_option
def check(config: Path | None) -> None:
    """Check the configuration, the plugins, the database and the folders. Ports are not tried."""
    from fastsmtp.cli.survey import survey
    from fastsmtp.config.file import find_file

    findings = survey(find_file(config))
    rows = [(finding.subject, finding.level, finding.sentence) for finding in findings if finding.level != "error"]
    print_table(("what", "state", ""), rows, empty="Nothing is in order.")
    errors = [finding.sentence for finding in findings if finding.level == "error"]
    if errors:
        raise Failure(errors)
