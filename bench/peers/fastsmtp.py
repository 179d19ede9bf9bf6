"""fastsmtp itself."""

import importlib.util
import re
import sys
from compileall import compile_dir
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from bench.load.generator import Load
from bench.machine import commit
from bench.peers.peer import LOOPBACK, Launch, Peer, Site, free_port

__all__ = ["Fastsmtp", "FastsmtpBdat", "FastsmtpBySource", "FastsmtpPlugins", "FastsmtpTls"]

_CHECKOUT: Final = Path(__file__).parents[2]

_RATE: Final = re.compile(r'"[0-9]+/(second|minute|hour|day)"')
_NO_RATE: Final = '"1000000/second"'

_PROMISES: Final = {
    "none": "in Maildir, not synced",
    "journal": "in Maildir and on disk: a journal, one fdatasync a batch",
    "fsync": "in Maildir and on disk: fsync of file and directory",
}


class Fastsmtp(Peer):
    """Ours, in one of its ways to store."""

    def __init__(self, name: str, durability: str, *, workers: int = 1) -> None:
        """`durability` is maildir.durability."""
        self.name = name
        self.promise = _PROMISES[durability]
        self._durability = durability
        self._workers = workers

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        from fastsmtp import __version__

        return f"{__version__} ({commit()})"

    def prepare(self, site: Site) -> Launch:
        from fastsmtp.config.template import render_bare

        port = free_port()
        (site.folder / "fastsmtp.toml").write_text(render_bare(self._settings(site, port)))
        return self._launch(site, port)

    def _settings(self, site: Site, port: int) -> dict[str, object]:
        """What differs from the defaults, by key path."""
        return {
            "hostname": f"mx.{site.domain}",
            "listen.smtp": [f"{LOOPBACK}:{port}"],
            "listen.workers": self._workers,
            "limits.message_size": "64MiB",
            "limits.recipients": 1000,
            "limits.messages": 0,
            "directory.url": "sqlite:directory.db",
            "maildir.root": "mail",
            "maildir.durability": self._durability,
            "metrics.listen": False,
            "log.destination": "fastsmtp.log",
        }

    def _launch(self, site: Site, port: int) -> Launch:
        for folder in ("fastsmtp", "plugins"):
            compile_dir(_CHECKOUT / folder, quiet=1)  # as pip does it: the peers have bytecode, too
        _write_directory(site.folder / "directory.db", site)
        command = [sys.executable, "-m", "fastsmtp", "serve", "-c", str(site.folder / "fastsmtp.toml")]
        return Launch(command, f"{LOOPBACK}:{port}")


class FastsmtpPlugins(Fastsmtp):
    """The same with the plugins that `fastsmtp init` writes into a configuration, and a DNS to ask.

    The DNS is a zone on the loopback that has good answers for the generator; soon they are all in the server's cache.
    Rates of one client are raised, as they are for everybody who is measured: here one client sends all of it.
    """

    def missing(self) -> str:
        return "" if importlib.util.find_spec("dns") else "dnspython is not installed; pip install dnspython"

    def prepare(self, site: Site) -> Launch:
        from fastsmtp.config.model import Settings
        from fastsmtp.config.starter import starter_plugins, write_lists
        from fastsmtp.config.template import render

        port, metrics, zone = free_port(), f"{LOOPBACK}:{free_port()}", free_port()
        settings = {**self._settings(site, port), "metrics.listen": metrics}
        if "dns" in Settings.model_fields:
            settings["dns.servers"] = [f"{LOOPBACK}:{zone}"]
        write_lists(site.folder / "lists")
        (site.folder / "lists" / "access").write_text("")  # the generator is on this machine, and is to be checked
        (site.folder / "fastsmtp.toml").write_text(render(settings, _RATE.sub(_NO_RATE, starter_plugins())))
        beside = [sys.executable, str(Path(__file__).with_name("zone.py")), str(zone)]
        return replace(self._launch(site, port), metrics=metrics, beside=beside)


class FastsmtpBySource(Fastsmtp):
    """The same, and its mail comes from Postfix's smtp-source."""

    def suited(self, load: Load) -> Load:
        return replace(load, generator="smtp-source")


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

    def _settings(self, site: Site, port: int) -> dict[str, object]:
        import trustme

        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        made = authority.issue_cert(f"mx.{site.domain}", key_type=trustme.KeyType[self._key])
        file = site.folder / "certificate.pem"
        file.touch(0o600)
        file.write_bytes(made.private_key_and_cert_chain_pem.bytes())
        return {**super()._settings(site, port), "tls.certificates": [{"certificate": str(file)}]}


def _write_directory(database: Path, site: Site) -> None:
    """A SQLite directory with the site's domain and users."""
    from fastsmtp.directory.admin import SqliteAdmin
    from fastsmtp.directory.csv_lines import UserLine
    from fastsmtp.smtp.address import Address

    with SqliteAdmin(database, create=True) as admin:
        admin.add_domain(site.domain)
        admin.import_users(UserLine(number, Address(user, site.domain)) for number, user in enumerate(site.users, 1))
