"""What is known of somebody, and since when."""

from dataclasses import dataclass

from fastsmtp.later import settled
from fastsmtp.ports import Clock, Records

__all__ = ["Sightings"]

_RENEWED_AFTER = 0.1
"""A lifetime begins anew when so much of it is over: one write in many, and nobody notices."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """Words by key, each with the time of its writing."""

    records: Records
    clock: Clock

    async def find(self, key: str) -> tuple[str, float]:
        """The word, and its age in seconds; nothing, and 0, where there is none. Raises StateError."""
        word, _, since = (await settled(self.records.get(key)) or "").partition(" ")
        return word, self.clock.time() - float(since) if since else 0.0

    def put(self, key: str, word: str, lifetime_s: float) -> None:
        """Remember a word, without blanks, for so long."""
        self.records.put(key, f"{word} {self.clock.time()}", lifetime_s)

    def renew(self, key: str, word: str, age_s: float, lifetime_s: float) -> None:
        """Let its lifetime begin anew, of which a part is over."""
        if age_s > _RENEWED_AFTER * lifetime_s:
            self.put(key, word, lifetime_s)
