"""What was never finished: files that have been in a tmp/ directory for longer than any delivery takes."""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Final

from fastsmtp.delivery.mailbox import open_directory
from fastsmtp.delivery.restorer import LOST_AND_FOUND

__all__ = ["STRAY_AFTER_S", "sweep"]

STRAY_AFTER_S: Final = 36 * 3600
"""The age that the Maildir convention gives."""

_TMP: Final = "tmp"
_LOST_AND_FOUND: Final = os.fsdecode(LOST_AND_FOUND)

# Of ext4, in the root of a file system, and not for us to read.
_NOT_OURS: Final = "lost+found"

logger = logging.getLogger("fastsmtp.delivery")


def sweep(
    root: Path, older_than_s: float = STRAY_AFTER_S, *, now: float, is_enough: Callable[[], bool] = lambda: False
) -> int:
    """Remove the stray files below `root`, in every mailbox and in lost+found, and say how many there were.

    `now` is in seconds since the epoch. Blocks for long where there are many mailboxes, or until
    `is_enough` says so. What vanishes in the meantime is fine; where nothing can be removed, the log hears of it, once
    for all.
    """
    sweeping = _Sweep(now - older_than_s, is_enough)
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        sweeping.note(str(root), error)
    else:
        try:
            sweeping.sweep_root(fd)
        finally:
            os.close(fd)
    if sweeping.problems:
        logger.error(
            "stray files below %s cannot be looked for or removed in %d places; the first: %s",
            root,
            sweeping.problems,
            sweeping.first_problem,
        )
    return sweeping.removed


class _Sweep:
    """One walk. Paths are for the log; the way there is by descriptors, and no symbolic link is followed."""

    def __init__(self, before: float, is_enough: Callable[[], bool]) -> None:
        self._before = before
        self._is_enough = is_enough
        self.removed = 0
        self.problems = 0
        self.first_problem = ""

    def note(self, path: str, error: OSError) -> None:
        """Count an error, unless it says that there is no such thing (any more), or that it is no directory."""
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self.problems += 1
            self.first_problem = self.first_problem or f"{path!a}: {error.strerror}"

    def sweep_root(self, root: int) -> None:
        for domain in self._names(root, "."):
            if domain == _LOST_AND_FOUND:
                self._sweep_tmp(root, domain, domain)
            elif domain != _NOT_OURS:
                self._sweep_domain(root, domain)

    def _sweep_domain(self, root: int, domain: str) -> None:
        try:
            fd = open_directory(root, domain)
        except OSError as error:
            self.note(domain, error)
            return
        try:
            for user in self._names(fd, domain):
                if self._is_enough():
                    return
                self._sweep_tmp(fd, user, f"{domain}/{user}")
        finally:
            os.close(fd)

    def _sweep_tmp(self, parent: int, mailbox: str, path: str) -> None:
        path = f"{path}/{_TMP}"
        try:
            tmp = open_directory(parent, mailbox, _TMP)
        except OSError as error:
            self.note(path, error)
            return
        try:
            for name in self._names(tmp, path):
                try:
                    self._remove_stray(tmp, name)
                except OSError as error:
                    self.note(f"{path}/{name}", error)
        finally:
            os.close(tmp)

    def _remove_stray(self, tmp: int, name: str) -> None:
        status = os.stat(name, dir_fd=tmp, follow_symlinks=False)
        if S_ISREG(status.st_mode) and status.st_mtime < self._before:
            os.unlink(name, dir_fd=tmp)
            self.removed += 1

    def _names(self, directory: int, path: str) -> Iterator[str]:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    yield entry.name
        except OSError as error:
            self.note(path, error)
