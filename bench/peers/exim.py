"""Exim: its daemon receives and delivers to Maildirs by appendfile, an instance of its own in a folder."""

import os
from typing import ClassVar, Final

from bench.peers.peer import LOOPBACK, Launch, Peer, Site, free_port, needs_programs, output_of
from bench.peers.unpacked import is_unpacked, within

__all__ = ["Exim"]

_USER: Final = "Debian-exim"
_CONFIGURATION: Final = """\
primary_hostname = mx.{domain}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/log/exim.pid
daemon_smtp_ports = {port}
local_interfaces = {host}
domainlist ours = {domain}
acl_smtp_rcpt = for_us
message_size_limit = 64M
recipients_max = 1000
smtp_accept_max = {connections}
# Its default hands only the first ten messages of a connection to a delivery at once.
smtp_accept_queue_per_connection = 0
host_lookup =
keep_environment =
tls_advertise_hosts =
# The configuration is not the compiled-in one, so there is no way back to root.
deliver_drop_privilege = true
begin acl
for_us:
  accept domains = +ours
begin routers
known:
  driver = accept
  domains = +ours
  local_parts = lsearch;{folder}/users
  transport = maildir
begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {folder}/mail/{domain}/${{local_part_data}}
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = {user}
begin retry
* * F,1h,1m
"""


class Exim(Peer):
    """Its 250 means: in the spool. A process of its own delivers; its CPU counts as well."""

    name = "exim"
    promise = "on disk, in a spool; then a process puts it into the Maildir"
    most_connections: ClassVar[int] = 200

    def missing(self) -> str:
        if os.geteuid():
            return "only root can start an Exim"
        if is_unpacked("exim"):
            return ""
        return needs_programs("exim4-daemon-light, or with python -m bench fetch", "exim4")

    def version(self) -> str:
        return " ".join(output_of(*within("exim", ["/usr/sbin/exim4", "--version"])).split()[2:3])

    def prepare(self, site: Site) -> Launch:
        port = free_port()
        site.folder.chmod(0o755)
        (site.folder / "users").write_text("".join(f"{user}: {user}\n" for user in site.users))
        configuration = site.folder / "exim.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                domain=site.domain,
                folder=site.folder,
                host=LOOPBACK,
                port=port,
                user=_USER,
                connections=self.most_connections,
            )
        )
        (site.folder / "spool").mkdir()
        (site.folder / "log").mkdir()
        (site.folder / "mail" / site.domain).mkdir(parents=True)
        command = [
            "/bin/sh",
            "-c",
            f'chown -R {_USER} spool log mail && exec /usr/sbin/exim4 -C "$0" -bdf',
            str(configuration),
        ]
        return Launch(within("exim", command), f"{LOOPBACK}:{port}")

    def settled(self, site: Site) -> bool:
        return not any(names for _, _, names in os.walk(site.folder / "spool" / "input"))
