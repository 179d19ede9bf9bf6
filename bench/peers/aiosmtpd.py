"""aiosmtpd with its Mailbox handler, on uvloop."""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from bench.peers.peer import Launch, Peer, Site, count_files

__all__ = ["Aiosmtpd"]


class Aiosmtpd(Peer):
    """Everything goes to one Maildir: its handler knows no recipients."""

    name = "aiosmtpd"
    promise = "in one Maildir for all; fsync of the file"

    def missing(self) -> str:
        return "" if importlib.util.find_spec("aiosmtpd") else "aiosmtpd is not installed; pip install aiosmtpd"

    def version(self) -> str:
        return importlib.metadata.version("aiosmtpd")

    def prepare(self, site: Site) -> Launch:
        return Launch(
            [sys.executable, "-P", str(Path(__file__).with_name("aiosmtpd_mailbox.py")), str(site.mail)], None
        )

    def stored(self, site: Site) -> int:
        return count_files([site.mail / "new"])
