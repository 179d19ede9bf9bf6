"""What fastsmtp wants to reach: ratios within one run on one machine, since times mean little on another one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from bench.results import Measured, Result, Side

__all__ = ["TARGETS", "Target", "Verdict", "verdicts"]

_OURS: Final = "fastsmtp"
_LARGE: Final = 25 * 2**20
"""Octets of a message that is large."""


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


def _unevenness(points: list[Measured]) -> float | None:
    """The most CPU over the least, along a curve of ours."""
    values = [_cpu(point.sides[_OURS]) for point in points if _OURS in point.sides]
    return max(values) / min(values) if len(values) > 1 else None


def _over_users(result: Result) -> float | None:
    """Of one mailbox or of a thousand that get mail, whichever is worse."""
    found = [_unevenness(result.curve(curve)) for curve in ("users", "users, 1,000 mailboxes")]
    return max((each for each in found if each is not None), default=None)


def _two_generators(peer: str) -> Callable[[Result], float | None]:
    """The server's CPU a message under smtp-source and under ours, the larger over the less."""

    def disagreement(result: Result) -> float | None:
        scenario = "two generators, one mailbox"
        ratio = _ratio(_cpu, (scenario, f"{peer} by smtp-source"), (scenario, peer))(result)
        return None if ratio is None else max(ratio, 1 / ratio)

    return disagreement


def _over_generator(result: Result) -> float | None:
    side = _side(result, "generator", _OURS)
    return None if side is None else _cpu(side) / side.load_cpu_us.median


def _large_octets_rate(result: Result) -> float | None:
    """Our speed in the floor's."""
    points = [point for point in result.curve("size") if point.x == _LARGE]
    if not points or not {_OURS, "floor"} <= points[-1].sides.keys():
        return None
    return _rate(points[-1].sides[_OURS]) / _rate(points[-1].sides["floor"])


def _large_memory_mib(result: Result) -> float | None:
    """MiB more for each message of that size in flight than before the first of the curve, small ones included."""
    points = [point for point in result.curve("size") if _OURS in point.sides]
    if not points or points[-1].x != _LARGE:
        return None
    idle_bytes = min(each.idle_bytes for point in points for each in point.sides[_OURS].rounds)
    more_bytes = points[-1].sides[_OURS].peak_bytes - idle_bytes
    return more_bytes / int(points[-1].load["connections"]) / 2**20


def _with(peer: str) -> tuple[str, str]:
    return "standard", peer


TARGETS: Final = (
    Target("CPU a message over the floor's", "at most", 1.5, _ratio(_cpu, _with(_OURS), _with("floor"))),
    Target("... with the default plugins", "at most", 1.8, _ratio(_cpu, _with("fastsmtp plugins"), _with("floor"))),
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
    Target(
        "DATA scanner over memchr, messages of 1 MiB", "at least", 0.5, lambda result: result.scanner.get("1024 KiB")
    ),
    Target("... of 4 KiB, calls from Python included", "at least", 0.5, lambda result: result.scanner.get("4 KiB")),
    Target("... of 4 KiB, a byte", "at least", 0.5, lambda result: result.scanner.get("4 KiB without calls")),
    Target("message of 25 MiB, octets/s over the floor's", "at least", 0.7, _large_octets_rate),
    Target("message of 25 MiB, MiB more for each in flight", "at most", 4, _large_memory_mib),
    Target(
        "messages/s with 2,000 connections over 20",
        "at least",
        0.8,
        _ratio(_rate, ("2000 connections", _OURS), ("20 connections", _OURS)),
    ),
    Target("most over least CPU, 1 to 1,000,000 users", "at most", 1.15, _over_users),
    Target("seconds to the first banner", "at most", 1, lambda result: result.starts_s.get(_OURS)),
    Target(
        "generator: messages/s to one that only answers, over fastsmtp's",
        "at least",
        2,
        _ratio(_rate, ("generator", "null"), ("generator", _OURS)),
    ),
    Target(
        "generator: fastsmtp's CPU a message over its own",
        "at least",
        2,
        _over_generator,
    ),
    Target("generator: floor's CPU by smtp-source and by ours", "at most", 1.2, _two_generators("floor")),
    Target("generator: fastsmtp's CPU by smtp-source and by ours", "at most", 1.2, _two_generators(_OURS)),
)
"""Of the server first, as docs/benchmarks.md has them; the last ones say whether the generator is fit to measure it."""
