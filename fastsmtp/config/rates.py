"""Rates as an operator spells them: `20/minute`, `5/10s`."""

import re
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

from pydantic import PlainValidator

from fastsmtp.config.units import DURATION_UNITS, Spelling

__all__ = ["Rate", "RateText", "parse_rate"]

_NAMES: Final = {"second": "s", "minute": "m", "hour": "h", "day": "d"}
_LONGEST_S: Final = 366 * 86_400.0
_MOST: Final = 10**9
_LONG_DAYS: Final = 31
_BUNCH: Final = 100
_FULL_NS: Final = 100 * 366 * 86_400 * 10**9  # a bucket is counted in nanoseconds, in 64 bits

_spelling = re.compile(r"([0-9]{1,10}) ?/ ?([0-9]{0,9}) ?([a-z]+)\Z").match


@dataclass(frozen=True, slots=True)
class Rate:
    """What a token bucket gets and holds: `count` tokens in `per_s` seconds, evenly, and at most `burst` at once."""

    count: int
    per_s: float
    burst: int
    interval_ns: int = field(init=False, repr=False, compare=False)
    """How long one token takes to come."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval_ns", max(1, round(self.per_s * 1e9 / self.count)))
        if self.interval_ns * self.burst > _FULL_NS:
            raise ValueError(f"{self} in a bucket of {self.burst} takes more than a century to fill")

    @property
    def oddity(self) -> str:
        """What can hardly be meant so, and what would be better; empty for most rates."""
        full_days = self.interval_ns * self.burst / 86_400e9
        if full_days > _LONG_DAYS:
            hint = f"for {full_days:.0f} days until the bucket is full again; write a smaller burst"
            return f"{self.burst} at once, and then {self}, {hint}"
        if self.burst * _BUNCH < self.count:
            return f"mail comes in bunches: {self.burst} at once is little for {self}; write a larger burst, or none"
        return ""

    def with_burst(self, burst: int) -> "Rate":
        """The same, in a bucket of another size."""
        return replace(self, burst=burst)

    def __str__(self) -> str:
        return f"{self.count} per {self.per_s:g} s"


def parse_rate(value: object) -> Rate:
    """A rate out of `"20/minute"` or `"5/10s"`, whose bucket holds `count`. Raises ValueError for the operator."""
    if isinstance(value, Rate):
        return value
    found = _spelling(value) if isinstance(value, str) else None
    unit = DURATION_UNITS.get(_NAMES.get(found[3], found[3])) if found else None
    if found is not None and unit is not None:
        count, per_s = int(found[1]), int(found[2] or 1) * unit
        if 1 <= count <= _MOST and 0 < per_s <= _LONGEST_S:
            return Rate(count, per_s, count)
    raise ValueError(f'{value!r} is no rate; write one like "20/minute", "5/10s" or "1000/day"')


RateText = Annotated[Rate, PlainValidator(parse_rate), Spelling("rate")]
"""A rate as an option of a plugin."""
