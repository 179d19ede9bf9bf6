"""Who keeps the journal while several processes deliver: locks it, and recovers the ring of each that has died."""

import logging
import os
from collections.abc import Callable
from time import monotonic
from typing import Final

from fastsmtp.config.model import MaildirSettings
from fastsmtp.delivery.journal import lock
from fastsmtp.delivery.recovery import recover, recover_rings

__all__ = ["PATIENCE_S", "JournalKeeper"]

PATIENCE_S: Final = 5.0
"""How long the processes of a server that was killed may need to die, in the middle of a write."""

logger = logging.getLogger("fastsmtp.delivery")


class JournalKeeper:
    """The journal of these settings. All methods block; only `recover_ring` is called while somebody delivers.

    There may be none: then nothing happens.
    """

    def __init__(self, settings: MaildirSettings) -> None:
        self._settings = settings
        self._lock: int | None = None

    @property
    def descriptor(self) -> int | None:
        """Whoever has it open holds the journal: every process that writes to it does."""
        return self._lock

    def lock(self, settings: MaildirSettings | None = None) -> None:
        """Make the journal ours, waiting for one that dies. Raises StartError. Twice does no harm.

        Other settings may want a journal where there was none; it is in the same place.
        """
        settings = settings or self._settings
        if self._lock is None and (settings.durability == "journal" or settings.journal.exists()):
            self._lock = lock(settings.journal, PATIENCE_S)

    def recover(self, keep: int, progress: Callable[[int, int], None]) -> None:
        """Finish what the last run has not, whatever durability is asked for now; `keep` so many rings for later.

        Nobody delivers yet. `progress` hears how many octets are done of how many. Raises StartError.
        """
        if self._lock is not None:
            recover(self._settings.journal, self._settings.root, keep, _Progress(progress))

    def recover_ring(self, number: int) -> None:
        """Finish what the owner of a ring has not, who is dead. Raises OSError; then it may be tried again."""
        folder = self._settings.journal / str(number)
        if self._lock is not None and folder.exists():
            recover_rings([folder], self._settings.root, _Progress(lambda *_: None))

    def close(self) -> None:
        """Let go of it; twice does no harm."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _Progress:
    """Tells the log, and whoever else wants to know, of a recovery that takes long: once a second."""

    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self._tell = tell
        self._told_at = monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = monotonic()
        if now - self._told_at >= 1:
            self._told_at = now
            logger.info("recovering the journal: %d of %d MiB", done >> 20, total >> 20)
            self._tell(done, total)
