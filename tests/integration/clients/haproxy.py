"""A HAProxy of our own in front of a server; it lives in a folder, and leaves the HAProxy of the machine alone."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from integration.clients.senders import missing, require
from integration.server import DEADLINE_S, wait_until
from ports import free_port

_CONFIGURATION: Final = """\
global
    stats socket {folder}/stats.sock mode 600
defaults
    mode tcp
    timeout connect 60s
    timeout check 60s
    timeout client 60s
    timeout server 60s
frontend smtp
    bind 127.0.0.1:{port}
    default_backend mx
backend mx
    {check}
    server mx {server} {options}
"""


class HaProxy:
    """An instance that runs; `port` is where clients come in, on 127.0.0.1."""

    def __init__(self, folder: Path, port: int) -> None:
        self._socket = str(folder / "stats.sock")
        self.port = port

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A client with this address."""
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE_S, source_address=(source, 0))

    def health(self) -> str:
        """What the checks have found: `UP`, `DOWN` or something between."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(DEADLINE_S)
            control.connect(self._socket)
            control.sendall(b"show stat mx 4 -1\n")
            header, row = control.makefile().read().strip().split("\n")[:2]
        return dict(zip(header.removeprefix("# ").split(","), row.split(","), strict=True))["status"]


def why_not() -> str:
    """Why no HAProxy can be started here, or nothing."""
    return missing("haproxy", "haproxy")


@contextmanager
def running_haproxy(folder: Path, server: str, options: str, check: str = "") -> Iterator[HaProxy]:
    """Start a HAProxy for a server (as its configuration writes an address), and stop it at the end."""
    folder.mkdir()
    port = free_port()
    configuration = folder / "haproxy.cfg"
    text = _CONFIGURATION.format(folder=folder, port=port, server=server, options=options, check=check)
    configuration.write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([require("haproxy"), "-db", "-f", str(configuration)], stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or (folder / "stats.sock").exists(), "HAProxy starts")
        assert process.poll() is None, (folder / "log").read_text()
        yield HaProxy(folder, port)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
