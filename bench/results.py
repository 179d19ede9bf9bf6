"""What was measured, in memory and as JSON."""

import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from bench.load.histogram import Histogram

__all__ = ["FORMAT", "Measured", "Result", "Round", "Side", "Spread"]

FORMAT: Final = 1
"""Of the file. A newer one is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One peer under load once."""

    messages: int
    """Acknowledged."""
    seconds: float
    """To the last acknowledgement."""
    stored_seconds: float
    """Until everything was in the mailboxes."""
    cpu_s: float
    """Of all processes of the server, until then."""
    load_cpu_s: float
    """Of the generator."""
    others_share: float
    """Of the machine, by everybody else: the kernel's own threads, and other programs."""
    idle_bytes: int
    """Memory of the server before."""
    peak_bytes: int
    latencies: Histogram = field(repr=False)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and what they were at the least and at the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Raises StatisticsError without values."""
        known = sorted(values)
        return cls(statistics.median(known), known[0], known[-1])

    def times(self, factor: float) -> "Spread":
        """In another unit."""
        return Spread(self.median * factor, self.least * factor, self.most * factor)


@dataclass(frozen=True, slots=True)
class Side:
    """All rounds of one peer in one scenario."""

    rounds: tuple[Round, ...]

    def spread(self, value: Callable[[Round], float]) -> Spread:
        """Of a value of each round."""
        return Spread.of(value(each) for each in self.rounds)

    @property
    def cpu_us(self) -> Spread:
        """Microseconds of the server's CPU a message."""
        return self.spread(lambda each: each.cpu_s / each.messages * 1e6)

    @property
    def rate(self) -> Spread:
        """Acknowledged messages a second."""
        return self.spread(lambda each: each.messages / each.seconds)

    @property
    def stored_rate(self) -> Spread:
        """Messages a second that are in the mailboxes."""
        return self.spread(lambda each: each.messages / each.stored_seconds)

    @property
    def load_cpu_us(self) -> Spread:
        """Microseconds of the generator's CPU a message."""
        return self.spread(lambda each: each.load_cpu_s / each.messages * 1e6)

    @property
    def peak_bytes(self) -> int:
        """The most memory in any round."""
        return max(each.peak_bytes for each in self.rounds)

    @property
    def latencies(self) -> Histogram:
        """Of all rounds together."""
        return sum((each.latencies for each in self.rounds), Histogram())


@dataclass(frozen=True, slots=True)
class Measured:
    """A scenario with its sides, by the peer's name."""

    name: str
    curve: str
    x: int
    load: dict[str, Any]
    """The generator's options, `users` of the directory, and `mailboxes`: of how many of them get mail."""
    sides: dict[str, Side]


@dataclass(slots=True, kw_only=True)
class Result:
    """One run."""

    when: str
    commit: str
    machine: dict[str, Any]
    accounts: list[str]
    """How the CPU of the servers was counted: `cgroup` or `procfs`."""
    versions: dict[str, str] = field(default_factory=dict)
    promises: dict[str, str] = field(default_factory=dict)
    starts_s: dict[str, float] = field(default_factory=dict)
    """To the first banner."""
    splits: dict[str, dict[str, float]] = field(default_factory=dict)
    """Microseconds a message under the standard load, by peer and part."""
    plugins: dict[str, dict[str, float]] = field(default_factory=dict)
    """By plugin `us` and `hooks` a message, as the server says."""
    scanner: dict[str, float] = field(default_factory=dict)
    """Speed of the scanner of message data in memchr's over the same bytes, by the size of the message."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Who was not measured, and why."""
    failures: list[str] = field(default_factory=list)
    """Who was started and then left out, and what it said."""
    warnings: list[str] = field(default_factory=list)
    scenarios: list[Measured] = field(default_factory=list)

    def scenario(self, name: str) -> Measured | None:
        """The one of this name, if it was played."""
        return next((each for each in self.scenarios if each.name == name), None)

    def curve(self, name: str) -> list[Measured]:
        """The points of a curve, from left to right."""
        return sorted((each for each in self.scenarios if each.curve == name), key=lambda each: each.x)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"format": FORMAT, **_plain(self)}, separators=(",", ":")) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ValueError for what is no result of this format, and OSError."""
        try:
            said = json.loads(path.read_text())
            if said.pop("format") != FORMAT:
                raise ValueError(f"{path} has another format than {FORMAT}")
            scenarios = [_measured(each) for each in said.pop("scenarios")]
            return cls(scenarios=scenarios, **said)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no result of a bench: {error!r}") from error


def _plain(result: Result) -> dict[str, Any]:
    made = {name: getattr(result, name) for name in Result.__dataclass_fields__}
    made["scenarios"] = [
        {
            "name": each.name,
            "curve": each.curve,
            "x": each.x,
            "load": each.load,
            "sides": {name: [_plain_round(taken) for taken in side.rounds] for name, side in each.sides.items()},
        }
        for each in result.scenarios
    ]
    return made


def _plain_round(taken: Round) -> dict[str, Any]:
    made = {name: getattr(taken, name) for name in Round.__dataclass_fields__}
    return {**made, "latencies": taken.latencies.buckets()}


def _measured(said: dict[str, Any]) -> Measured:
    sides = {
        name: Side(tuple(Round(**{**each, "latencies": Histogram(map(tuple, each["latencies"]))}) for each in rounds))
        for name, rounds in said.pop("sides").items()
    }
    return Measured(**said, sides=sides)
