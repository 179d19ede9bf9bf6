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

PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "exim": ("exim4-base", "exim4-daemon-light"),
    "opensmtpd": ("opensmtpd",),
}
_USERS: Final[Mapping[str, Sequence[str]]] = {"exim": ("Debian-exim",), "opensmtpd": ("opensmtpd", "opensmtpq")}
_FIRST_ID: Final = 64_100
_SEEN: Final = ("usr", "etc", "var/lib", "var/spool")
"""Of what was unpacked, where it is: these lie over those of the machine."""
_MADE: Final[Mapping[str, Mapping[str, str | None]]] = {
    "exim": {},
    "opensmtpd": {
        "var/spool/smtpd": None,
        # It looks every client up, and without DNS would wait for that.
        "etc/resolv.conf": "lookup file\n",
        "etc/hosts": "127.0.0.1 localhost\n",
    },
}
"""What it needs besides: folders, and files with their content."""


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
    for path, content in _MADE[name].items():
        if content is None:
            (tree / path).mkdir(parents=True, exist_ok=True)
        else:
            (tree / path).write_text(content)


def within(name: str, command: Sequence[str], places: Mapping[str, Path] | None = None) -> list[str]:
    """The command where the server is seen: as it is, for one that is installed.

    `places` are folders that the server has under a fixed path, and where they really are.
    """
    if not is_unpacked(name):
        return list(command)
    tree = _tree(name)
    script = [
        f"mount -t overlay overlay -o lowerdir={shlex.quote(str(tree / part))}:/{part} /{part}"
        for part in _SEEN
        if (tree / part).is_dir()
    ]
    script += [f"mount --bind {shlex.quote(str(real))} {place}" for place, real in (places or {}).items()]
    return ["unshare", "--mount", "/bin/sh", "-e", "-c", "\n".join([*script, 'exec "$@"']), "sh", *command]
