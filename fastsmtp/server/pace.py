"""How long a client may take. The clock is the caller's, in seconds; every deadline is a time on it.

Single octets do not buy time: a command has to be complete, and of a message at least so many octets have to come
within each span of time (RFC 5321 section 4.5.3.2). Nor do commands: a message has to begin, and the connection has an
end.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from fastsmtp.config.model import Settings
from fastsmtp.smtp.replies import CONNECTED_TOO_LONG, IDLE_TOO_LONG, TIMED_OUT, TOO_SLOW, Reply

__all__ = ["COMMAND_TIME", "CONNECTION_TIME", "DATA_RATE", "IDLE_TIME", "Pace", "Patience", "TimeLimit"]

_NO_SPAN: Final = -1


class TimeLimit(NamedTuple):
    """What was passed: its name in the metrics, and what the client hears."""

    name: str
    reply: Reply


COMMAND_TIME: Final = TimeLimit("command_time", TIMED_OUT)
DATA_RATE: Final = TimeLimit("data_rate", TOO_SLOW)
IDLE_TIME: Final = TimeLimit("idle_time", IDLE_TOO_LONG)
CONNECTION_TIME: Final = TimeLimit("connection_time", CONNECTED_TOO_LONG)


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds: for a command, for `data_octets` octets of a message, for a message to begin, for the connection."""

    command_s: float
    data_s: float
    data_octets: int
    idle_s: float
    connection_s: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the settings say; within the time for data at least one octet has to come."""
        times = settings.timeouts
        octets = max(1, int(settings.limits.data_rate * times.data))
        return cls(times.command, times.data, octets, times.idle, times.connection)


class Pace:
    """One client's. `received` is how many octets have come; `had_message` is to be set when some of a message has."""

    __slots__ = ("_end_s", "_idle_end_s", "_patience", "_span_from", "had_message", "received")

    def __init__(self, patience: Patience, now_s: float) -> None:
        self.received = 0
        self.had_message = False
        self._patience = patience
        self._end_s = now_s + patience.connection_s
        self._idle_end_s = min(now_s + patience.idle_s, self._end_s)
        self._span_from = _NO_SPAN  # within a message: how much had been received when this span of time began

    def next_command(self, now_s: float) -> float:
        """A command is awaited from now on: its deadline."""
        self._span_from = _NO_SPAN
        patience = self._patience
        if self.had_message:
            self.had_message = False
            self._idle_end_s = min(now_s + patience.idle_s, self._end_s)
        deadline_s = now_s + patience.command_s
        return min(self._idle_end_s, deadline_s)

    @property
    def is_in_span(self) -> bool:
        """Whether a deadline for the message that is arriving holds already."""
        return self._span_from != _NO_SPAN

    def next_span(self, now_s: float) -> float:
        """More of a message is awaited from now on: the deadline for enough of it."""
        self._span_from = self.received
        return now_s + self._patience.data_s

    def rest(self) -> None:
        """It is our turn, and no deadline holds."""
        self._span_from = _NO_SPAN

    def passed(self, now_s: float) -> TimeLimit | None:
        """At the deadline: which limit is passed; None when enough of a message has come, and the next span begins."""
        if self._span_from != _NO_SPAN:
            return DATA_RATE if self.received - self._span_from < self._patience.data_octets else None
        if now_s < self._idle_end_s:
            return COMMAND_TIME
        return IDLE_TIME if now_s < self._end_s else CONNECTION_TIME
