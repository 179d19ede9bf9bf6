"""One mailbox by descriptors: what lies in it, and how a file gets into it whatever a crash has left there."""

import errno
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from stat import S_ISREG
from typing import Final, Self

__all__ = ["Mailbox", "make_directory", "open_directory"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# Behind the name that we gave, readers put flags (`:2,S`), and some put more fields before those (`,W=4711:2,S`).
_end_of_name = re.compile(rb"[:,]|\Z")


def open_directory(parent: int, *path: str | bytes) -> int:
    """The descriptor of the directory at this path below the parent; no component may be a symbolic link.

    Raises OSError.
    """
    fd = os.open(path[0], _DIRECTORY, dir_fd=parent)
    for name in path[1:]:
        try:
            below = os.open(name, _DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def make_directory(parent: int, name: bytes) -> None:
    """Make a directory where it is missing, for nobody else to read, and on the disk. Raises OSError."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    os.fsync(parent)


class Mailbox:
    """An open Maildir. All methods raise OSError when the directory is not what a Maildir should be."""

    def __init__(self, root: int, *path: bytes) -> None:
        """Open the Maildir at this path below the root, which is a descriptor."""
        with ExitStack() as stack:
            self._folder = self._keep(stack, root, *path)
            try:
                self._tmp = self._keep(stack, self._folder, b"tmp")
            except FileNotFoundError:
                # It is made last, and alone of all directories need not outlive a power cut.
                make_directory(self._folder, b"tmp")
                self._tmp = self._keep(stack, self._folder, b"tmp")
            self._new = self._keep(stack, self._folder, b"new")
            self.device = os.fstat(self._new).st_dev
            self._descriptors = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._descriptors.close()

    def in_new(self, files: Mapping[bytes, bytes]) -> set[bytes]:
        """The names of those of these files (bytes by name) that lie in new/ as they should."""
        return {name for name, data in files.items() if _holds(self._new, name, data)}

    def in_cur(self, files: Mapping[bytes, bytes]) -> set[bytes]:
        """The names of those of these files that lie in cur/ as they should, whatever a reader put behind the name."""
        found: set[bytes] = set()
        try:
            cur = open_directory(self._folder, b"cur")
        except FileNotFoundError:
            return found  # nobody has read anything yet
        try:
            with os.scandir(cur) as entries:
                for entry in entries:
                    there = os.fsencode(entry.name)
                    fronts = (there[: end.start()] for end in _end_of_name.finditer(there))
                    name = next((front for front in fronts if front in files), None)
                    if name is not None and _holds(cur, there, files[name]):
                        found.add(name)
        finally:
            os.close(cur)
        return found

    def put(self, name: bytes, data: bytes, *, durable: bool) -> None:
        """Make new/NAME this file, in one step, whatever is there; from tmp/NAME if that is the file already.

        The latter needs no room on the disk. When durable, file and name are on the disk afterwards.
        """
        if not _holds(self._tmp, name, data):
            _write(self._tmp, name, data)
        if durable:
            _sync(self._tmp, name)
        os.rename(name, name, src_dir_fd=self._tmp, dst_dir_fd=self._new)
        if durable:
            os.fsync(self._new)

    @staticmethod
    def _keep(stack: ExitStack, parent: int, *path: bytes) -> int:
        fd = open_directory(parent, *path)
        stack.callback(os.close, fd)
        return fd


def _holds(directory: int, name: bytes, data: bytes) -> bool:
    """Whether there is such a file with these bytes. The length alone says nothing after a power cut."""
    try:
        fd = os.open(name, _FILE, dir_fd=directory)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False  # a symbolic link is no file of ours
    try:
        status = os.fstat(fd)
        return S_ISREG(status.st_mode) and status.st_size == len(data) and os.read(fd, len(data)) == data
    finally:
        os.close(fd)


def _write(directory: int, name: bytes, data: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    with os.fdopen(os.open(name, _NEW_FILE, 0o600, dir_fd=directory), "wb") as file:
        file.write(data)


def _sync(directory: int, name: bytes) -> None:
    fd = os.open(name, _FILE, dir_fd=directory)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
