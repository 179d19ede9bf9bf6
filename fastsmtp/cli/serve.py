"""`fastsmtp serve`: run the server."""

from pathlib import Path

import click

from fastsmtp.cli.terminal import config_option

__all__ = ["serve"]


@click.command(short_help="Run the server; --dev serves a demo site from ./var.")
@config_option
@click.option("--dev", is_flag=True, help="127.0.0.1:2525 and everything under ./var; made when it is not there.")
@click.pass_context
def serve(context: click.Context, config: Path | None, dev: bool) -> None:
    """Run the server until SIGTERM or Ctrl-C, then finish what is under way."""
    if dev and config is not None:
        raise click.UsageError("--dev has its own configuration, ./var/fastsmtp.toml; leave out -c or --dev")
    from fastsmtp.cli.site import DEMO_FOLDER, demo_site
    from fastsmtp.config.file import find_file, read_file
    from fastsmtp.errors import ConfigurationError
    from fastsmtp.server.descriptors import hold_standard_streams
    from fastsmtp.server.processes.interpreter import started_ahead

    hold_standard_streams()
    path = (demo_site(DEMO_FOLDER) if dev else find_file(config)).absolute()
    document = read_file(path)
    with started_ahead(document) as ahead:
        # From here on both import what they need, the supervisor and its first worker.
        from fastsmtp.cli.announce import announce, announce_demo
        from fastsmtp.config.load import load
        from fastsmtp.server.processes.run import run

        settings = load(path, document)
        try:
            code = run(settings, lambda: load(path), announce=announce_demo if dev else announce, ahead=ahead)
        except ConfigurationError as error:
            raise ConfigurationError([f"{path}: {problem}" for problem in error.problems]) from error
    context.exit(code)
