"""OpenSMTPD: its queue, then mail.maildir for each message; an instance of its own, unpacked, in a mount namespace."""

import os
import pwd
from dataclasses import replace
from typing import ClassVar, Final

from bench.load.generator import Load
from bench.peers.peer import LOOPBACK, Launch, Peer, Site, free_port, output_of
from bench.peers.unpacked import is_unpacked, within

__all__ = ["Opensmtpd"]

_CONFIGURATION: Final = """\
table users file:{folder}/users
listen on lo port {port} hostname mx.{domain}
smtp max-message-size 64M
smtp limit max-mails 1000000000
smtp limit max-rcpt 1000
queue ttl 1h
action "mailboxes" maildir "{mail}/{domain}/%{{user.username}}" userbase <users>
match from any for domain "{domain}" action "mailboxes"
"""
_BACKLOG: Final = 5
"""Compiled in. On Linux a connection that does not fit waits for seconds."""


class Opensmtpd(Peer):
    """Its 250 means: in the queue. A process for each message delivers; its CPU counts as well.

    Where its files are is compiled in, so that it can only run in a file system of its own, also where it is installed.
    """

    name = "opensmtpd"
    promise = "in a queue, not synced; then a process puts it into the Maildir, with fsync of the file"
    most_connections: ClassVar[int] = 200

    def missing(self) -> str:
        if os.geteuid():
            return "only root can start an OpenSMTPD"
        return "" if is_unpacked("opensmtpd") else "OpenSMTPD not found; python -m bench fetch unpacks it"

    def version(self) -> str:
        # `smtpd -h` prints: version: OpenSMTPD 6.8.0p2
        return output_of(*within("opensmtpd", ["/usr/sbin/smtpd", "-h"])).rpartition(" ")[2]

    def prepare(self, site: Site) -> Launch:
        port, carrier = free_port(), pwd.getpwnam("nobody")
        site.folder.chmod(0o755)
        mailboxes = site.mail / site.domain
        mailboxes.mkdir(parents=True)
        os.chown(mailboxes, carrier.pw_uid, carrier.pw_gid)
        users = "".join(f"{user} {carrier.pw_uid}:{carrier.pw_gid}:{mailboxes}\n" for user in site.users)
        (site.folder / "users").write_text(users)
        configuration = site.folder / "smtpd.conf"
        configuration.write_text(
            _CONFIGURATION.format(folder=site.folder, mail=site.mail, domain=site.domain, port=port)
        )
        spool, run = site.folder / "spool", site.folder / "run"
        for folder in (spool, run):
            folder.mkdir()
            folder.chmod(0o711)
        places = {"/var/spool/smtpd": spool, "/run": run}
        command = within("opensmtpd", ["/usr/sbin/smtpd", "-d", "-f", str(configuration)], places)
        return Launch(command, f"{LOOPBACK}:{port}")

    def suited(self, load: Load) -> Load:
        return replace(load, opening=_BACKLOG - 1)

    def settled(self, site: Site) -> bool:
        parts = (site.folder / "spool" / part for part in ("incoming", "queue"))
        return not any(names for part in parts for _, _, names in os.walk(part))
