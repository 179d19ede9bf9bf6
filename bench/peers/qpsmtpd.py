"""qpsmtpd as Debian ships it: prefork, with its maildir plugin."""

import os
import pwd
from pathlib import Path
from typing import ClassVar, Final

from bench.peers.peer import LOOPBACK, Launch, Peer, Site, find_program, free_port, needs_programs, output_of

__all__ = ["Qpsmtpd"]

_PLUGINS: Final = Path("/usr/share/qpsmtpd/plugins")
_CHILDREN: Final = 200


class Qpsmtpd(Peer):
    """A process a connection, as many as it needs; without Debian's default plugins that ask the DNS."""

    name = "qpsmtpd"
    promise = "in Maildir, not synced"
    most_connections: ClassVar[int] = _CHILDREN

    def missing(self) -> str:
        return needs_programs("qpsmtpd", "qpsmtpd-prefork")

    def version(self) -> str:
        return output_of("qpsmtpd-prefork", "--version").rpartition(" ")[2]

    def prepare(self, site: Site) -> Launch:
        port = free_port()
        config = site.folder / "config"
        config.mkdir()
        site.mail.mkdir()
        files = {
            "plugin_dirs": str(_PLUGINS),
            "plugins": f"rcpt_ok\nqueue/maildir {site.mail} %d/%l",
            "rcpthosts": site.domain,
            "me": f"mx.{site.domain}",
            "spool_dir": str(site.folder / "spool"),
            "loglevel": "3",
            "databytes": "0",
        }
        for name, text in files.items():
            (config / name).write_text(f"{text}\n")
        (site.folder / "spool").mkdir(mode=0o700)
        command = [str(find_program("qpsmtpd-prefork")), f"--port={port}", f"--interface={LOOPBACK}"]
        command += [f"--children={_CHILDREN}", f"--max-from-ip={_CHILDREN}", "--idle-children=20"]
        command.append(f"--user={pwd.getpwuid(os.geteuid()).pw_name}")
        return Launch(command, f"{LOOPBACK}:{port}", {"QPSMTPD_CONFIG": str(config)})
