"""When there is more to do than can be done: what is shed, and from when until when. No clock, no input, no output.

Several signs are watched, each a number of which one means "too much". A sign that reaches its first height sheds new
connections of strangers, one that reaches its second height new transactions too; an accepted message is never shed. It
is over when the number has stayed below a part of that height for a while, so that a sign on the edge does not flap.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["SIGNS", "Overload", "Shed", "Sign"]


class Shed(enum.IntEnum):
    """What is shed; each one includes those before it."""

    NOTHING = 0
    STRANGERS = 1
    TRANSACTIONS = 2


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that is watched: at a value of one strangers are shed, at `second` transactions.

    It is over below `ease` times that. `patience` is how many looks in a row have to find it: a single late turn of the
    event loop is nothing.
    """

    name: str
    second: float = math.inf
    ease: float = 0.5
    patience: int = 1


SIGNS: Final = (
    Sign("lag", second=4.0, patience=2),
    Sign("store", second=4.0),
    Sign("memory"),  # above its limit transactions are deferred at once, without waiting for somebody to look
    Sign("disk", ease=0.8),  # and so they are without room; nothing here makes any
    Sign("connections", ease=0.9),
)
"""`lag`: how late the event loop is. `store`: how long a commit takes. `memory`: unfinished messages. `disk`: room.
`connections`: how many are open."""


class _Watched:
    __slots__ = ("_above", "_near_s", "sheds", "sign")

    def __init__(self, sign: Sign) -> None:
        self.sign = sign
        self.sheds = Shed.NOTHING
        self._above = 0
        self._near_s = -math.inf

    def look(self, value: float, now_s: float, calm_s: float) -> None:
        reached = self._height(value)
        if reached > self.sheds:
            self._above += 1
            if self._above >= self.sign.patience:
                self.sheds = reached
        else:
            self._above = 0
        if self._height(value / self.sign.ease) >= self.sheds:
            self._near_s = now_s
        elif now_s - self._near_s >= calm_s:
            self.sheds = Shed(self.sheds - 1)
            self._near_s = now_s

    def _height(self, value: float) -> Shed:
        if value >= self.sign.second:
            return Shed.TRANSACTIONS
        return Shed.STRANGERS if value >= 1.0 else Shed.NOTHING


class Overload:
    """What a worker sheds at the moment. It sheds a thing until nothing has asked for that for `calm_s` seconds."""

    def __init__(self, calm_s: float, signs: tuple[Sign, ...] = SIGNS) -> None:
        self.sheds = Shed.NOTHING
        self.reason = ""
        self._calm_s = calm_s
        self._watched = {sign.name: _Watched(sign) for sign in signs}

    def look(self, values: Mapping[str, float], now_s: float) -> bool:
        """Take the value of each sign (those that are missing are not watched now); whether anything has changed."""
        for name, value in values.items():
            self._watched[name].look(value, now_s, self._calm_s)
        before = self.sheds, self.reason
        worst = max(self._watched.values(), key=lambda watched: watched.sheds)
        self.sheds = worst.sheds
        self.reason = worst.sign.name if worst.sheds else ""
        return (self.sheds, self.reason) != before

    def by_sign(self) -> dict[str, Shed]:
        """What each sign asks for."""
        return {name: watched.sheds for name, watched in self._watched.items()}
