"""Changes the lists of the plugins block_sender and block_recipient."""

from typing import Final

from fastsmtp.directory.admin_finder import Finder
from fastsmtp.directory.admin_rows import BlockRow, DuplicateError, UnknownEntryError
from fastsmtp.directory.names import BadEntryError
from fastsmtp.directory.stored_lists import ROWS
from fastsmtp.lists.addresses import AddressEntry, parse_address_entry
from fastsmtp.lists.lines import ENTRY_CHARS

__all__ = ["LISTS", "BlockAdmin"]

LISTS: Final = ("sender", "recipient")

_REASON_CHARS: Final = 255


class BlockAdmin(Finder):
    """Each change is a transaction of its own. Every method raises DirectoryError when the database cannot be used.

    Entries are compared by what they mean: `Ann@Example.org` is `ann@example.org`.
    """

    def add_block(self, name: str, entry: str, reason: str = "") -> BlockRow:
        """Put an entry on the list of this name. Raises BadEntryError, DuplicateError."""
        wanted = _read(entry)
        if not reason.isprintable() or len(reason) > _REASON_CHARS:
            raise BadEntryError(f"a reason is one line of at most {_REASON_CHARS} printable characters")
        row = BlockRow(name, entry.strip(), reason)
        with self._database.changing():
            if same := self._same(name, wanted):
                raise DuplicateError(f"{same[0]} is on the list {name} already")
            self._database.execute("INSERT INTO block_entry (list, entry, reason) VALUES (?, ?, ?)", *row)
        return row

    def list_blocks(self, name: str | None = None) -> list[BlockRow]:
        """The entries of one list or of all, in their order."""
        with self._database.reading():
            return [
                BlockRow(each, entry, reason)
                for each in ([name] if name else LISTS)
                for entry, reason in self._database.execute(ROWS, each)
            ]

    def remove_block(self, name: str, entry: str) -> None:
        """Take an entry from a list, in whatever spelling. Raises BadEntryError, UnknownEntryError."""
        wanted = _read(entry)
        with self._database.changing():
            same = self._same(name, wanted)
            if not same:
                raise UnknownEntryError(f"{entry.strip()} is not on the list {name}")
            doomed = [(name, stored) for stored in same]
            self._database.execute_many("DELETE FROM block_entry WHERE list = ? AND entry = ?", doomed)

    def _same(self, name: str, wanted: AddressEntry) -> list[str]:
        """Those that mean the same, as they are stored; what others wrote may be no entry at all, and be removed."""
        stored = (entry for entry, _ in self._database.execute(ROWS, name))
        return [entry for entry in stored if _means(entry) == _meaning(wanted)]


def _read(text: str) -> AddressEntry:
    entry = text.strip()
    if not entry.isprintable() or len(entry) > ENTRY_CHARS:
        raise BadEntryError(f"{entry!r}: an entry has at most {ENTRY_CHARS} characters, all of them printable")
    try:
        found = parse_address_entry(entry)
    except ValueError as error:
        raise BadEntryError(str(error)) from error
    if found.reason:
        raise BadEntryError(f"{entry!r}: there is something behind {found.text}; a reason is given on its own")
    return found


def _meaning(entry: AddressEntry) -> tuple[bool, str, str]:
    return entry.excepts, entry.kind, entry.key


def _means(stored: str) -> tuple[bool, str, str] | None:
    try:
        return _meaning(parse_address_entry(stored.strip()))
    except ValueError:
        return None
