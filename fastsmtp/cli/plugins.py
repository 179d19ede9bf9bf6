"""`fastsmtp plugins`: what runs at each stage."""

from pathlib import Path

import click

from fastsmtp.cli.terminal import config_option, json_option, print_json, print_table

__all__ = ["plugins"]


@click.command(short_help="Show what runs at each stage, in order.")
@json_option
@config_option
def plugins(config: Path | None, *, as_json: bool) -> None:
    """Show the plugins stage by stage, in the order in which they are asked, and where not all listeners have them."""
    from fastsmtp.config.file import find_file
    from fastsmtp.config.listeners import users_of
    from fastsmtp.config.load import load
    from fastsmtp.pipeline.loader import load_plugins
    from fastsmtp.smtp.effects import Stage

    path = find_file(config)
    settings = load(path)
    loaded = load_plugins(settings.plugin, settings.plugin_path)
    listeners = settings.listeners
    users = {plugin.name: users_of(plugin.name, listeners) for plugin in loaded}
    differ = any(names is not None for names in users.values())
    rows = []
    for stage in Stage:
        for plugin in (plugin for plugin in loaded if stage in plugin.stages):
            row = [stage.label, plugin.name, plugin.mode, f"{plugin.timeout_s:g} s", plugin.on_fault]
            if differ:
                names = users[plugin.name]
                row.append("every listener" if names is None else ", ".join(names) or "no listener")
            rows.append(row)
    if as_json:
        print_json(
            [
                {
                    "stage": stage.label,
                    "order": order,
                    "plugin": plugin.name,
                    "use": plugin.use,
                    "mode": plugin.mode,
                    "timeout_s": plugin.timeout_s,
                    "on_fault": plugin.on_fault,
                    "listeners": users[plugin.name],
                }
                for stage in Stage
                for order, plugin in enumerate((one for one in loaded if stage in one.stages), start=1)
            ]
        )
        return
    columns = ("stage", "plugin", "mode", "timeout", "on fault", *(["where"] if differ else []))
    print_table(columns, rows, empty=f"No plugins in {path}.")
