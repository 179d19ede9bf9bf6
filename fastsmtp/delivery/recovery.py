"""After a crash: every message that the journal has, and no checkpoint covers, is put where it belongs."""

import errno
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, NamedTuple

from fastsmtp._maildir import Delivery, missing, sync_file_system
from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.journal import CHECKPOINT, SEGMENT_FILES, rings
from fastsmtp.delivery.mailbox import Mailbox, make_directory, open_directory
from fastsmtp.delivery.records import EVERYTHING, Copy, Damage, Position, Record, read_records
from fastsmtp.errors import StartError

__all__ = ["LOST_AND_FOUND", "Outcome", "Recovered", "Restorer", "recover"]

LOST_AND_FOUND: Final = b".lost+found"

Outcome = Literal["present", "restored", "lost"]
"""A copy lay in its mailbox already; was put there; or went to lost+found, because it has no mailbox any more."""

Progress = Callable[[int, int], None]

_Address = tuple[bytes, bytes]
_Files = dict[bytes, bytes]

# What is short for one mailbox is short for all: no reason to put a message elsewhere.
_SHORTAGES: Final = {errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE}

logger = logging.getLogger("fastsmtp.delivery")


class Recovered(NamedTuple):
    """How many records were read, what became of their copies, and how many places could not be read."""

    records: int = 0
    present: int = 0
    restored: int = 0
    lost: int = 0
    damaged: int = 0


class Restorer:
    """Puts copies into mailboxes from where a delivery was interrupted; doing it again changes nothing.

    `root` is a descriptor of the directory that holds the domains. Unless `durable`, the file system of the root is
    left for the caller to sync; what lies on another one is synced at once in any case.
    """

    def __init__(self, root: int, *, durable: bool = True) -> None:
        self._root = root
        self._device = None if durable else os.fstat(root).st_dev

    def restore(self, copy: Copy, content: bytes | memoryview | Iterable[bytes]) -> Outcome:
        """See to it that this copy is in its mailbox, or in lost+found when it has none. May block for long.

        Raises OSError when neither is possible now.
        """
        pieces = [content] if isinstance(content, bytes | memoryview) else content
        files = {copy.name: b"".join([copy.head, *pieces])}
        (outcome,) = self.restore_files(copy.domain, copy.user, files)
        return outcome

    def restore_files(self, domain: bytes, user: bytes, files: Mapping[bytes, bytes]) -> Counter[Outcome]:
        """The same as `restore` for many files (bytes by name) of a mailbox: how many had which outcome."""
        outcomes: Counter[Outcome] = Counter()
        left = dict(files)
        try:
            with Mailbox(self._root, domain, user) as mailbox:
                for name in self._in_place(mailbox, left):
                    del left[name]
                    outcomes["present"] += 1
                for name in list(left):
                    mailbox.put(name, left[name], durable=mailbox.device != self._device)
                    del left[name]
                    outcomes["restored"] += 1
        except OSError as error:
            if error.errno in _SHORTAGES:
                raise
            self._find_a_place(os.fsdecode(b"/".join((domain, user))), left, error)
            outcomes["lost"] += len(left)
        return outcomes

    def _in_place(self, mailbox: Mailbox, files: Mapping[bytes, bytes]) -> set[bytes]:
        there = mailbox.in_new(files)
        if len(there) < len(files):
            there |= mailbox.in_cur({name: data for name, data in files.items() if name not in there})
        return there

    def _find_a_place(self, address: str, files: Mapping[bytes, bytes], reason: OSError) -> None:
        """Put the files of a mailbox that cannot be used into lost+found."""
        make_directory(self._root, LOST_AND_FOUND)
        folder = open_directory(self._root, LOST_AND_FOUND)
        try:
            for name in (b"tmp", b"new", b"cur"):
                make_directory(folder, name)
        finally:
            os.close(folder)
        with Mailbox(self._root, LOST_AND_FOUND) as mailbox:
            there = self._in_place(mailbox, files)
            for name, data in files.items():
                if name not in there:
                    mailbox.put(name, data, durable=True)
                    place = os.fsdecode(LOST_AND_FOUND + b"/new/" + name)
                    logger.error(
                        "the mailbox %a cannot be used (%s): its message is kept as %a", address, reason.strerror, place
                    )


