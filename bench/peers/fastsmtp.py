"""fastsmtp itself."""

import sys
from pathlib import Path
from typing import Final

from bench.machine import commit
from bench.peers.peer import LOOPBACK, Launch, Peer, Site, free_port

__all__ = ["DEFAULT_PLUGINS", "Fastsmtp", "write_directory"]

_CONFIGURATION: Final = """\
hostname = "mx.{domain}"
[listen]
smtp = ["{host}:{port}"]
workers = {workers}
[limits]
message_size = "64MiB"
recipients = 1000
[directory]
url = "sqlite:directory.db"
[maildir]
root = "mail"
durability = "{durability}"
[metrics]
listen = false
[log]
destination = "fastsmtp.log"
"""

DEFAULT_PLUGINS: Final = """\
[[plugin]]
use = "block_sender"
options = { domains = ["spam.example"] }
[[plugin]]
use = "block_recipient"
options = { local_parts = ["nobody"] }
[[plugin]]
use = "headers"
[[plugin]]
use = "loop"
"""
"""Those that come along and have an opinion of every message."""

_PROMISES: Final = {
    "none": "in Maildir, not synced",
    "journal": "in Maildir and on disk: a journal, one fdatasync a batch",
    "fsync": "in Maildir and on disk: fsync of file and directory",
}


class Fastsmtp(Peer):
    """Ours, in one of its ways to store."""

    def __init__(self, name: str, durability: str, *, workers: int = 1, plugins: str = "") -> None:
        """`durability` is maildir.durability, `plugins` are tables of the configuration."""
        self.name = name
        self.promise = _PROMISES[durability]
        self._durability = durability
        self._workers = workers
        self._plugins = plugins

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        from fastsmtp import __version__

        return f"{__version__} ({commit()})"

    def prepare(self, site: Site) -> Launch:
        port = free_port()
        configuration = _CONFIGURATION.format(
            domain=site.domain, host=LOOPBACK, port=port, workers=self._workers, durability=self._durability
        )
        (site.folder / "fastsmtp.toml").write_text(configuration + self._plugins)
        write_directory(site.folder / "directory.db", site)
        command = [sys.executable, "-m", "fastsmtp", "serve", "-c", str(site.folder / "fastsmtp.toml")]
        return Launch(command, f"{LOOPBACK}:{port}")


def write_directory(database: Path, site: Site) -> None:
    """A SQLite directory with the site's domain and users."""
    from fastsmtp.directory.admin import SqliteAdmin

    with SqliteAdmin(database, create=True) as admin:
        admin.add_domain(site.domain)
        for address in site.addresses:
            admin.add_user(address)
