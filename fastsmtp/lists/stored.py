"""A list that the operator keeps in the directory's database, read again when somebody has changed it.

What cannot be read leaves what there was before, and a line in the log.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from fastsmtp.errors import DirectoryError
from fastsmtp.lists.addresses import AddressEntry, AddressList, parse_address_entry
from fastsmtp.lists.lines import parse_entries
from fastsmtp.ports import ListRow, StoredLists, StoredRows

__all__ = ["INTERVAL_S", "StoredList", "parse_rows"]

INTERVAL_S: Final = 2.0
"""How often the database is asked whether the list is another one."""

_log = logging.getLogger("fastsmtp.lists")


def parse_rows(name: str, rows: Sequence[ListRow]) -> list[AddressEntry]:
    """The entries of a list. Raises ValueError with all that is wrong, a line for each problem."""
    source = f"the list {name} in the directory"
    lines = ((f"{source}, entry {row.entry!r}", row.entry.strip()) for row in rows)
    entries = parse_entries(source, lines, parse_address_entry)
    return [entry._replace(reason=row.reason or entry.reason) for entry, row in zip(entries, rows, strict=True)]


class StoredList:
    """`value` is what the list was when it was last sound; nobody before `start`."""

    def __init__(self, name: str, *, subdomains: bool = True) -> None:
        self.name = name
        self.value = AddressList()
        self._subdomains = subdomains
        self._found: StoredRows | None = None
        self._is_away = False
        self._task: asyncio.Task[None] | None = None

    async def start(self, lists: StoredLists) -> None:
        """Read it, and look at it from now on. Raises DirectoryError, also when an entry is none."""
        self._found = found = await lists.rows(self.name)
        try:
            self.value = await asyncio.to_thread(self._made, found)
        except ValueError as error:
            raise DirectoryError(str(error)) from error
        self._task = asyncio.create_task(self._watch(lists), name=f"watches the list {self.name}")

    async def stop(self) -> None:
        """No more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def look(self, lists: StoredLists) -> bool:
        """Look now; whether `value` is new."""
        before = self._found
        try:
            found = await lists.rows(self.name, before)
        except DirectoryError as error:
            if not self._is_away:
                self._is_away = True
                self._complain(error)
            return False
        if self._is_away:
            self._is_away = False
            _log.info("list can be read again", extra={"list": self.name})
        self._found = found
        if before is not None and found.rows == before.rows:
            return False
        try:
            self.value = await asyncio.to_thread(self._made, found)
        except ValueError as error:
            self._complain(error)
            return False
        _log.info("list read again", extra={"list": self.name, "entries": len(found.rows)})
        return True

    async def _watch(self, lists: StoredLists) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.look(lists)

    def _made(self, found: StoredRows) -> AddressList:
        return AddressList(parse_rows(self.name, found.rows), subdomains=self._subdomains)

    def _complain(self, error: Exception) -> None:
        """Once for each outage and for each state of the list, not at every look."""
        extra = {"list": self.name, "error": "; ".join(str(error).splitlines())}
        _log.error("list not read, the last good one stays", extra=extra)
