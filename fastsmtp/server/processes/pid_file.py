"""The file that tells others which process to signal."""

import logging
import os
from pathlib import Path
from secrets import token_hex

from fastsmtp.errors import StartError
from fastsmtp.server.sockets import NO_CHANGE, Owner

__all__ = ["PidFile"]

_log = logging.getLogger("fastsmtp.server")


class PidFile:
    """Holds the number of this process from `write` to `remove`. Nobody ever sees half of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = b"%d\n" % os.getpid()

    def write(self, owner: Owner = NO_CHANGE) -> None:
        """Replace whatever an earlier process has left there. `owner` is the user and the group it is to belong to.

        Whether an earlier one still runs the journal and the ports know, not this file. Raises StartError.
        """
        half = self._path.with_name(f".{self._path.name}.{token_hex(8)}")
        try:
            fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                os.fchmod(fd, 0o644)  # whatever the umask: others are to read it
                if owner != NO_CHANGE:
                    os.fchown(fd, *owner)
                os.write(fd, self._content)
                half.replace(self._path)
            except BaseException:
                half.unlink()
                raise
            finally:
                os.close(fd)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise StartError(f"cannot write {self._path}: {reason}; change process.pid_file") from error

    def remove(self) -> None:
        """Remove it, if it is ours; empty it where only that is permitted: root may have made its folder."""
        try:
            if self._path.read_bytes() != self._content:
                return
            try:
                self._path.unlink()
            except PermissionError:
                os.truncate(self._path, 0)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("%s cannot be removed: %s", self._path, error.strerror)
