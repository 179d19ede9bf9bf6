"""docs/server-behavior.md has every refusal that the engine gives, and none that it does not give."""

import re
from pathlib import Path

from fastsmtp.smtp import replies
from fastsmtp.smtp.replies import Reply

PAGE = (Path(__file__).parents[2] / "docs" / "server-behavior.md").read_text()
# Made where they are given: server/connection.py, pipeline/guard.py, smtp/extensions.py.
MADE_ON_THE_SPOT = {"421 4.3.0", "554 5.3.0", "555 5.5.4"}


def test_every_refusal_is_in_the_table() -> None:
    table = PAGE.partition("## Refusals")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    listed = {status for row in rows for status in re.findall(r"`([45]\d\d \d\.\d\.\d+)`", row.split("|")[1])}
    known = {
        f"{reply.code} {reply.enhanced}"
        for reply in vars(replies).values()
        if isinstance(reply, Reply) and not reply.is_positive
    }
    assert listed == known | MADE_ON_THE_SPOT


def test_defaults_are_those_of_the_model() -> None:
    from fastsmtp.config.limits import LimitSettings, OverloadSettings, TimeoutSettings

    limits, timeouts, overload = LimitSettings(), TimeoutSettings(), OverloadSettings()
    shown = {
        "limits.message_size": f"{limits.message_size // 2**20} MiB",
        "limits.recipients": f"{limits.recipients}",
        "limits.command_line": f"{limits.command_line}",
        "limits.header_size": f"{limits.header_size // 2**10} KiB",
        "limits.header_fields": f"{limits.header_fields}",
        "limits.messages": f"{limits.messages:_}".replace("_", " "),
        "limits.commands": f"{limits.commands:_}".replace("_", " "),
        "limits.nonmail_commands": f"{limits.nonmail_commands}",
        "limits.unknown_commands": f"{limits.unknown_commands}",
        "limits.hops": f"{limits.hops}",
        "limits.errors": f"{limits.errors}",
        "limits.connections": f"{limits.connections:_}".replace("_", " "),
        "limits.connections_per_address": f"{limits.connections_per_address}",
        "limits.connections_per_network": f"{limits.connections_per_network}",
        "limits.arrivals_per_address": f"{limits.arrivals_per_address}",
        "limits.arrivals_per_network": f"{limits.arrivals_per_network}",
        "limits.data_rate": f"{limits.data_rate}",
        "limits.message_memory": f"{limits.message_memory // 2**20} MiB",
    }
    assert shown.keys() == {f"limits.{name}" for name in LimitSettings.model_fields if name != "exempt"}
    for key, value in shown.items():
        assert f"| `{key}` | {value} |" in PAGE
    assert f"`timeouts.command` ({timeouts.command / 60:g} minutes)" in PAGE
    assert f"`timeouts.data` ({timeouts.data / 60:g} minute)" in PAGE
    assert f"`timeouts.proxy_header` ({timeouts.proxy_header:g} seconds)" in PAGE
    assert f"`timeouts.idle` ({timeouts.idle / 60:g} minutes)" in PAGE
    assert f"`timeouts.connection` ({timeouts.connection / 3600:g} hours)" in PAGE
    assert f"`overload.lag` ({overload.lag * 1000:g} ms)" in PAGE
    assert f"`overload.commit` ({overload.commit:g} seconds)" in PAGE
    assert f"`overload.connections` ({overload.connections}) percent" in PAGE
    assert f"`overload.calm` ({overload.calm:g} seconds)" in PAGE
    assert f"`overload.known` ({overload.known / 86400:g} days)" in PAGE
    assert f"`timeouts.drain` ({timeouts.drain:g} seconds)" in PAGE
