"""Records in a store: what is written is gathered for a moment and written at once, off the event loop.

So writing costs a worker what a dict costs, a thousand new records are one transaction, and a store that is slow or
away holds up nobody.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final, Protocol

from fastsmtp.errors import StateError
from fastsmtp.ports import Clock
from fastsmtp.stats import Stats

__all__ = ["FORGOTTEN_HALF_LIVES", "Addition", "Batch", "RecordStore", "StoredRecords", "decayed"]

FORGOTTEN_HALF_LIVES: Final = 16
"""A score has then lost all but 1/65536 of itself."""

_GATHER_S: Final = 0.1
_WAITING: Final = 20_000
"""So many records and scores may wait for a store; what comes then is lost."""

_PURGE_EVERY_S: Final = 60.0

_log = logging.getLogger("fastsmtp.state")


def decayed(amount: float, age_s: float, half_life_s: float) -> float:
    """What is left of an amount. An age below 0 is a clock that was set back, and counts as none."""
    half_lives = max(0.0, age_s) / half_life_s
    return amount * 0.5**half_lives if half_lives < FORGOTTEN_HALF_LIVES else 0.0


@dataclass(frozen=True, slots=True)
class Addition:
    """So much is to be added to a score; it was that much `at_s`, in seconds since the epoch."""

    amount: float
    half_life_s: float
    at_s: float

    @property
    def until_s(self) -> float:
        """When it is forgotten."""
        return self.at_s + FORGOTTEN_HALF_LIVES * self.half_life_s


@dataclass(slots=True)
class Batch:
    """What is to be written: texts by key, each with the time of its end, and additions to scores."""

    texts: dict[str, tuple[str, float]] = field(default_factory=dict)
    additions: dict[str, Addition] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts) + len(self.additions)


class RecordStore(Protocol):
    """Where records are. Everything raises StateError. Times are seconds since the epoch."""

    async def open(self) -> None:
        """Get ready; a server that is away does not matter."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...

    def text(self, key: str, now_s: float) -> str | Awaitable[str | None] | None:
        """The text that has not ended."""
        ...

    def score(self, key: str, half_life_s: float, now_s: float) -> float | Awaitable[float]:
        """What the score is by now."""
        ...

    async def write(self, batch: Batch) -> None:
        """Write all of it."""
        ...

    async def purge(self, now_s: float) -> None:
        """Drop what has ended, and what is too much."""
        ...


class StoredRecords:
    """Implements `Records`. Until `open` nothing is touched: who has no plugin that needs records has no store."""

    def __init__(self, store: RecordStore, clock: Clock, stats: Stats) -> None:
        self._store = store
        self._now = clock.time
        self._waiting = Batch()
        self._under_way = Batch()
        self._is_open = False
        self._opening = asyncio.Lock()
        self._loop = asyncio.get_running_loop
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._purging: asyncio.Task[None] | None = None
        self._trouble = ""
        self._cells = stats.cells
        written = stats.counter("fastsmtp_state_records_written_total", "Records and scores written to the state.")
        self._written = stats.cell(written)
        lost = stats.counter(
            "fastsmtp_state_records_lost_total", "Records and scores that could not be written to the state."
        )
        self._lost = stats.cell(lost)

    async def open(self) -> None:
        """As the port says."""
        async with self._opening:
            if not self._is_open:
                await self._store.open()
                self._is_open = True
                self._purging = self._loop().create_task(self._purge())

    async def close(self) -> None:
        """Write what waits, and let go of the store."""
        if not self._is_open:
            return
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        if self._writing is not None:
            await self._writing
        if len(self._waiting):
            await self._write()
        await self._store.close()

    def get(self, key: str) -> str | Awaitable[str | None] | None:
        """As the port says."""
        self._check_open()
        now_s = self._now()
        for batch in (self._waiting, self._under_way):
            if (found := batch.texts.get(key)) is not None:
                return found[0] if now_s < found[1] else None
        return self._store.text(key, now_s)

    def put(self, key: str, text: str, lifetime_s: float) -> None:
        """As the port says."""
        if self._has_room(is_known=key in self._waiting.texts):
            self._waiting.texts[key] = (text, self._now() + lifetime_s)

    def score(self, key: str, half_life_s: float) -> float | Awaitable[float]:
        """As the port says."""
        self._check_open()
        return self._store.score(key, half_life_s, self._now())

    def add(self, key: str, amount: float, half_life_s: float) -> None:
        """As the port says."""
        before = self._waiting.additions.get(key)
        if self._has_room(is_known=before is not None):
            now_s = self._now()
            if before is not None:
                amount += decayed(before.amount, now_s - before.at_s, half_life_s)
            self._waiting.additions[key] = Addition(amount, half_life_s, now_s)

    def _check_open(self) -> None:
        if not self._is_open:
            raise StateError("the records are not open; await services.records.open() in start")

    def _has_room(self, *, is_known: bool) -> bool:
        """Whether there is a place for it; then it is written soon."""
        if not self._is_open or (not is_known and len(self._waiting) >= _WAITING):
            self._cells[self._lost] += 1
            return False
        if self._timer is None and self._writing is None:
            self._timer = self._loop().call_later(_GATHER_S, self._begin)
        return True

    def _begin(self) -> None:
        self._timer = None
        self._writing = self._loop().create_task(self._write())

    async def _write(self) -> None:
        batch = self._under_way = self._waiting
        self._waiting = Batch()
        try:
            await self._store.write(batch)
        except StateError as error:
            self._cells[self._lost] += len(batch)
            self._say(error)
        else:
            self._cells[self._written] += len(batch)
            self._trouble = ""
        finally:
            self._under_way = Batch()
            self._writing = None
        if len(self._waiting) and self._is_open:
            self._timer = self._loop().call_later(_GATHER_S, self._begin)

    async def _purge(self) -> None:
        """From time to time; each worker at another moment, and one of them finds nothing to do."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * _PURGE_EVERY_S)  # noqa: S311 - it only keeps workers apart
            try:
                await self._store.purge(self._now())
            except StateError as error:
                self._say(error)

    def _say(self, error: StateError) -> None:
        """Log a trouble once, not with every batch."""
        if str(error) != self._trouble:
            self._trouble = str(error)
            _log.error("records are not written", extra={"error": self._trouble})
