"""After a crash: every message that the journal has, and no checkpoint covers, is put where it belongs."""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from fastsmtp._maildir import sync_file_system
from fastsmtp._salvage import Salvage
from fastsmtp.delivery.checkpoint import Checkpoint
from fastsmtp.delivery.journal import CHECKPOINT, SEGMENT_FILES, rings
from fastsmtp.delivery.records import EVERYTHING, Damage, Position, Stretch, read_stretches
from fastsmtp.delivery.restorer import Outcome, Restorer
from fastsmtp.errors import StartError

__all__ = ["Recovered", "recover", "recover_rings"]

Progress = Callable[[int, int], None]

# More than most machines have cores: what waits for a cold disk waits side by side.
THREADS: Final = 8

# For one thread, between two calls of the progress.
COPIES_AT_ONCE: Final = 1024

# Of segments that are in memory at once; the next ones are read meanwhile.
LOAD_BYTES: Final = 32 << 20

logger = logging.getLogger("fastsmtp.delivery")


class Recovered(NamedTuple):
    """How many records were read, what became of their copies, and how many places could not be read."""

    records: int = 0
    present: int = 0
    restored: int = 0
    lost: int = 0
    damaged: int = 0


def recover(journal: Path, root: Path, workers: int, progress: Progress) -> Recovered:
    """Put everything that the journal has into the mailboxes below `root`, and say so in the checkpoints.

    Every ring counts, whatever number of workers wrote them; those beyond `workers` are removed. `progress` hears how
    many octets of the journal are done of how many; nothing when there is nothing to recover. To be called with the
    journal locked and nobody delivering. Raises StartError when something cannot be finished; then the journal stays as
    it is, to be recovered again.
    """
    try:
        recovered = recover_rings(rings(journal), root, progress)
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


def recover_rings(folders: Iterable[Path], root: Path, progress: Progress) -> Recovered:
    """The same for the rings in these folders, of which nobody else may make use meanwhile. Raises OSError."""
    with ExitStack() as stack:
        return _Recovery(stack, root, folders, progress).run()


class _Ring:
    """A ring of which everything from `since` on is read."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.since = checkpoint.position or EVERYTHING
        self.last_lap: int | None = None  # of which there was something

    def has(self, lap: int) -> None:
        """There is something of this lap."""
        self.last_lap = lap if self.last_lap is None else max(self.last_lap, lap)

    def finish(self) -> None:
        """All of it is in the mailboxes, on the disk."""
        if self.last_lap is not None:
            self.checkpoint.write(Position(self.last_lap + 1, 0))


class _Segment(NamedTuple):
    ring: _Ring
    path: Path
    size: int


_Load = list[tuple[_Segment, bytes, list[Stretch | Damage]]]


class _Recovery:
    """One run. Load by load, segments are read, and then what they have is compared with the mailboxes or put there."""

    def __init__(self, stack: ExitStack, root: Path, folders: Iterable[Path], progress: Progress) -> None:
        self._stack = stack
        self._root = root
        self._progress = progress
        self._rings: list[_Ring] = []
        self._segments: list[_Segment] = []
        for folder in folders:
            ring = _Ring(stack.enter_context(Checkpoint(folder / CHECKPOINT)))
            self._rings.append(ring)
            paths = sorted(folder.glob(SEGMENT_FILES))
            self._segments += [_Segment(ring, path, path.stat().st_size) for path in paths]
        self._total = sum(segment.size for segment in self._segments)
        self._done = 0
        self._records = 0
        self._damaged = 0
        self._outcomes: Counter[Outcome] = Counter()

    @cached_property
    def _root_fd(self) -> int:
        """Opened when it is needed: where nothing is to be recovered, there need not be a root."""
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        return fd

    def run(self) -> Recovered:
        with _pool(1) as reader, _pool(THREADS) as workers:
            for load in self._read(reader):
                self._recover(load, workers)
        if self._records:
            sync_file_system(self._root_fd)
        for ring in self._rings:
            ring.finish()
        present, restored, lost = (self._outcomes[outcome] for outcome in ("present", "restored", "lost"))
        recovered = Recovered(self._records, present, restored, lost, self._damaged)
        if self._records:
            logger.info(
                "recovered %d messages from the journal: %d files were in place, %d restored, %d kept in lost+found",
                *recovered[:4],
                extra=recovered._asdict(),
            )
        return recovered

    def _read(self, reader: ThreadPoolExecutor) -> Iterator[_Load]:
        """All segments; the next ones are read meanwhile."""
        coming: Future[_Load] | None = None
        for segments in [*_loads(self._segments), None]:
            load, coming = coming, None if segments is None else reader.submit(_read_segments, segments)
            if load is not None:
                yield load.result()

    def _recover(self, load: _Load, workers: ThreadPoolExecutor) -> None:
        """Bring all that there is into its mailboxes."""
        stretches = []
        for segment, data, items in load:
            for item in items:
                segment.ring.has(item.position.lap)
                if isinstance(item, Damage):
                    self._damaged += 1
                    offset = item.position.offset
                    logger.error("%s is damaged: %d octets from %d on are no record", segment.path, item.size, offset)
                else:
                    stretches.append((data, item.position.offset, item.end))
        size = sum(segment.size for segment, _, _ in load)
        if stretches:
            self._restore(Salvage(self._root_fd, stretches), size, workers)
        self._done += size
        self._advance(0)

    def _restore(self, salvage: Salvage, size: int, workers: ThreadPoolExecutor) -> None:
        self._records += salvage.records
        count = len(salvage)
        firsts = range(0, count, COPIES_AT_ONCE)
        ends = [min(first + COPIES_AT_ONCE, count) for first in firsts]
        for end, (present, restored) in zip(ends, workers.map(salvage.restore, firsts, ends), strict=True):
            self._outcomes["present"] += present
            self._outcomes["restored"] += restored
            self._advance(size * end // count)
        self._restore_by_hand(salvage)

    def _restore_by_hand(self, salvage: Salvage) -> None:
        """What is not ordinary: mailboxes that are gone, errors."""
        left: defaultdict[tuple[bytes, bytes], dict[bytes, bytes]] = defaultdict(dict)
        for (domain, user, name, head), content in salvage.left():
            left[domain, user][name] = head + content
        restorer = Restorer(self._root_fd, durable=False)
        for address, files in left.items():
            try:
                self._outcomes += restorer.restore_files(*address, files)
            except OSError as error:
                raise OSError(error.errno, error.strerror, b"/".join(address)) from error

    def _advance(self, size: int) -> None:
        """Tell how far it is, when so much of the load is done."""
        if self._records:
            self._progress(self._done + size, self._total)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _loads(segments: Iterable[_Segment]) -> Iterator[list[_Segment]]:
    """As many segments at once as fit into a load, but one at least."""
    load: list[_Segment] = []
    for segment in segments:
        if load and sum(each.size for each in load) + segment.size > LOAD_BYTES:
            yield load
            load = []
        load.append(segment)
    if load:
        yield load


def _read_segments(segments: Iterable[_Segment]) -> _Load:
    load = []
    for segment in segments:
        data = segment.path.read_bytes()
        load.append((segment, data, list(read_stretches(data, segment.ring.since))))
    return load


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
