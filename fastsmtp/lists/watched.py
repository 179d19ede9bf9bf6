"""A file that a plugin reads, and reads again when it has changed: nobody has to restart or reload for a list.

What cannot be read leaves what there was before, and a line in the log.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, TypeVar

from fastsmtp.errors import PluginLoadError

__all__ = ["INTERVAL_S", "WatchedFile"]

T = TypeVar("T")

INTERVAL_S: Final = 1.0
"""How often a file is looked at: one stat() in a thread, so that a network file system may hang."""

_Signature = tuple[int, int, int]

_log = logging.getLogger("fastsmtp.lists")


class WatchedFile(Generic[T]):
    """`value` is what `read` made of the file when it was last sound; without a file, what `read` makes of None.

    `read` raises OSError, or ValueError with what is wrong in it. A plugin makes one in `__init__`, where that is a
    PluginLoadError, which `fastsmtp check` shows; it calls `start` in its own `start`, and `stop` in its `stop`.
    """

    def __init__(self, path: Path | None, read: Callable[[Path | None], T]) -> None:
        self.path = path
        self._read = read
        self._task: asyncio.Task[None] | None = None
        try:
            self._tried = _signature(path)
            self.value = read(path)
        except OSError as error:
            raise PluginLoadError(f"{path} cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise PluginLoadError(str(error).splitlines()) from error
        self._last = self._tried
        self._is_away = False

    def start(self) -> None:
        """From now on the file is looked at, about once a second."""
        if self.path is not None:
            self._task = asyncio.create_task(self._watch(), name=f"watches {self.path}")

    async def stop(self) -> None:
        """No more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> bool:
        """Look now; whether `value` is new.

        A change counts once it has been the same at two looks: what is written in place is not read half. (Whoever
        renames a finished file over the old one is safe in any case.)
        """
        try:
            signature = await asyncio.to_thread(_signature, self.path)
        except OSError as error:
            if not self._is_away:
                self._is_away = True
                self._complain([f"cannot be read: {error.strerror or error}"])
            return False
        is_settled, self._last = signature == self._last, signature
        if not is_settled or (signature == self._tried and not self._is_away):
            return False
        self._tried, self._is_away = signature, False
        try:
            self.value = await asyncio.to_thread(self._read, self.path)
        except OSError as error:
            self._complain([f"cannot be read: {error.strerror or error}"])
        except ValueError as error:
            self._complain(str(error).splitlines())
        else:
            _log.info("list read again", extra={"file": str(self.path)})
            return True
        return False

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.look()

    def _complain(self, problems: list[str]) -> None:
        """Once for each state of the file, not at every look."""
        extra = {"file": str(self.path), "error": "; ".join(problems)}
        _log.error("list not read, the last good one stays", extra=extra)


def _signature(path: Path | None) -> _Signature:
    """What is another one after a change: the file behind links, its size, its time of change."""
    if path is None:
        return 0, 0, 0
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
