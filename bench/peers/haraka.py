"""Haraka: it takes the message and throws it away, which is the best that it has without another server behind it."""

import json
import subprocess
from pathlib import Path
from typing import ClassVar, Final

from bench.native import BUILD
from bench.peers.peer import LOOPBACK, Launch, Peer, Site, find_program, free_port

__all__ = ["Haraka"]

_MODULES: Final = (BUILD / "peers/node_modules", Path("/usr/local/lib/node_modules"), Path("/usr/lib/node_modules"))


class Haraka(Peer):
    """One process, as its default is; the recipient's domain is looked up in its host list."""

    name = "haraka"
    promise = "nothing: accepted and discarded"
    stores: ClassVar[bool] = False

    @staticmethod
    def _package() -> Path | None:
        return next((modules / "Haraka" for modules in _MODULES if (modules / "Haraka/bin/haraka").exists()), None)

    def missing(self) -> str:
        if find_program("node") is None:
            return "node not found; it comes with nodejs"
        return "" if self._package() else "Haraka not found; npm install --prefix build/peers Haraka"

    def version(self) -> str:
        package = self._package()
        return str(json.loads((package / "package.json").read_text())["version"]) if package else ""

    def prepare(self, site: Site) -> Launch:
        port = free_port()
        command = [str(find_program("node")), f"{self._package()}/bin/haraka"]
        subprocess.run([*command, "-i", str(site.folder)], check=True, capture_output=True)
        config = site.folder / "config"
        files = {
            "smtp.ini": f"listen={LOOPBACK}:{port}\nnodes=0\n",
            "plugins": "rcpt_to.in_host_list\nqueue/discard",
            "host_list": site.domain,
            "me": f"mx.{site.domain}",
            "log.ini": "[main]\nlevel=warn\n",
            "loglevel": "WARN",
            "databytes": str(64 * 1024 * 1024),
        }
        for name, text in files.items():
            (config / name).write_text(f"{text}\n")
        # Both are what its documentation asks for: the first one to discard at all.
        return Launch(
            [*command, "-c", str(site.folder)],
            f"{LOOPBACK}:{port}",
            {"YES_REALLY_DO_DISCARD": "1", "NODE_ENV": "production"},
        )
