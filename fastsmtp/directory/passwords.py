"""Passwords are checked in a thread, one after the other, and never more at once than a flood of them may cost."""

import asyncio
import hmac
import os
import secrets
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from argon2 import Parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from fastsmtp.directory.schemes import SALT_BYTES, SCRAM_ITERATIONS, bare, matches, unmatchable
from fastsmtp.errors import PasswordsBusyError, UnknownSchemeError
from fastsmtp.smtp.sasl import ScramKeys

__all__ = ["PasswordChecker", "site_secret"]

_MACHINE_ID: Final = Path("/etc/machine-id")
_NICENESS: Final = 10


class PasswordChecker:
    """Implements `Passwords`. One password is checked at a time, `waiting` more may stand in line.

    `parameters` are those of nobody's hash, so that whoever is not there takes as long as whoever has one of ours.
    `secret` makes the SCRAM keys of those who have none; it stays the same, or they would show by their salt.
    """

    def __init__(
        self, *, waiting: int = 8, parameters: Parameters = RFC_9106_LOW_MEMORY, secret: bytes | None = None
    ) -> None:
        self._most = 1 + waiting
        self._under_way: set[Future[bool]] = set()
        self._nobodys_hash = unmatchable(parameters)
        self._secret = site_secret() if secret is None else secret
        self._thread = ThreadPoolExecutor(1, "passwords", initializer=_step_back)

    @property
    def is_busy(self) -> bool:
        """Whether nobody more may stand in line."""
        return len(self._under_way) >= self._most

    def check(self, password: str, password_hash: str | None) -> "asyncio.Future[bool]":
        """Whether this is the password. Raises PasswordsBusyError now, UnknownSchemeError when awaited."""
        if self.is_busy:
            raise PasswordsBusyError("too many passwords are being checked")
        checked = self._thread.submit(self._check, password, password_hash)
        self._under_way.add(checked)
        checked.add_done_callback(self._under_way.discard)  # in the thread: a password is under way until it is through
        return asyncio.wrap_future(checked)

    def scram_keys(self, user: str, password_hash: str | None) -> ScramKeys:
        """The keys in a hash; for whoever has none, keys that fit no password, the same each time."""
        salt, stored_key, server_key = (
            hmac.digest(self._secret, f"{part}:{user}".encode(), "sha256") for part in ("salt", "stored", "server")
        )
        keys = ScramKeys(salt[:SALT_BYTES], SCRAM_ITERATIONS, stored_key, server_key)
        with suppress(ValueError):
            keys = ScramKeys.parse(bare(password_hash or ""))
        return keys

    def close(self) -> None:
        """Check nothing more; whoever waits is told by a cancelled future."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _check(self, password: str, password_hash: str | None) -> bool:
        """In the thread. Whatever comes of it, one hash is computed."""
        try:
            return matches(password, password_hash or self._nobodys_hash) and password_hash is not None
        except UnknownSchemeError:
            matches(password, self._nobodys_hash)
            raise


def site_secret() -> bytes:
    """The same for all workers and after a restart, and known to nobody outside of this machine (machine-id(5))."""
    try:
        machine_id = _MACHINE_ID.read_bytes().strip()
    except OSError:
        machine_id = b""
    return hmac.digest(machine_id, b"fastsmtp scram", "sha256") if machine_id else secrets.token_bytes(32)


def _step_back() -> None:
    """Let the event loop go first: a nice value is a thread's own on Linux, and those that argon2 starts inherit it."""
    with suppress(OSError):  # a sandbox that forbids it forbids no passwords
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
