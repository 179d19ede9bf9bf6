"""What a disk may hold after a power cut: the part that was synced, and any part of the rest.

The rules are those of POSIX and no kinder. Two kinds of things wait for a sync:

* **The bytes and the size of a file**, until fsync or fdatasync of that file, or syncfs. Every 512-byte sector may hold
  what was synced, what was written last, or anything written between; a block of 4096 that was being written may hold
  rubbish, also where it was synced before. The size may be the old one, the new one or one between, and where the size
  is there without the data are zeros. A name may be durable long before its data.
* **A change of one name in one directory**, until fsync of that directory, or syncfs. A sync of the file does not cover
  its name. A directory whose own name is lost takes all that is in it with it. A rename changes two names; that both
  change together, or in the order of other changes, is a promise that only some file systems make (see `ordered`).

A sync covers what was done before it began, not what was done while it ran.

What this does not cover: disks that lie about a flush, or lose what nobody was writing; writes through mmap, io_uring
or stdio; O_SYNC (it counts for nothing, which is the safe side);
directories that are renamed; permissions and times; file systems below the folder other than its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Final, Literal

from integration.powercut.recording import Event, Kind

SECTOR: Final = 512
BLOCK: Final = 4096
RUBBISH: Final = b"\xdb"
"""What fills a block that the power cut has spoilt."""

Fate = Literal["lost", "kept", "size"] | int
"""Of unsynced bytes: nothing is there, all is there, the size is there without the data, or torn by this seed."""


@dataclass(eq=False, slots=True)
class File:
    """`synced` is on the disk; `pending` are later writes, (place in the log, offset, bytes) or (place, size, None)."""

    number: int
    path: str = ""
    synced: bytes = b""
    pending: list[tuple[int, int, bytes | None]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.number}: {len(self.synced)} bytes and {len(self.pending)} writes, {self.path}"

    def sync(self, begun: int) -> None:
        """A sync that began there in the log has ended."""
        covered = sum(at < begun for at, _, _ in self.pending)
        self.synced = self._after(covered)
        del self.pending[:covered]

    def content(self, fate: Fate) -> bytes:
        """What is found after the power cut."""
        if fate == "lost":
            return self.synced
        last = self._after(len(self.pending))
        if fate == "kept":
            return last
        if fate == "size":
            return _resized(self.synced, len(last))
        return self._torn(last, Random(fate))  # noqa: S311 - wants a seed

    def _after(self, writes: int) -> bytes:
        """The bytes when so many of the pending writes were made."""
        content = bytearray(self.synced)
        for _, offset, data in self.pending[:writes]:
            if data is None:
                content = bytearray(_resized(content, offset))
            else:
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
        return bytes(content)

    def _torn(self, last: bytes, random: Random) -> bytes:
        """Each block, or each sector of it, from one of three moments or spoilt; a size that may not be the last."""
        between = self._after(random.randrange(len(self.pending) + 1))
        sizes = sorted((len(self.synced), len(last)))
        sources = [_resized(source, sizes[1]) for source in (self.synced, between, last)]
        if random.random() < 0.5:
            sources.append(RUBBISH * sizes[1])
        content = bytearray(sources[0])
        for block in self._touched(sizes[1]):
            step = random.choice((BLOCK, BLOCK, SECTOR))
            for start in range(block, block + BLOCK, step):
                content[start : start + step] = random.choice(sources)[start : start + step]
        between_sizes = max(sizes[0], random.randint(*sizes) // SECTOR * SECTOR)
        return _resized(content, random.choice((*sizes, len(last), between_sizes)))

    def _touched(self, size: int) -> list[int]:
        """Where the blocks begin that the pending writes change."""
        blocks = set[int]()
        for _, offset, data in self.pending:
            end = size if data is None else min(size, offset + len(data))
            blocks.update(range(offset // BLOCK * BLOCK, end, BLOCK))
        return sorted(blocks)


def _resized(content: bytes | bytearray, size: int) -> bytes:
    return bytes(content[:size]).ljust(size, b"\0")


@dataclass(eq=False, slots=True)
class Change:
    """`name` in `directory` becomes `node` (None: is gone). `twin` is the other name that a rename changes."""

    number: int
    at: int
    directory: Directory
    name: str
    node: Node | None
    twin: Change | None = None
    synced: bool = False

    def __str__(self) -> str:
        return f"{self.number}: {'+' if self.node else '-'} {self.directory.path}{self.name}"


@dataclass(eq=False, slots=True)
class Directory:
    """`synced` are the names on the disk, `now` those that the system shows, `pending` the changes between."""

    path: str
    synced: dict[str, Node] = field(default_factory=dict)
    now: dict[str, Node] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def change(self, change: Change) -> None:
        _enter(self.now, change)
        self.pending.append(change)

    def sync(self, begun: int) -> None:
        """A sync that began there in the log has ended."""
        while self.pending and self.pending[0].at < begun:
            change = self.pending.pop(0)
            change.synced = True
            _enter(self.synced, change)

    def names(self, kept: Collection[int]) -> dict[str, Node]:
        """The names that are found after the power cut when these pending changes were made."""
        names = dict(self.synced)
        for change in self.pending:
            if change.number in kept:
                _enter(names, change)
        return names


Node = File | Directory


def _enter(names: dict[str, Node], change: Change) -> None:
    if change.node is None:
        names.pop(change.name, None)
    else:
        names[change.name] = change.node


@dataclass(frozen=True, slots=True)
class State:
    """What is found after a power cut, by paths below the folder: directories, and files with their number."""

    directories: tuple[str, ...]
    files: Mapping[str, tuple[int, bytes]]

    def __hash__(self) -> int:
        return hash((self.directories, frozenset(self.files.items())))

    def write(self, folder: Path) -> None:
        """Make a folder that is so; what had two names there has two names here."""
        folder.mkdir(0o700)
        for path in self.directories:
            (folder / path).mkdir(0o700)
        made: dict[int, Path] = {}
        for path, (number, content) in self.files.items():
            if number in made:
                (folder / path).hardlink_to(made[number])
            else:
                made[number] = folder / path
                made[number].write_bytes(content)


class Disk:
    """Follows a recording; at any moment it can say what a power cut may leave. What is there at first is synced."""

    def __init__(self, folder: Path) -> None:
        self._numbers = count(1)
        self._nodes: dict[int, Node] = {}
        self._root = self._scan(folder, "")

    def _scan(self, folder: Path, path: str) -> Directory:
        directory = self._nodes[folder.stat().st_ino] = Directory(path)
        for entry in folder.iterdir():
            if entry.is_dir():
                node: Node = self._scan(entry, f"{path}{entry.name}/")
            else:
                node = File(next(self._numbers), f"{path}{entry.name}", entry.read_bytes())
                node = self._nodes.setdefault(entry.stat().st_ino, node)
            directory.synced[entry.name] = directory.now[entry.name] = node
        return directory

    def apply(self, event: Event) -> None:
        """Go on by one event."""
        match event.kind:
            case Kind.CREATE | Kind.MKDIR | Kind.LINK:
                self._name(event)
            case Kind.NAMELESS:
                self._nodes[event.first] = File(next(self._numbers))
            case Kind.UNLINK:
                self._change(event, event.first, event.one, None)
            case Kind.RENAME:
                node = self._directory(event.first).now[event.one.decode()]
                old = self._change(event, event.first, event.one, None)
                new = self._change(event, event.second, event.two, node)
                old.twin, new.twin = new, old
            case Kind.WRITE:
                self._file(event.first).pending.append((event.at, event.second, event.one))
            case Kind.RESIZE:
                self._file(event.first).pending.append((event.at, event.second, None))
            case Kind.SYNC:
                for node in [self._nodes[event.first]] if event.first else self._nodes.values():
                    node.sync(event.second)
            case Kind.ACKNOWLEDGE:
                pass

    def unsynced_names(self) -> list[Change]:
        """All changes of names that a power cut may undo, in order."""
        directories = [node for node in self._nodes.values() if isinstance(node, Directory)]
        changes = [change for directory in directories for change in directory.pending]
        return sorted(changes, key=lambda change: change.number)

    def unsynced_files(self) -> list[File]:
        """All files that have, or had, a name and of which a power cut may take something."""
        files = [node for node in self._nodes.values() if isinstance(node, File)]
        return [file for file in files if file.pending and file.path]

    def state(self, names: Collection[int], fates: Mapping[int, Fate]) -> State:
        """What is found when these changes of names were made; the bytes of files not in `fates` are lost."""
        directories: list[str] = []
        files: dict[str, tuple[int, bytes]] = {}

        def descend(directory: Directory) -> None:
            for name, node in sorted(directory.names(names).items()):
                path = f"{directory.path}{name}"
                if isinstance(node, Directory):
                    directories.append(path)
                    descend(node)
                else:
                    files[path] = (node.number, node.content(fates.get(node.number, "lost")))

        descend(self._root)
        return State(tuple(directories), files)

    def _name(self, event: Event) -> None:
        """A name for something new, or one more for something that is there."""
        name = event.one.decode()
        if event.kind is Kind.CREATE:
            self._nodes[event.first] = File(next(self._numbers))
        elif event.kind is Kind.MKDIR:
            self._nodes[event.first] = Directory(f"{self._directory(event.second).path}{name}/")
        node = self._nodes[event.first]
        if isinstance(node, File):
            node.path = f"{self._directory(event.second).path}{name}"
        self._change(event, event.second, event.one, node)

    def _change(self, event: Event, inode: int, name: bytes, node: Node | None) -> Change:
        directory = self._directory(inode)
        change = Change(next(self._numbers), event.at, directory, name.decode(), node)
        directory.change(change)
        return change

    def _directory(self, inode: int) -> Directory:
        node = self._nodes[inode]
        assert isinstance(node, Directory)
        return node

    def _file(self, inode: int) -> File:
        node = self._nodes[inode]
        assert isinstance(node, File)
        return node


def ordered(changes: Collection[Change], kept: Collection[Change]) -> Iterator[Change]:
    """What else is kept of the pending changes on a journalled file system, if these are.

    There, a rename is made as a whole, also when only one of its directories was synced, and the changes of a directory
    are made in order.
    """
    until: dict[Directory, int] = {}
    wanted = [*kept, *(change for change in changes if change.twin is not None and change.twin.synced)]
    while wanted:
        change = wanted.pop()
        done = until.get(change.directory, 0)
        if change.number <= done:
            continue
        until[change.directory] = change.number
        earlier = (other for other in change.directory.pending if done < other.number <= change.number)
        wanted += [other.twin for other in earlier if other.twin is not None and not other.twin.synced]
    return (change for change in changes if change.number <= until.get(change.directory, 0))
