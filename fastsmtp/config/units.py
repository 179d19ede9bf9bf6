"""Sizes and durations as an operator spells them: `25MiB`, `5m`."""

import math
import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

__all__ = ["Duration", "Size", "Spelling", "parse_duration", "parse_size"]

SIZE_UNITS: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}

_OCTETS_MAX: Final = 2**63 - 1  # what the parser, the journal and the kernel count with

_QUANTITY = re.compile(r"([0-9]{1,15}) ?([A-Za-z]+)\Z")


class Spelling(str):
    """Marks a type with the words that the documentation uses for it."""

    __slots__ = ()


def _quantity(value: object, units: dict[str, float] | dict[str, int]) -> tuple[int, float] | None:
    found = _QUANTITY.match(value) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        return None
    return int(found[1]), units[found[2]]


def parse_size(value: object) -> int:
    """Octets out of `"25MiB"` or a whole number. Raises ValueError with a sentence for the operator."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    quantity = _quantity(value, SIZE_UNITS)
    if quantity is None:
        units = ", ".join(SIZE_UNITS)
        raise ValueError(f'{value!r} is not a size; write octets, or text like "25MiB" (units: {units})')
    return quantity[0] * int(quantity[1])


def parse_duration(value: object) -> float:
    """Seconds out of `"5m"` or a number. Raises ValueError with a sentence for the operator."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value):
        return float(value)
    quantity = _quantity(value, DURATION_UNITS)
    if quantity is None:
        units = ", ".join(DURATION_UNITS)
        raise ValueError(f'{value!r} is not a duration; write seconds, or text like "5m" (units: {units})')
    return quantity[0] * quantity[1]


def _countable(octets: int) -> int:
    if octets > _OCTETS_MAX:
        raise ValueError(f"{octets} octets are too much; write less than 8 EiB, which is 8589934592GiB")
    return octets


Size = Annotated[int, BeforeValidator(parse_size), AfterValidator(_countable), Spelling("size")]
"""Octets."""

Duration = Annotated[float, BeforeValidator(parse_duration), Spelling("duration")]
"""Seconds."""
