"""Whom an operator blocks: entries of the options, of a file and of lists in the directory, as if they stood in one."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fastsmtp.lists.addresses import AddressEntry, AddressList, find_in, parse_address_entry
from fastsmtp.lists.lines import read_entries
from fastsmtp.lists.stored import StoredList
from fastsmtp.lists.watched import WatchedFile
from fastsmtp.ports import StoredLists
from fastsmtp.smtp.address import Address

__all__ = ["BlockList"]


class BlockList:
    """File and lists are kept up to date from `start` to `stop`; `stored` names the lists.

    Raises PluginLoadError for a file that cannot be read.
    """

    def __init__(
        self, entries: Iterable[AddressEntry], file: Path | None, stored: Sequence[str], *, subdomains: bool
    ) -> None:
        self._entries = tuple(entries)
        self._subdomains = subdomains
        self._file = WatchedFile(file, self._read)
        self._stored = tuple(StoredList(name, subdomains=subdomains) for name in stored)

    async def start(self, lists: StoredLists) -> None:
        """Raises DirectoryError when a list cannot be read."""
        for stored in self._stored:
            await stored.start(lists)
        self._file.start()

    async def stop(self) -> None:
        """None of them is looked at any more."""
        await self._file.stop()
        for stored in self._stored:
            await stored.stop()

    def find(self, address: Address) -> AddressEntry | None:
        """The entry by which an address is meant, or None. An exception counts wherever it stands."""
        if not self._stored:
            return self._file.value.find(address)
        return find_in((self._file.value, *(stored.value for stored in self._stored)), address)

    def _read(self, file: Path | None) -> AddressList:
        return AddressList([*self._entries, *read_entries(file, parse_address_entry)], subdomains=self._subdomains)
