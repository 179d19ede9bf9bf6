"""Postfix: smtpd(8) to virtual(8), an instance of its own in a folder, started by root."""

import os
import pwd
from pathlib import Path
from typing import ClassVar, Final

from bench.peers.peer import LOOPBACK, Launch, Peer, Site, find_program, free_port, needs_programs, output_of

__all__ = ["Postfix"]

_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.{domain}
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.1/32
inet_interfaces = {host}
inet_protocols = ipv4
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/etc/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
message_size_limit = 67108864
smtpd_recipient_limit = 1000
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = none
# It would make clients wait when they are faster than deliveries: what is asked here is how fast it can be.
in_flow_delay = 0
default_process_limit = 200
"""

_MASTER: Final = """\
{port}    inet       n - n - - smtpd
pickup    unix       n - n 60 1 pickup
cleanup   unix       n - n - 0 cleanup
qmgr      unix       n - n 300 1 qmgr
rewrite   unix       - - n - - trivial-rewrite
bounce    unix       - - n - 0 bounce
defer     unix       - - n - 0 bounce
trace     unix       - - n - 0 bounce
verify    unix       - - n - 1 verify
flush     unix       n - n 1000? 0 flush
proxymap  unix       - - n - - proxymap
anvil     unix       - - n - 1 anvil
error     unix       - - n - - error
retry     unix       - - n - - error
virtual   unix       - n n - - virtual
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix(Peer):
    """Its 250 means: in the queue. What the delivery takes counts as well, and so does the time until it is done."""

    name = "postfix"
    promise = "on disk, in a queue; then virtual(8) puts it into the Maildir"
    most_connections: ClassVar[int] = 200

    def missing(self) -> str:
        if os.geteuid():
            return "only root can start a Postfix"
        return needs_programs("postfix", "postfix", "postconf")

    def version(self) -> str:
        return output_of("postconf", "-dh", "mail_version")

    def prepare(self, site: Site) -> Launch:
        owner, carrier = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
        folder, port = site.folder, free_port()
        _let_pass(folder)
        for part in ("etc", "queue", "data", "mail"):
            (folder / part).mkdir()
        os.chown(folder / "data", owner.pw_uid, -1)
        os.chown(folder / "mail", carrier.pw_uid, carrier.pw_gid)
        (folder / "mail" / site.domain).mkdir()
        os.chown(folder / "mail" / site.domain, carrier.pw_uid, carrier.pw_gid)
        mailboxes = "".join(f"{user}@{site.domain} {site.domain}/{user}/\n" for user in site.users)
        (folder / "etc/mailboxes").write_text(mailboxes)
        (folder / "etc/main.cf").write_text(
            _MAIN.format(folder=folder, domain=site.domain, host=LOOPBACK, uid=carrier.pw_uid, gid=carrier.pw_gid)
        )
        (folder / "etc/master.cf").write_text(_MASTER.format(port=port))
        program = find_program("postfix")
        return Launch([str(program), "-c", str(folder / "etc"), "start-fg"], f"{LOOPBACK}:{port}")

    def settled(self, site: Site) -> bool:
        queues = (site.folder / "queue" / name for name in ("maildrop", "incoming", "active", "deferred"))
        return not any(names for queue in queues for _, _, names in os.walk(queue))


def _let_pass(folder: Path) -> None:
    """Its daemons run as another user. Raises SystemExit when they cannot come to the folder."""
    folder.chmod(0o755)
    for above in folder.parents:
        if not above.stat().st_mode & 0o001:
            raise SystemExit(f"{above} is closed to other users, and Postfix has to pass: choose another --folder")
