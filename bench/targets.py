"""What fastsmtp wants to reach: ratios within one run on one machine, since times mean little on another one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from bench.results import Measured, Result, Side

__all__ = ["TARGETS", "Target", "Verdict", "verdicts"]

_OURS: Final = "fastsmtp"


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio, and what it should be."""

    text: str
    sense: Literal["at most", "at least"]
    bound: float
    value: Callable[[Result], float | None]
    """None where the run did not measure it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a target."""

    target: Target
    value: float | None

    @property
    def is_met(self) -> bool | None:
        """None where nothing was measured."""
        if self.value is None:
            return None
        return self.value <= self.target.bound if self.target.sense == "at most" else self.value >= self.target.bound


def verdicts(result: Result) -> list[Verdict]:
    """Of all targets."""
    return [Verdict(target, target.value(result)) for target in TARGETS]


def _side(result: Result, scenario: str, peer: str) -> Side | None:
    measured = result.scenario(scenario)
    return None if measured is None else measured.sides.get(peer)


def _ratio(
    value: Callable[[Side], float], above: tuple[str, str], below: tuple[str, str]
) -> Callable[[Result], float | None]:
    """Between the sides that (scenario, peer) name."""

    def ratio(result: Result) -> float | None:
        upper, lower = _side(result, *above), _side(result, *below)
        return value(upper) / value(lower) if upper is not None and lower is not None else None

    return ratio


def _cpu(side: Side) -> float:
    return side.cpu_us.median


def _rate(side: Side) -> float:
    return side.rate.median


def _within(points: list[Measured], value: Callable[[Side], float]) -> float | None:
    """The largest over the least along a curve of ours."""
    values = [value(point.sides[_OURS]) for point in points if _OURS in point.sides]
    return max(values) / min(values) if len(values) > 1 else None


def _large_octets_rate(result: Result) -> float | None:
    """At the largest message measured, if that is 5 MiB at least: our speed in the floor's."""
    points = [point for point in result.curve("size") if point.x >= 5 * 1024 * 1024]
    if not points or not {_OURS, "floor"} <= points[-1].sides.keys():
        return None
    return _rate(points[-1].sides[_OURS]) / _rate(points[-1].sides["floor"])


def _large_memory_mib(result: Result) -> float | None:
    """MiB more for each message of that size in flight."""
    points = [point for point in result.curve("size") if point.x >= 5 * 1024 * 1024 and _OURS in point.sides]
    if not points:
        return None
    more_bytes = max(each.peak_bytes - each.idle_bytes for each in points[-1].sides[_OURS].rounds)
    return more_bytes / int(points[-1].load["connections"]) / 2**20


def _with(peer: str) -> tuple[str, str]:
    return "standard", peer


TARGETS: Final = (
    Target("CPU a message over the floor's", "at most", 1.5, _ratio(_cpu, _with(_OURS), _with("floor"))),
    Target("... with plugins", "at most", 1.8, _ratio(_cpu, _with("fastsmtp plugins"), _with("floor"))),
    Target("CPU of Postfix over ours", "at least", 10, _ratio(_cpu, _with("postfix"), _with(_OURS))),
    Target("CPU of qpsmtpd over ours", "at least", 10, _ratio(_cpu, _with("qpsmtpd"), _with(_OURS))),
    Target("CPU of aiosmtpd over ours", "at least", 7, _ratio(_cpu, _with("aiosmtpd"), _with(_OURS))),
    Target("CPU of Haraka over ours", "at least", 2.5, _ratio(_cpu, _with("haraka"), _with(_OURS))),
    Target("messages/s over Postfix's", "at least", 7, _ratio(_rate, _with(_OURS), _with("postfix"))),
    Target("messages/s over the floor's", "at least", 0.8, _ratio(_rate, _with(_OURS), _with("floor"))),
    Target("pipelined over not, messages/s", "at least", 1.4, _ratio(_rate, ("pipelined", _OURS), _with(_OURS))),
    Target(
        "one message a connection, messages/s over the floor's",
        "at least",
        0.5,
        _ratio(_rate, ("one message a connection", _OURS), ("one message a connection", "floor")),
    ),
    Target("largest message, octets/s over the floor's", "at least", 0.7, _large_octets_rate),
    Target("largest message, MiB more for each in flight", "at most", 4, _large_memory_mib),
    Target(
        "messages/s with 2,000 connections over 20",
        "at least",
        0.8,
        _ratio(_rate, ("2000 connections", _OURS), ("20 connections", _OURS)),
    ),
    Target(
        "most over least CPU, 1 to 1,000,000 users",
        "at most",
        1.15,
        lambda result: _within(result.curve("users"), _cpu),
    ),
    Target("seconds to the first banner", "at most", 1, lambda result: result.starts_s.get(_OURS)),
)