def recover(journal: Path, root: Path, workers: int, progress: Progress) -> Recovered:
    """Put everything that the journal has into the mailboxes below `root`, and say so in the checkpoints.

    Every ring counts, whatever number of workers wrote them; those beyond `workers` are removed. `progress` hears how
    many octets are done of how many, which grow once: when it is known how much is missing in the mailboxes. It hears
    nothing when there is nothing to recover. To be called with the journal locked and nobody delivering. Raises
    StartError when something cannot be finished; then the journal stays as it is, to be recovered again.
    """
    try:
        with ExitStack() as stack:
            recovered = _Recovery(stack, root, rings(journal), progress).run()
        for folder in rings(journal):
            if int(folder.name) >= workers:
                _remove(folder)
    except OSError as error:
        where = "" if error.filename is None else f" ({os.fsdecode(error.filename)!a})"
        raise StartError(
            f"the mail in the journal {journal} cannot be put into {root}: {error.strerror}{where}; "
            "the journal keeps it, mend that and start again"
        ) from error
    return recovered


class _Recovery:
    """One run: first all records are compared with new/, then what is missing there is looked for and put in place."""

    def __init__(self, stack: ExitStack, root: Path, folders: Sequence[Path], progress: Progress) -> None:
        self._stack = stack
        self._root = root
        self._segments = {folder: sorted(folder.glob(SEGMENT_FILES)) for folder in folders}
        self._total = sum(path.stat().st_size for paths in self._segments.values() for path in paths)
        self._done = 0
        self._progress = progress
        self._missing: defaultdict[_Address, _Files] = defaultdict(dict)
        self._records = 0
        self._copies = 0
        self._damaged = 0

    @cached_property
    def _root_fd(self) -> int:
        """Opened when it is needed: where nothing is to be recovered, there need not be a root."""
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        return fd

    @cached_property
    def _restorer(self) -> Restorer:
        return Restorer(self._root_fd, durable=False)

    def run(self) -> Recovered:
        ends = [self._read_ring(folder, paths) for folder, paths in self._segments.items()]
        outcomes = self._restore()
        if self._records:
            sync_file_system(self._root_fd)
        for checkpoint, end in ends:
            if end is not None:
                checkpoint.write(end)
        restored, lost = outcomes["restored"], outcomes["lost"]
        recovered = Recovered(self._records, self._copies - restored - lost, restored, lost, self._damaged)
        if self._records:
            logger.info(
                "recovered %d messages from the journal: %d files were in place, %d restored, %d kept in lost+found",
                *recovered[:4],
                extra=recovered._asdict(),
            )
        return recovered

    def _read_ring(self, folder: Path, segments: Sequence[Path]) -> tuple[Checkpoint, Position | None]:
        """Its checkpoint, and what that shall be in the end: behind all there is, None when there is nothing."""
        checkpoint = self._stack.enter_context(Checkpoint(folder / CHECKPOINT))
        since = checkpoint.position or EVERYTHING
        laps = [lap for path in segments for lap in self._read_segment(path, since)]
        return checkpoint, Position(max(laps) + 1, 0) if laps else None

    def _read_segment(self, path: Path, since: Position) -> set[int]:
        """The laps of which there was something."""
        data = path.read_bytes()
        laps = set()
        records: list[Record] = []
        for item in read_records(data, since):
            laps.add(item.position.lap)
            if isinstance(item, Damage):
                self._damaged += 1
                logger.error("%s is damaged: %d octets from %d on are no record", path, item.size, item.position.offset)
                continue
            records.append(item)
        self._compare(records)
        self._advance(len(data))
        return laps

    def _compare(self, records: Sequence[Record]) -> None:
        """Keep what is not in new/ as it should be; most of it is."""
        if not records:
            return
        self._records += len(records)
        self._copies += sum(len(record.copies) for record in records)
        deliveries = [Delivery(record.copies, [bytes(record.content)]) for record in records]
        for record, absent in zip(records, missing(self._root_fd, deliveries), strict=True):
            for number in absent:
                copy = record.copies[number]
                self._missing[copy.domain, copy.user][copy.name] = b"".join((copy.head, record.content))

    def _restore(self) -> Counter[Outcome]:
        outcomes: Counter[Outcome] = Counter()
        self._total += sum(len(data) for files in self._missing.values() for data in files.values())
        for address, files in self._missing.items():
            try:
                outcomes += self._restorer.restore_files(*address, files)
            except OSError as error:
                raise OSError(error.errno, error.strerror, b"/".join(address)) from error
            self._advance(sum(map(len, files.values())))
        return outcomes

    def _advance(self, size: int) -> None:
        self._done += size
        if self._records:
            self._progress(self._done, self._total)


def _remove(folder: Path) -> None:
    """Remove a ring of which everything is safe."""
    for path in folder.glob(SEGMENT_FILES):
        path.unlink()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)  # segments without a checkpoint would be recovered from their beginning
    finally:
        os.close(fd)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        logger.warning("%s is not needed any more and cannot be removed: %s", folder, error.strerror)
