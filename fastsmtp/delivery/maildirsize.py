"""The file `maildirsize` of a mailbox: how much there is in it, kept together with IMAP servers (Maildir++ quota).

    10485760S           the quota: octets (S), maybe also messages (C)
    52118 12            what was counted: octets, messages
    2044 1              what came since, one line each ...
    -2044 -1            ... and what went

Whoever changes the mailbox appends a line; whoever does not trust the file counts the messages and writes a new one.
All of it is approximate by design: nobody holds a lock.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from stat import S_ISREG
from typing import Final, NamedTuple

from fastsmtp.delivery.mailbox import open_directory

__all__ = [
    "BYTES",
    "NAME",
    "NOTHING",
    "Sizes",
    "Stamp",
    "Usage",
    "append",
    "count",
    "look",
    "open_mailbox",
    "parse",
    "read",
    "write",
]

NAME: Final = "maildirsize"
BYTES: Final = 5120
"""A longer file has too many lines: it is time to count again."""

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_limit = re.compile(rb"([0-9]{1,19})([A-Z])")
_line = re.compile(rb"[ \t]*(-?[0-9]{1,19})[ \t]+(-?[0-9]{1,19})[ \t]*")  # Courier pads with blanks
_size_in_name = re.compile(r",S=([0-9]{1,19})(?=[:,]|\Z)")


class Stamp(NamedTuple):
    """What of a file is different after every change."""

    inode: int
    mtime_ns: int
    length: int


class Usage(NamedTuple):
    """What is in a mailbox, all of its folders together."""

    bytes: int
    messages: int


NOTHING: Final = Usage(0, 0)


class Sizes(NamedTuple):
    """What a maildirsize file says; `quota_bytes` is None where it sets no limit in octets."""

    quota_bytes: int | None
    usage: Usage


@contextmanager
def open_mailbox(root: int, domain: str, user: str) -> Iterator[int]:
    """The descriptor of a mailbox below the root, which is one too; no symbolic link is followed.

    Raises OSError, FileNotFoundError among them; ValueError for what is no name of a folder.
    """
    path = domain.encode(), user.encode()
    for part in path:
        if part in (b"", b".", b"..") or b"/" in part or b"\0" in part:
            raise ValueError(f"{part!r} is no name of a folder")
    fd = open_directory(root, *path)
    try:
        yield fd
    finally:
        os.close(fd)


def parse(content: bytes) -> Sizes:
    """What the file says. Raises ValueError where that is nothing to rely on."""
    first, *lines = content.split(b"\n")
    if len(lines) < 2 or lines.pop():  # behind the last line end is nothing, or half a line
        raise ValueError("not a limit and at least one count, with line ends")
    limits: dict[bytes, int] = {}
    for part in first.split(b","):
        limit = _limit.fullmatch(part)
        if limit is None:
            raise ValueError(f"{part!r} is no limit")
        limits[limit[2]] = int(limit[1])
    octets = messages = 0
    for line in lines:
        found = _line.fullmatch(line)
        if found is None:
            raise ValueError(f"{line!r} is no count")
        octets += int(found[1])
        messages += int(found[2])
    if octets < 0 or messages < 0:
        raise ValueError("there is less than nothing")
    return Sizes(limits.get(b"S") or None, Usage(octets, messages))


def read(mailbox: int) -> tuple[Sizes, Stamp] | None:
    """What the file of this mailbox (a descriptor) says, and its stamp; None: there is none that one could rely on."""
    try:
        fd = os.open(NAME, _READ, dir_fd=mailbox)
    except OSError:
        return None  # whatever it is: counting will replace it, or say why it cannot
    try:
        status = os.fstat(fd)  # before the content, so that a line in between shows as a change
        content = os.read(fd, BYTES + 1) if S_ISREG(status.st_mode) else b""
        return (parse(content), _stamp(status)) if len(content) <= BYTES else None
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)


def look(root: int, domain: str, user: str) -> Stamp | None:
    """The stamp of a file that was read before; None when it is not there."""
    try:
        return _stamp(os.stat(f"{domain}/{user}/{NAME}".encode(), dir_fd=root, follow_symlinks=False))
    except OSError:
        return None


def append(mailbox: int, octets: int, messages: int) -> tuple[int, Stamp]:
    """Add a line; how long it is, and the stamp of the file behind it. Raises OSError."""
    line = b"%d %d\n" % (octets, messages)
    fd = os.open(NAME, _APPEND, dir_fd=mailbox)
    try:
        # In one call, so that lines of several processes stand behind each other. Half a line means counting again.
        return os.write(fd, line), _stamp(os.fstat(fd))
    finally:
        os.close(fd)


def write(mailbox: int, sizes: Sizes) -> Stamp:
    """Replace the file as a whole; its stamp. Raises OSError."""
    name = f"{NAME}.{os.getpid()}.{token_hex(8)}"
    tmp = open_directory(mailbox, "tmp")
    try:
        with os.fdopen(os.open(name, _CREATE, 0o600, dir_fd=tmp), "wb") as file:
            file.write(b"%dS\n%d %d\n" % (sizes.quota_bytes or 0, *sizes.usage))
            file.flush()
            stamp = _stamp(os.fstat(file.fileno()))
        os.rename(name, NAME, src_dir_fd=tmp, dst_dir_fd=mailbox)
    except OSError:
        with suppress(OSError):  # what stays is a stray file for the sweep
            os.unlink(name, dir_fd=tmp)
        raise
    finally:
        os.close(tmp)
    return stamp


def count(mailbox: int) -> Usage:
    """What there is in `cur` and `new` of the mailbox and of its folders (`.Sent`). Blocks; raises OSError."""
    sizes = list(_sizes(mailbox))
    with os.scandir(mailbox) as entries:
        folders = [entry.name for entry in entries if entry.name.startswith(".")]
    for name in folders:
        with _open_below(mailbox, name) as folder:
            if folder is not None:
                sizes += _sizes(folder)
    return Usage(sum(sizes), len(sizes))


def _sizes(folder: int) -> Iterator[int]:
    # In this order a message that is being read is missed at worst, and never counted twice.
    for leaf in ("cur", "new"):
        with _open_below(folder, leaf) as directory:
            if directory is None:
                continue
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
                        continue
                    named = _size_in_name.search(entry.name)
                    if named is not None:
                        yield int(named[1])
                    else:
                        with suppress(FileNotFoundError):  # deleted, or renamed by who reads it
                            yield entry.stat(follow_symlinks=False).st_size


@contextmanager
def _open_below(parent: int, name: str) -> Iterator[int | None]:
    """None where it is not there, or no directory, or a symbolic link. Raises OSError."""
    fd = None
    try:
        fd = open_directory(parent, name)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_mtime_ns, status.st_size)
