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
    more = [
        scenario(f"{users} users, many", {"fastsmtp": side(cpu_us)}, curve="users, 1,000 mailboxes", x=users)
        for users, cpu_us in ((1000, 100), (10**6, 130))
    ]
    assert found("most over least CPU, 1 to 1,000,000 users", *points, *more) == (pytest.approx(1.3), False)


def test_large_messages() -> None:
    size = 25 * 2**20
    mib = 2**20
    ours = Side((taken(100, 7, idle_bytes=50 * mib, peak_bytes=62 * mib),))
    point = scenario("large", {"fastsmtp": ours, "floor": side(100, rate=10)}, curve="size", x=size, connections=4)
    assert found("message of 25 MiB, octets/s over the floor's", point) == (pytest.approx(0.7), True)
    assert found("message of 25 MiB, MiB more for each in flight", point) == (pytest.approx(3), True)
    grown = Side((taken(100, 7, idle_bytes=58 * mib, peak_bytes=62 * mib),))
    before = scenario("small", {"fastsmtp": Side((taken(100, 7, idle_bytes=46 * mib),))}, curve="size", x=4096)
    later = replace(point, sides={"fastsmtp": grown})
    assert found("message of 25 MiB, MiB more for each in flight", before, later) == (pytest.approx(4), True)
    small = replace(point, x=4096)
    assert found("message of 25 MiB, octets/s over the floor's", small) == (None, None)
    assert found("message of 25 MiB, MiB more for each in flight", small) == (None, None)


def test_the_scanner() -> None:
    scanner = {"1024 KiB": 0.6, "4 KiB": 0.3, "4 KiB without calls": 0.7}
    assert found("DATA scanner over memchr, messages of 1 MiB", scanner=scanner) == (0.6, True)
    assert found("... of 4 KiB, calls from Python included", scanner=scanner) == (0.3, False)
    assert found("... of 4 KiB, a byte", scanner=scanner) == (0.7, True)


def test_the_generator() -> None:
    sides = {"null": side(10, rate=2100), "fastsmtp": side(30, rate=1000)}  # and its own CPU: 10 us
    generator = scenario("generator", sides)
    text = "generator: messages/s to one that only answers, over fastsmtp's"
    assert found(text, generator) == (pytest.approx(2.1), True)
    assert found("generator: fastsmtp's CPU a message over its own", generator) == (pytest.approx(3), True)


@pytest.mark.parametrize(("cpu_us", "met"), [(85, True), (119, True), (121, False), (82, False)])
def test_two_generators(cpu_us: float, met: bool) -> None:
    both = scenario("two generators, one mailbox", {"floor": side(100), "floor by smtp-source": side(cpu_us)})
    assert found("generator: floor's CPU by smtp-source and by ours", both)[1] is met
    assert found("generator: fastsmtp's CPU by smtp-source and by ours", both) == (None, None)


def test_start() -> None:
    assert found("seconds to the first banner", starts_s={"fastsmtp": 0.7}) == (0.7, True)
