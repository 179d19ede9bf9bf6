"""fastsmtp itself."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from bench.load.generator import Load
from bench.machine import commit
from bench.peers.peer import LOOPBACK, Launch, Peer, Site, free_port

__all__ = ["DEFAULT_PLUGINS", "Fastsmtp", "FastsmtpBdat", "FastsmtpTls"]

_CONFIGURATION: Final = """\
hostname = "mx.{domain}"
[listen]
smtp = ["{host}:{port}"]
workers = {workers}
[limits]
message_size = "64MiB"
recipients = 1000
messages = 0
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
        (site.folder / "fastsmtp.toml").write_text(configuration + self._more(site))
        _write_directory(site.folder / "directory.db", site)
        command = [sys.executable, "-m", "fastsmtp", "serve", "-c", str(site.folder / "fastsmtp.toml")]
        return Launch(command, f"{LOOPBACK}:{port}")

    def _more(self, site: Site) -> str:  # noqa: ARG002 - others need files
        """Further tables of the configuration."""
        return self._plugins


class FastsmtpBdat(Fastsmtp):
    """The same, and its clients send BDAT."""

    def suited(self, load: Load) -> Load:
        return replace(load, chunking=True)


class FastsmtpTls(Fastsmtp):
    """The same in TLS, after STARTTLS, with a certificate for a key of this kind."""

    def __init__(self, name: str, durability: str, key: Literal["ECDSA", "RSA"]) -> None:
        """ECDSA is P-256, RSA 2048 bits."""
        super().__init__(name, durability)
        self._key = key

    def missing(self) -> str:
        return "" if importlib.util.find_spec("trustme") else "trustme is not installed; pip install trustme"

    def suited(self, load: Load) -> Load:
        return replace(load, tls="starttls")

    def _more(self, site: Site) -> str:
        import trustme

        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        made = authority.issue_cert(f"mx.{site.domain}", key_type=trustme.KeyType[self._key])
        file = site.folder / "certificate.pem"
        file.touch(0o600)
        file.write_bytes(made.private_key_and_cert_chain_pem.bytes())
        return f'[tls]\ncertificates = [{{ certificate = "{file}" }}]\n'


def _write_directory(database: Path, site: Site) -> None:
    """A SQLite directory with the site's domain and users."""
    from fastsmtp.directory.admin import SqliteAdmin
    from fastsmtp.directory.csv_lines import UserLine
    from fastsmtp.smtp.address import Address

    with SqliteAdmin(database, create=True) as admin:
        admin.add_domain(site.domain)
        admin.import_users(UserLine(number, Address(user, site.domain)) for number, user in enumerate(site.users, 1))
