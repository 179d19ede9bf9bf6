import json
from pathlib import Path

import pytest
from benchmarks.made import result, scenario, side, taken

from bench.results import Result, Side, Spread


def test_spread() -> None:
    assert Spread.of([3, 1, 2]) == Spread(2, 1, 3)
    assert Spread.of([1, 2]) == Spread(1.5, 1, 2)


def test_side() -> None:
    one = Side((taken(100, 1000), taken(300, 500), taken(200, 2000, peak_bytes=5 * 2**20)))
    cpu_us = one.cpu_us
    assert [cpu_us.median, cpu_us.least, cpu_us.most] == pytest.approx([200, 100, 300])
    assert one.rate == Spread(1000, 500, 2000)
    assert one.stored_rate == Spread(1000, 500, 2000)
    assert one.load_cpu_us.median == pytest.approx(10)
    assert one.peak_bytes == 5 * 2**20
    assert len(one.latencies) == 3000
    assert one.latencies.percentile_ms(99.9) == 20


def test_comes_back_from_its_file(tmp_path: Path) -> None:
    made = result(scenario("standard", {"floor": side(50), "fastsmtp": side(70, 80)}), scenario("a", {}, curve="size"))
    path = tmp_path / "folder/result.json"
    made.write(path)
    read = Result.read(path)
    read.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()
    standard = read.scenario("standard")
    assert standard is not None
    assert standard.sides["fastsmtp"].cpu_us == side(70, 80).cpu_us
    assert standard.sides["fastsmtp"].latencies.buckets() == side(70, 80).latencies.buckets()
    assert read.scenario("nothing") is None
    assert [each.name for each in read.curve("size")] == ["a"]


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"format": 2}), json.dumps({"format": 1, "scenarios": 5})])
def test_no_result(text: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"result\.json"):
        Result.read(path)
