"""Dovecot's LMTP: the delivering half of a mail server, behind somebody else's SMTP."""

import os
import pwd
from pathlib import Path
from typing import ClassVar, Final

from bench.peers.peer import LOOPBACK, Launch, Peer, Site, find_program, free_port, needs_programs, output_of

__all__ = ["DovecotLmtp"]

_CONFIGURATION: Final = """\
protocols = lmtp
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = bench
listen = {host}
ssl = no
mail_location = maildir:~
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={mail}/%d/%n
}}
passdb {{
  driver = static
  args = nopassword=y
}}
service lmtp {{
  process_min_avail = 20
  process_limit = 200
  inet_listener lmtp {{
    address = {host}
    port = {port}
  }}
}}
service auth {{
  client_limit = 5000
}}
service anvil {{
  client_limit = 1000
}}
"""


class DovecotLmtp(Peer):
    """A process a connection, its usual sync (`mail_fsync = optimized`), no Sieve; every recipient exists."""

    name = "dovecot lmtp"
    promise = "in Maildir and on disk: fsync of the file"
    is_lmtp: ClassVar[bool] = True
    most_connections: ClassVar[int] = 200

    def missing(self) -> str:
        if os.geteuid():
            return "only root can start a Dovecot that is not installed for the user"
        return needs_programs("dovecot-lmtpd", "dovecot") or (
            "" if Path("/usr/lib/dovecot/lmtp").exists() else "lmtp not found; it comes with dovecot-lmtpd"
        )

    def version(self) -> str:
        return output_of("/usr/sbin/dovecot", "--version")

    def prepare(self, site: Site) -> Launch:
        port, carrier = free_port(), pwd.getpwnam("nobody")
        site.folder.chmod(0o755)
        site.mail.mkdir()
        os.chown(site.mail, carrier.pw_uid, carrier.pw_gid)
        configuration = site.folder / "dovecot.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=site.folder,
                mail=site.mail,
                host=LOOPBACK,
                port=port,
                uid=carrier.pw_uid,
                gid=carrier.pw_gid,
            )
        )
        return Launch([str(find_program("dovecot")), "-F", "-c", str(configuration)], f"{LOOPBACK}:{port}")
