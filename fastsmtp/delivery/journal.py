"""The journal on the disk: a folder for all workers, with a ring of segments for each.

{journal}/lock                    held by the server that uses the journal
{journal}/{worker}/segment-0..3   made once at full size and written over from then on, see `records`
{journal}/{worker}/checkpoint     from where on the segments are needed, see `checkpoint`
"""

import fcntl
import logging
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import randbits
from typing import Final, Self

from fastsmtp import _maildir
from fastsmtp.config.model import JOURNAL_SEGMENTS as SEGMENTS
from fastsmtp.config.model import SEGMENT_RECORDS
from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.records import BLOCK_BYTES, Position
from fastsmtp.errors import StartError

__all__ = ["CHECKPOINT", "SEGMENTS", "SEGMENT_FILES", "Ring", "lock", "rings"]

SEGMENT_FILES: Final = "segment-*"
CHECKPOINT: Final = "checkpoint"

_LOCK_EVERY_S: Final = 0.05
_HALF_MADE: Final = ".making"
_SHARE_OF_FREE_SPACE: Final = 4
_LAP_BITS: Final = 48
_CHUNK: Final = bytes(1024 * 1024)

logger = logging.getLogger("fastsmtp.delivery")


def lock(journal: Path, patience_s: float = 0.0) -> int:
    """Make the journal this server's own until the descriptor, and whoever inherited it, is closed. Raises StartError.

    The folder is made where it is missing. A server that was just killed may need a moment to let go of it: so long it
    is waited for.
    """
    try:
        journal.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(journal / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(journal, error) from error
    try:
        _lock(fd, time.monotonic() + patience_s)
    except OSError as error:
        os.close(fd)
        if not isinstance(error, BlockingIOError):
            raise _unusable(journal, error) from error
        raise StartError(
            f"another fastsmtp uses the journal {journal}; stop it, or set maildir.journal to a folder of its own"
        ) from error
    return fd


def _lock(fd: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_LOCK_EVERY_S)


def rings(journal: Path) -> list[Path]:
    """The folder of every ring there is, by number of its worker. Raises OSError."""
    try:
        folders = [path for path in journal.iterdir() if path.name.isdecimal() and path.is_dir()]
    except FileNotFoundError:
        return []
    return sorted(folders, key=lambda path: int(path.name))


class Ring:
    """The ring of one worker, open to be written through `journal`.

    What it held before must have been recovered: it is written over.
    """

    def __init__(self, checkpoint: Checkpoint, descriptors: Sequence[int], segment_bytes: int, limit: int) -> None:
        """See `open`; the checkpoint and the descriptors are the ring's from now on."""
        self.segment_bytes = segment_bytes
        self._checkpoint = checkpoint
        self._descriptors = tuple(descriptors)
        before = checkpoint.position
        # The first one is random: nobody shall know how to write a message that contains what looks like a record of
        # ours. No lap of the past comes again, for the past may have begun every lap that its checkpoint allowed.
        lap = randbits(_LAP_BITS) if before is None else before.lap + SEGMENTS
        self.safe = Position(lap, 0)
        checkpoint.write(self.safe)
        self.journal = _maildir.Journal(descriptors, segment_bytes, lap, limit)

    @classmethod
    def open(cls, folder: Path, size: int, limit: int) -> Self:
        """Open the ring in this folder, or make it: segments of together `size` octets, for records up to `limit`.

        It is smaller where the disk is small. Raises StartError.
        """
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            segment_bytes = _segment_bytes(folder, size, limit)
            with ExitStack() as stack:
                checkpoint = stack.enter_context(Checkpoint(folder / CHECKPOINT))
                _make_segments(folder, segment_bytes, anew=checkpoint.position is None)
                descriptors = []
                for path in _segments(folder):
                    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    stack.callback(os.close, fd)
                    descriptors.append(fd)
                # Whoever made them, all of these names and those of the folders above are on the disk from now on.
                _maildir.sync_file_system(descriptors[0])
                ring = cls(checkpoint, descriptors, segment_bytes, limit)
                stack.pop_all()
                return ring
        except OSError as error:
            raise _unusable(folder, error) from error

    @property
    def position(self) -> Position:
        """Behind the last record. Not to be asked while a batch is under way."""
        return Position(*self.journal.position)

    def has_news(self, position: Position) -> bool:
        """Whether there are records before this position that no checkpoint covers."""
        return position > self.safe

    def needs_checkpoint(self, position: Position) -> bool:
        """Whether a checkpoint at this position would give a segment free."""
        return position.lap > self.safe.lap

    def checkpoint(self, position: Position) -> None:
        """Note on the disk that all before this position is safe in the mailboxes. Blocks; any thread may call it.

        Raises OSError; then the checkpoint before still counts.
        """
        self._checkpoint.write(position)
        self.safe = position

    def release(self) -> None:
        """Let the journal use the segments that the checkpoint gave free. Not while a batch is under way."""
        self.journal.allow(self.safe.lap + SEGMENTS)

    def close(self) -> None:
        """Let go of all files. Not while a batch is under way."""
        for fd in self._descriptors:
            os.close(fd)
        self._checkpoint.close()


def _unusable(folder: Path, error: OSError) -> StartError:
    return StartError(f"the journal {folder} (maildir.journal) cannot be used: {error.strerror}")


def _segments(folder: Path) -> list[Path]:
    return [folder / f"segment-{number}" for number in range(SEGMENTS)]


def _segment_bytes(folder: Path, size: int, limit: int) -> int:
    """How large each segment shall be: as asked for, or what the disk permits."""
    wanted = size // SEGMENTS // BLOCK_BYTES * BLOCK_BYTES
    least = -(-SEGMENT_RECORDS * limit // BLOCK_BYTES) * BLOCK_BYTES
    why = f"{SEGMENTS} segments of {SEGMENT_RECORDS} records of maildir.journal_limit, which is {_text(limit)}"
    if wanted < least:
        raise StartError(
            f"the journal {folder} would be too small: maildir.journal_size is {_text(size)}, "
            f"and it must be {_text(least * SEGMENTS)} at least ({why})"
        )
    existing = [path.stat() for path in _segments(folder) if path.exists()]
    if [status.st_size for status in existing] == [wanted] * SEGMENTS:
        return wanted
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize + sum(status.st_size for status in existing)
    allowed = free // _SHARE_OF_FREE_SPACE // SEGMENTS // BLOCK_BYTES * BLOCK_BYTES
    if allowed >= wanted:
        return wanted
    if allowed < least:
        raise StartError(
            f"the disk of the journal {folder} is too full: {_text(free)} are free, a quarter of which may be used, "
            f"and {_text(least * SEGMENTS)} are needed at least ({why}); free {_text(least * SEGMENTS * 4 - free)}, "
            f"or set maildir.journal to a folder on another disk; the maildir.journal_size of {_text(size)} "
            f"would need {_text(wanted * SEGMENTS * 4)} free"
        )
    logger.warning(
        "the journal %s has %s instead of the %s of maildir.journal_size: it may use a quarter of the free space",
        folder,
        _text(allowed * SEGMENTS),
        _text(size),
    )
    return allowed


def _text(size: int) -> str:
    """A size as the configuration spells it."""
    return f"{-(-size // 1024)}KiB"


def _make_segments(folder: Path, size: int, *, anew: bool) -> None:
    """Make the segments that are missing or of another size; all of them when nothing is known of their laps."""
    missing = [path for path in _segments(folder) if anew or not path.exists() or path.stat().st_size != size]
    for path in missing:
        path.unlink(missing_ok=True)
    for path in missing:
        half = path.with_name(path.name + _HALF_MADE)
        try:
            _write_zeros(half, size)
        except OSError:
            with suppress(OSError):
                half.unlink()
            raise
        half.rename(path)


def _write_zeros(path: Path, size: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb", buffering=0) as file:
        os.posix_fallocate(fd, 0, size)  # a full disk says so now
        # What was only allocated would have to be marked as written later, at the price of a second write for each.
        written = 0
        while written < size:
            written += file.write(_CHUNK[: size - written])
        os.fsync(fd)
