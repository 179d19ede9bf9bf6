"""Sockets to listen on, bound and not listening yet; whoever binds one also lets go of it."""

import errno
import grp
import os
import pwd
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.places import Door, ListenAddress, SystemdAddress, UnixAddress
from fastsmtp.errors import StartError

__all__ = ["NO_CHANGE", "BoundSocket", "Owner", "bind", "set_owner_and_mode", "unix_faults"]

_SEND_BYTES: Final = 65_536
_PROBE_S: Final = 1.0

_PATIENCE_S: Final = 1.0
"""How long the workers of a server that was killed may need to be dead."""

_AGAIN_S: Final = 0.05


Owner: TypeAlias = tuple[int, int]
NO_CHANGE: Final[Owner] = (-1, -1)


@dataclass(frozen=True, slots=True)
class BoundSocket:
    """A socket with what it is bound to. `inode` is what a Unix socket is called by the file system, (0, 0) for TCP."""

    socket: socket.socket
    address: Door
    inode: tuple[int, int] = (0, 0)

    def close(self) -> None:
        """Close it; the file of a Unix socket goes too, unless it is somebody else's by now."""
        self.socket.close()
        self.remove_file()

    def remove_file(self) -> None:
        """Remove the file of a Unix socket, unless it is somebody else's by now."""
        if isinstance(self.address, UnixAddress):
            with suppress(OSError):  # what is not there, or not ours to remove, is nobody's trouble at the end
                if _inode(self.address.path) == self.inode:
                    self.address.path.unlink()


def bind(entry: ListenerEntry, beside: BoundSocket | None = None, default_owner: Owner = NO_CHANGE) -> BoundSocket:
    """A bound socket for this listener; on TCP it may be one more `beside` another one of ours.

    Raises StartError saying which address and why not. A Unix socket for which nobody is named belongs to
    `default_owner`, user and group.
    """
    if isinstance(entry.address, UnixAddress):
        return _bind_unix(entry, entry.address, default_owner)
    if isinstance(entry.address, SystemdAddress):
        raise StartError(f"{entry.address}: only systemd can make its sockets")
    if beside is not None and isinstance(beside.address, ListenAddress):
        return _bind_tcp(beside.address)
    _check_free(entry.address)
    return _bind_tcp(entry.address)


def _check_free(address: ListenAddress) -> None:
    """With SO_REUSEPORT the kernel would let us listen beside another server of the same user. Raises StartError."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _bind_tcp(address, may_share=False).close()
        except StartError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
        time.sleep(_AGAIN_S)


def _bind_tcp(address: ListenAddress, *, may_share: bool = True) -> BoundSocket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, may_share)
        # What is accepted inherits it. Replies are small; who does not read them shall not have 4 MiB of the kernel.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # 0.0.0.0 has its own socket
        bound.setblocking(False)
        bound.bind(where)
    except OSError as error:
        bound.close()
        raise _refused(address, error) from error
    host, port = bound.getsockname()[:2]
    return BoundSocket(bound, ListenAddress(host, port))


def _bind_unix(entry: ListenerEntry, address: UnixAddress, default_owner: Owner) -> BoundSocket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(address)
        bound.setblocking(False)
        # Linux makes the file with the mode of the socket (and takes the umask off): nobody gets in too early.
        os.fchmod(bound.fileno(), 0)
        bound.bind(str(address.path))
        inode = _inode(address.path)
    except OSError as error:
        bound.close()
        raise _refused(address, error) from error
    made = BoundSocket(bound, address, inode)
    try:
        set_owner_and_mode(entry, address, default_owner)
    except StartError:
        made.close()
        raise
    return made


def set_owner_and_mode(entry: ListenerEntry, address: UnixAddress, default_owner: Owner = NO_CHANGE) -> None:
    """Say who may connect to a Unix socket. Raises StartError."""
    owner, group = _owner(entry), _group(entry)
    try:
        # Root may do this in the folder of somebody else: what is meant is this file, not what a link leads to.
        fd = os.open(address.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            file = f"/proc/self/fd/{fd}"
            owner, group = (default_owner[0] if owner == -1 else owner), (default_owner[1] if group == -1 else group)
            if (owner, group) != NO_CHANGE:
                os.chown(file, owner, group)
            os.chmod(file, entry.socket_mode)  # noqa: PTH101 - no path that anybody else would know
        finally:
            os.close(fd)
    except OSError as error:
        raise StartError(f"cannot give {address} its owner and mode: {os.strerror(error.errno or 0)}") from error


def unix_faults(entry: ListenerEntry) -> Iterator[str]:
    """What would keep a Unix socket from being made, as far as that can be seen without making it."""
    if isinstance(entry.address, UnixAddress):
        folder = entry.address.path.parent
        if not folder.is_dir():
            yield f"cannot listen on {entry.address}: there is no folder {folder}; make it, or change the address"
        for look_up in (_owner, _group):
            try:
                look_up(entry)
            except StartError as error:
                yield str(error)


def _remove_stale(address: UnixAddress) -> None:
    """Remove a socket that nobody listens on any more. Raises OSError where there is anything else."""
    try:
        if not stat.S_ISSOCK(address.path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(address.path))
        except ConnectionRefusedError:
            address.path.unlink()
            return
        except TimeoutError:
            pass  # its backlog is full: somebody is there
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _refused(address: Door, error: OSError) -> StartError:
    """What to tell the operator."""
    if isinstance(address, UnixAddress) and error.errno == errno.ENOENT:
        return StartError(f"cannot listen on {address}: there is no folder {address.path.parent}; make it")
    reason = os.strerror(error.errno or 0)
    return StartError(f"cannot listen on {address}: {reason}; change the address, or end what is there")


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _owner(entry: ListenerEntry) -> int:
    try:
        return pwd.getpwnam(entry.socket_user).pw_uid if entry.socket_user else -1
    except KeyError:
        raise StartError(f"{entry.address}: there is no user {entry.socket_user!r}; change socket_user") from None


def _group(entry: ListenerEntry) -> int:
    try:
        return grp.getgrnam(entry.socket_group).gr_gid if entry.socket_group else -1
    except KeyError:
        raise StartError(f"{entry.address}: there is no group {entry.socket_group!r}; change socket_group") from None
