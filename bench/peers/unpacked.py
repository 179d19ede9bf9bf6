"""Servers that are unpacked into a folder, because Debian's packages of them exclude each other.

`python -m bench fetch` puts them there. They run in a mount namespace of their own, in which their files lie over those
of the machine, which itself never sees them; that takes root.
"""

import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.native import BUILD

__all__ = ["PACKAGES", "fetch", "is_unpacked", "within"]

PACKAGES: Final[Mapping[str, Sequence[str]]] = {"exim": ("exim4-base", "exim4-daemon-light")}
_USERS: Final[Mapping[str, Sequence[str]]] = {"exim": ("Debian-exim",)}
_FIRST_ID: Final = 64_100


def _tree(name: str) -> Path:
    return BUILD / "peers" / "debian" / name


def is_unpacked(name: str) -> bool:
    """Whether `fetch` was there."""
    return (_tree(name) / "usr").is_dir()


def fetch(name: str) -> None:
    """Download its packages with apt and unpack them, without installing anything. Raises CalledProcessError."""
    tree = _tree(name)
    tree.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "-qq", "download", *PACKAGES[name]], cwd=folder, check=True)  # noqa: S607 - Debian's
        for package in sorted(Path(folder).glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, tree], check=True)  # noqa: S607 - likewise
    lines = {"passwd": "{user}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n", "group": "{user}:x:{id}:\n"}
    for table, line in lines.items():
        more = "".join(line.format(user=user, id=_FIRST_ID + at) for at, user in enumerate(_USERS[name]))
        (tree / "etc").mkdir(exist_ok=True)
        (tree / "etc" / table).write_text(Path("/etc", table).read_text() + more)


def within(name: str, command: Sequence[str]) -> list[str]:
    """The command where the server is seen: as it is, for one that is installed."""
    if not is_unpacked(name):
        return list(command)
    tree = _tree(name)
    script = [
        f"mount -t overlay overlay -o lowerdir={shlex.quote(str(tree / part))}:/{part} /{part}"
        for part in ("usr", "etc")
        if (tree / part).is_dir()
    ]
    return ["unshare", "--mount", "/bin/sh", "-e", "-c", "\n".join([*script, 'exec "$@"']), "sh", *command]
