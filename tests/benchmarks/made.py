"""Results that nobody has measured."""

from dataclasses import asdict
from typing import Any

from bench.load.generator import Load
from bench.load.histogram import Histogram
from bench.results import Measured, Result, Round, Side

MACHINE: dict[str, Any] = {
    "cpu": "A Processor",
    "cores": 2,
    "memory_gib": 24,
    "kernel": "6.1",
    "architecture": "x86_64",
    "file_system": "ext4 rw",
    "python": "3.11.2",
}


def taken(cpu_us: float, rate: float = 1000.0, *, idle_bytes: int = 0, peak_bytes: int = 2**20) -> Round:
    """A round of a second."""
    return Round(
        messages=1000,
        seconds=1000 / rate,
        stored_seconds=1000 / rate,
        cpu_s=cpu_us * 1000 / 1e6,
        load_cpu_s=0.01,
        others_share=0.0,
        idle_bytes=idle_bytes,
        peak_bytes=peak_bytes,
        latencies=Histogram([(1_000_000, 990), (20_000_000, 10)]),
    )


def side(*cpu_us: float, rate: float = 1000.0) -> Side:
    return Side(tuple(taken(each, rate) for each in cpu_us))


def scenario(name: str, sides: dict[str, Side], *, curve: str = "", x: int = 0, **load: Any) -> Measured:
    return Measured(name, curve, x, {**asdict(Load(seconds=1.0)), "users": 1000, **load}, sides)


def result(*scenarios: Measured, **others: Any) -> Result:
    names = {name for each in scenarios for name in each.sides}
    fields: dict[str, Any] = {
        "when": "2026-01-01T00:00:00+00:00",
        "commit": "0123456789ab",
        "machine": MACHINE,
        "accounts": ["cgroup"],
        "versions": dict.fromkeys(names, "1.0"),
        "promises": dict.fromkeys(names, "in Maildir"),
        "scenarios": list(scenarios),
    }
    return Result(**{**fields, **others})
