"""The records that a configuration asks for."""

from fastsmtp.config.places import SqliteUrl
from fastsmtp.config.state import StateSettings
from fastsmtp.errors import ConfigurationError, StateError
from fastsmtp.ports import Clock
from fastsmtp.state.records import RecordStore, StoredRecords
from fastsmtp.state.sqlite import SqliteStore, look_at_file
from fastsmtp.stats import Stats

__all__ = ["look_at", "stored_records"]


def stored_records(settings: StateSettings, clock: Clock, stats: Stats) -> StoredRecords:
    """What plugins get. Raises ConfigurationError."""
    return StoredRecords(_store(settings), clock, stats)


def _store(settings: StateSettings) -> RecordStore:
    if isinstance(settings.url, SqliteUrl):
        return SqliteStore(settings.url.path, settings.records)
    raise ConfigurationError(f"state.url: {settings.url} cannot be used yet")


async def look_at(settings: StateSettings) -> str:
    """Whether it can be used, in one sentence. Raises StateError."""
    if isinstance(settings.url, SqliteUrl):
        look_at_file(settings.url.path)
        return str(settings.url) if settings.url.path.exists() else f"{settings.url} will be made"
    raise StateError(f"{settings.url} cannot be used yet")
