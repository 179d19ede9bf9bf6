"""`fastsmtp plugins`: what runs at each stage."""

from pathlib import Path

import click

from fastsmtp.cli.terminal import config_option, print_table

__all__ = ["plugins"]


@click.command(short_help="Show what runs at each stage, in order.")
@config_option
def plugins(config: Path | None) -> None:
    """Show the plugins stage by stage, in the order in which they are asked."""
    from fastsmtp.config.load import find_file, load
    from fastsmtp.pipeline.loader import load_plugins
    from fastsmtp.smtp.effects import Stage

    path = find_file(config)
    settings = load(path)
    loaded = load_plugins(settings.plugin, settings.plugin_path)
    rows = [
        (stage.label, plugin.name, plugin.mode, f"{plugin.timeout_s:g} s", plugin.on_fault)
        for stage in Stage
        for plugin in loaded
        if stage in plugin.stages
    ]
    print_table(("stage", "plugin", "mode", "timeout", "on fault"), rows, empty=f"No plugins in {path}.")
