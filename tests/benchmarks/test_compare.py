import pytest
from benchmarks.made import MACHINE, result, scenario, side
from rich.console import Console

from bench.compare import UnlikeError, compare, differences
from bench.results import Result


def text(before: Result, after: Result) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        for table in compare(before, after):
            console.print(table)
    return capture.get()


@pytest.mark.parametrize(
    ("name", "value"),
    [("cpu", "Another"), ("cores", 4), ("kernel", "6.2"), ("file_system", "xfs rw"), ("memory_gib", 8)],
)
def test_refuses_unlike_machines(name: str, value: object) -> None:
    before = result(scenario("standard", {"fastsmtp": side(100)}))
    after = result(scenario("standard", {"fastsmtp": side(50)}), machine={**MACHINE, name: value})
    assert differences(before, after) == [f"{name}: {MACHINE[name]} and {value}"]
    with pytest.raises(UnlikeError, match=f"not alike: {name}: {MACHINE[name]} and {value}"):
        compare(before, after)


def test_python_may_differ() -> None:
    before = result(scenario("standard", {"fastsmtp": side(100)}))
    after = result(scenario("standard", {"fastsmtp": side(50)}), machine={**MACHINE, "python": "3.13"})
    assert "-50.0%" in text(before, after)


def test_refuses_other_accounts() -> None:
    before = result(scenario("standard", {"fastsmtp": side(100)}))
    with pytest.raises(UnlikeError, match="different ways"):
        compare(before, result(*before.scenarios, accounts=["procfs"]))


def test_another_load_is_not_compared() -> None:
    before = result(scenario("standard", {"fastsmtp": side(100)}))
    after = result(scenario("standard", {"fastsmtp": side(50)}, connections=21))
    with pytest.raises(UnlikeError, match="no scenario"):
        compare(before, after)


def test_what_may_be_chance_is_said() -> None:
    before = result(scenario("standard", {"fastsmtp": side(100, 110, 120), "floor": side(100, 110, 120)}))
    after = result(scenario("standard", {"fastsmtp": side(50, 55, 60), "floor": side(90, 99, 105)}, seconds=9.0))
    said = text(before, after)
    ours = next(line for line in said.splitlines() if "fastsmtp" in line)
    floors = next(line for line in said.splitlines() if "floor" in line)
    assert "-50.0%" in ours
    assert "-10.0% (within the spread)" in floors
