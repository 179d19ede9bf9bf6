from dataclasses import replace
from typing import Any

import pytest
from benchmarks.made import result, scenario, side, taken

from bench.results import Measured, Side
from bench.targets import verdicts


def found(text: str, *scenarios: Measured, **others: Any) -> tuple[Any, bool | None]:
    verdict = next(each for each in verdicts(result(*scenarios, **others)) if each.target.text == text)
    return verdict.value, verdict.is_met


def test_nothing_measured() -> None:
    assert {(each.value, each.is_met) for each in verdicts(result())} == {(None, None)}


@pytest.mark.parametrize(("cpu_us", "met"), [(75, True), (76, False)])
def test_over_the_floor(cpu_us: float, met: bool) -> None:
    standard = scenario("standard", {"floor": side(50), "fastsmtp": side(cpu_us)})
    assert found("CPU a message over the floor's", standard) == (pytest.approx(cpu_us / 50), met)


@pytest.mark.parametrize(("cpu_us", "met"), [(1000, True), (999, False)])
def test_over_a_peer(cpu_us: float, met: bool) -> None:
    standard = scenario("standard", {"postfix": side(cpu_us), "fastsmtp": side(100)})
    assert found("CPU of Postfix over ours", standard) == (pytest.approx(cpu_us / 100), met)


def test_pipelining() -> None:
    standard = scenario("standard", {"fastsmtp": side(100, rate=1000)})
    pipelined = scenario("pipelined", {"fastsmtp": side(100, rate=1500)})
    assert found("pipelined over not, messages/s", standard, pipelined) == (pytest.approx(1.5), True)


def test_curves() -> None:
    points = [
        scenario(f"{users} users", {"fastsmtp": side(cpu_us)}, curve="users", x=users)
        for users, cpu_us in ((1, 100), (1000, 120), (10**6, 110))
    ]
    assert found("most over least CPU, 1 to 1,000,000 users", *points) == (pytest.approx(1.2), False)
    assert found("most over least CPU, 1 to 1,000,000 users", points[0]) == (None, None)


def test_large_messages() -> None:
    size = 25 * 2**20
    mib = 2**20
    ours = Side((taken(100, 7, idle_bytes=50 * mib, peak_bytes=62 * mib),))
    point = scenario("large", {"fastsmtp": ours, "floor": side(100, rate=10)}, curve="size", x=size, connections=4)
    assert found("largest message, octets/s over the floor's", point) == (pytest.approx(0.7), True)
    assert found("largest message, MiB more for each in flight", point) == (pytest.approx(3), True)
    small = replace(point, x=4096)
    assert found("largest message, octets/s over the floor's", small) == (None, None)
    assert found("largest message, MiB more for each in flight", small) == (None, None)


def test_start() -> None:
    assert found("seconds to the first banner", starts_s={"fastsmtp": 0.7}) == (0.7, True)
