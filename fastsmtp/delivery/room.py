"""How much room the file system of the mail root has: looked at once a second, so that no message has to."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Final

from fastsmtp.smtp.options import Room
from fastsmtp.stats import Stats

__all__ = ["RoomWatch"]

_LOOK_EVERY_S: Final = 1.0
_NO_ROOM: Final = -1

logger = logging.getLogger("fastsmtp.delivery")


class RoomWatch:
    """Keeps `room` up to date: what is free in the file system of `root` above the reserve.

    `reserve` is in octets; with `reserve_inodes` inodes or fewer left there is no room at all. A file system that does
    not count inodes has enough of them.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        root: Path,
        room: Room,
        reserve: int,
        reserve_inodes: int,
        stats: Stats,
    ) -> None:
        self._loop = loop
        self._root = root
        self._room = room
        self._reserve = reserve
        self._reserve_inodes = reserve_inodes
        self._cells = stats.cells
        self._free_bytes = stats.cell(
            stats.gauge(
                "fastsmtp_store_free_bytes",
                "Bytes free in the file system of the mail root, the reserve included.",
                merge="least",
            )
        )
        self._free_inodes = stats.cell(
            stats.gauge(
                "fastsmtp_store_free_inodes",
                "Inodes free in the file system of the mail root, the reserve included; -1 where they are not counted.",
                merge="least",
            )
        )
        self._timer: asyncio.TimerHandle | None = None
        self._problem = ""

    def start(self) -> None:
        """Look now, and once a second from now on."""
        self.look()
        self._timer = self._loop.call_later(_LOOK_EVERY_S, self.start)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """See how much room there is. The log hears of the first second of a shortage, and of the first after it."""
        try:
            found = os.statvfs(self._root)
        except OSError as error:
            self._tell(f"cannot be looked at: {error.strerror}")  # what is stored will say more than we can guess
            return
        # A strange file system may count further than a cell does.
        free = min(found.f_bavail * found.f_frsize, sys.maxsize)
        inodes = min(found.f_favail, sys.maxsize) if found.f_files else -1
        self._cells[self._free_bytes] = free
        self._cells[self._free_inodes] = inodes
        if free <= self._reserve:
            self._room.octets = _NO_ROOM
            self._tell("is short of space: mail is deferred")
        elif found.f_files and inodes <= self._reserve_inodes:
            self._room.octets = _NO_ROOM
            self._tell("is short of inodes: mail is deferred")
        else:
            self._room.octets = free - self._reserve
            self._tell("")

    def _tell(self, problem: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        free = {"free_bytes": self._cells[self._free_bytes], "free_inodes": self._cells[self._free_inodes]}
        if problem:
            logger.error("the mail root %s", problem, extra=free)
        else:
            logger.info("the mail root is fine again", extra=free)
