"""Root for as long as it takes to bind port 25, and a user from then on, for good."""

import grp
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import fastsmtp
from fastsmtp import _process
from fastsmtp.config.process import ProcessSettings
from fastsmtp.errors import ConfigurationError, StartError

__all__ = ["Identity", "check_installation", "check_ours", "identity"]

_ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the server is to be: by name, by number, and all groups."""

    user: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @contextmanager
    def assumed(self) -> Iterator[None]:
        """For a moment only: what is made meanwhile belongs to the user, and nothing can be done that it may not do."""
        before = os.getgroups(), os.getegid(), os.geteuid()
        os.setgroups(self.groups)
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(before[2])
            os.setegid(before[1])
            os.setgroups(before[0])

    def assume(self) -> None:
        """For good: there is no way back, also not by starting another program. Raises StartError."""
        try:
            os.setgroups(self.groups)
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)
            _process.forbid_new_privileges()
        except OSError as error:
            raise StartError(f"cannot become the user {self.user} (process.user): {error.strerror}") from error
        is_complete = (os.getresuid(), os.getresgid()) == ((self.uid,) * 3, (self.gid,) * 3)
        if not is_complete or not set(os.getgroups()) <= {*self.groups} or _can_be_root():
            raise StartError(f"became the user {self.user} (process.user), and could be root again: that is not safe")


def identity(settings: ProcessSettings) -> Identity | None:
    """Who to become; None to stay who we are. Raises ConfigurationError and StartError."""
    if not settings.user:
        return None
    try:
        entry = pwd.getpwnam(settings.user)
    except KeyError:
        raise ConfigurationError(
            f"process.user: there is no user {settings.user!r} on this machine; make one, or name another"
        ) from None
    gid = entry.pw_gid if not settings.group else _gid(settings.group)
    if os.geteuid() != _ROOT:
        if entry.pw_uid == os.geteuid():
            return None
        raise StartError(
            f"process.user is {settings.user}, and only root can become another user; "
            f"start as root, as {settings.user}, or leave process.user out"
        )
    if entry.pw_uid == _ROOT:
        return None
    return Identity(settings.user, entry.pw_uid, gid, tuple(os.getgrouplist(settings.user, gid)))


def check_ours(folder: Path, key: str) -> None:
    """See that this process can work in a folder, which need not be there. Raises StartError saying what to do."""
    if folder.exists() and not folder.is_dir():
        raise StartError(f"{folder} is not a folder; change {key}")
    if not folder.exists() or os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        return
    owner, us = _name(folder.stat().st_uid), _name(os.geteuid())
    raise StartError(
        f"{folder} ({key}) belongs to {owner}, and {us} cannot write there; `chown -R {us} {folder}` gives it to {us}"
    )


def check_installation() -> None:
    """See that this user can start a worker, and import what it needs. Raises StartError."""
    for path in (sys.executable, os.__file__, fastsmtp.__file__):
        if not os.access(path, os.R_OK, effective_ids=True):
            us = _name(os.geteuid())
            raise StartError(f"process.user: {us} cannot read {path}; install Python and fastsmtp where {us} can")


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigurationError(
            f"process.group: there is no group {group!r} on this machine; make one, or name another"
        ) from None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _can_be_root() -> bool:
    for change in (os.setuid, os.seteuid):
        try:
            change(_ROOT)
        except PermissionError:
            continue
        return True
    return False
