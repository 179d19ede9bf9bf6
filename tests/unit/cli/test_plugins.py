import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Command = Callable[..., Result]

PLUGIN = """
from fastsmtp.plugin import Address, Plugin, Reply, Transaction


class Asks(Plugin):
    def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
        return None

    def on_rcpt(self, txn: Transaction, recipient: Address) -> Reply | None:
        return None
"""


def test_no_plugins(fastsmtp: Command, site: Path) -> None:
    site.write_text(site.read_text().partition("[[plugin]]")[0])
    assert fastsmtp("plugins").stdout == f"No plugins in {site}.\n"


def test_stage_by_stage_in_order(fastsmtp: Command, site: Path) -> None:
    (site.parent / "asks.py").write_text(PLUGIN)
    site.write_text("""
        plugin_path = ["."]
        [[plugin]]
        use = "asks"
        [[plugin]]
        use = "asks"
        name = "again"
        mode = "shadow"
        on_fault = "pass"
        timeout = "250ms"
    """)

    assert fastsmtp("plugins").stdout.splitlines() == [
        "mail  asks   active  10 s    defer",
        "mail  again  shadow  0.25 s  pass",
        "rcpt  asks   active  10 s    defer",
        "rcpt  again  shadow  0.25 s  pass",
    ]


def test_for_programs(fastsmtp: Command, site: Path) -> None:
    (site.parent / "asks.py").write_text(PLUGIN)
    site.write_text('plugin_path = ["."]\n[[plugin]]\nuse = "asks"\n[[plugin]]\nuse = "asks"\nname = "again"\n')
    found = json.loads(fastsmtp("plugins", "--json").stdout)
    assert [(one["stage"], one["order"], one["plugin"]) for one in found] == [
        ("mail", 1, "asks"),
        ("mail", 2, "again"),
        ("rcpt", 1, "asks"),
        ("rcpt", 2, "again"),
    ]
    assert found[0] == {
        "stage": "mail",
        "order": 1,
        "plugin": "asks",
        "use": "asks",
        "mode": "active",
        "timeout_s": 10.0,
        "on_fault": "defer",
        "listeners": None,
    }


def test_where_listeners_differ(fastsmtp: Command, site: Path) -> None:
    (site.parent / "asks.py").write_text(PLUGIN)
    site.write_text("""
        plugin_path = ["."]
        listen.smtp = ["0.0.0.0:25"]
        [[listener]]
        name = "relay"
        address = "unix:relay.sock"
        plugins = ["again"]
        [[plugin]]
        use = "asks"
        [[plugin]]
        use = "asks"
        name = "again"
    """)

    assert fastsmtp("plugins").stdout.splitlines() == [
        "mail  asks   active  10 s  defer  0.0.0.0:25",
        "mail  again  active  10 s  defer  every listener",
        "rcpt  asks   active  10 s  defer  0.0.0.0:25",
        "rcpt  again  active  10 s  defer  every listener",
    ]


def test_a_plugin_that_is_not_there(fastsmtp: Command, site: Path) -> None:
    site.write_text('[[plugin]]\nuse = "no_such_plugin"\n')
    result = fastsmtp("plugins")

    assert result.exit_code == 1
    assert "no plugin is called 'no_such_plugin'" in result.stderr
