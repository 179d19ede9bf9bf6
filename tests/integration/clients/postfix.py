"""A Postfix of our own that relays everything to one address: smtp(8) as the peer that an MX meets most often.

It lives in a temporary folder, listens nowhere, and leaves the Postfix of the machine alone.
"""

import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from integration.clients.senders import Mail, missing, require, run

_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = postfix.example.org
myorigin = $myhostname
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [{host}]:{port}
default_transport = smtp
smtp_tls_security_level = {tls}
smtp_tls_CAfile = {authority}
smtp_tls_loglevel = 1
smtp_host_lookup = native
smtputf8_enable = yes
smtputf8_autodetect_classes = all
message_size_limit = 20000000
"""

_MASTER: Final = """\
pickup    unix       n - n 1 1 pickup
cleanup   unix       n - n - 0 cleanup
qmgr      unix       n - n 1 1 qmgr
rewrite   unix       - - n - - trivial-rewrite
bounce    unix       - - n - 0 bounce
defer     unix       - - n - 0 bounce
trace     unix       - - n - 0 bounce
tlsmgr    unix       - - n 1000? 1 tlsmgr
proxymap  unix       - - n - - proxymap
smtp      unix       - - n - - smtp
lmtp      unix       - - n - - lmtp
error     unix       - - n - - error
retry     unix       - - n - - error
scache    unix       - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """An instance that runs; `submit` hands it mail as any program of its host would."""

    def __init__(self, configuration: Path) -> None:
        self._configuration = str(configuration)

    def submit(self, mail: Mail) -> None:
        content = mail.content.replace(b"\r\n", b"\n")
        self._run("sendmail", "-C", self._configuration, "-i", "-f", mail.sender, *mail.recipients, stdin=content)

    def log(self) -> str:
        """What it has logged so far."""
        return (Path(self._configuration).parent / "log").read_text()

    def control(self, command: str) -> None:
        self._run("postfix", "-c", self._configuration, command)

    @staticmethod
    def _run(program: str, *arguments: str, stdin: bytes = b"") -> None:
        run(require(program), *arguments, stdin=stdin)


def why_not() -> str:
    """Why no Postfix can be started here, or nothing."""
    if os.geteuid():
        return "a Postfix can only be started by root"
    return missing("postfix", "postfix")


@contextmanager
def running_postfix(
    relayhost: tuple[str, int], tls: str = "none", authority: str = "", more: str = ""
) -> Iterator[Postfix]:
    """Start a Postfix that relays to this address, and stop it at the end.

    `tls` is its `smtp_tls_security_level`, `authority` the certificate that it trusts, as PEM; `more` are further lines
    of main.cf.
    """
    # Its daemons run as another user, who cannot go through pytest's own folders.
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        owner = pwd.getpwnam("postfix")
        for part in ("etc", "queue", "data"):
            (folder / part).mkdir()
        os.chown(folder / "data", owner.pw_uid, -1)
        host, port = relayhost
        (folder / "etc" / "authority.pem").write_text(authority)
        trusted = folder / "etc" / "authority.pem" if authority else ""
        main = _MAIN.format(folder=folder, host=host, port=port, tls=tls, authority=trusted) + more
        (folder / "etc" / "main.cf").write_text(main)
        (folder / "etc" / "master.cf").write_text(_MASTER)
        postfix = Postfix(folder / "etc")
        postfix.control("start")
        try:
            yield postfix
        except BaseException as error:
            error.add_note((folder / "log").read_text())
            raise
        finally:
            postfix.control("stop")
