"""How long to wait before somebody who is away is asked again: a database, a server with the state of plugins."""

import random
from typing import Final

__all__ = ["FIRST_DELAY_S", "LAST_DELAY_S", "backoff_s"]

FIRST_DELAY_S: Final = 0.1
LAST_DELAY_S: Final = 5.0


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row, in seconds: longer each time, and never twice the same."""
    longest = min(LAST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 16))
    return random.uniform(longest / 2, longest)  # noqa: S311 - it only keeps workers from knocking all at once
