"""The bounded memory: what stays, what goes."""

from dataclasses import dataclass

import pytest

from fastsmtp.directory.lru import LOOKS, UsedLately


@dataclass
class Entry:
    """The least that is remembered."""

    is_used: bool = False


def use(memory: UsedLately[Entry], *names: str) -> None:
    for name in names:
        entry = memory.get(name)
        assert entry is not None
        entry.is_used = True


def test_it_remembers_up_to_its_bound() -> None:
    memory: UsedLately[Entry] = UsedLately(3)
    entries = {name: Entry() for name in "abc"}
    assert [memory.add(name, entry) for name, entry in entries.items()] == [None, None, None]
    assert len(memory) == 3
    assert all(memory.get(name) is entry for name, entry in entries.items())
    assert memory.get("d") is None
    assert memory.add("d", Entry()) == ("a", entries["a"])
    assert len(memory) == 3
    assert memory.get("a") is None


def test_who_was_used_gets_a_second_chance_and_not_a_third() -> None:
    memory: UsedLately[Entry] = UsedLately(3)
    for name in "abc":
        memory.add(name, Entry())
    use(memory, "a", "b", "c")
    gone = [evicted[0] for name in "defg" if (evicted := memory.add(name, Entry()))]
    assert gone == ["a", "d", "e", "f"]


def test_the_last_one_goes_even_if_everybody_was_used() -> None:
    memory: UsedLately[Entry] = UsedLately(10 * LOOKS)
    for number in range(10 * LOOKS):
        memory.add(str(number), Entry(is_used=True))
    evicted = memory.add("new", Entry())
    assert evicted is not None
    assert evicted[0] == str(LOOKS)
    assert len(memory) == 10 * LOOKS


@pytest.mark.parametrize("bound", [1, 2, 10, 1000])
def test_a_flood_of_strangers_leaves_the_regulars_alone(bound: int) -> None:
    memory: UsedLately[Entry] = UsedLately(bound)
    regulars = [f"regular{number}" for number in range(bound // 2)]
    for name in regulars:
        memory.add(name, Entry(is_used=True))
    for number in range(10 * bound):
        memory.add(f"stranger{number}", Entry())
        assert len(memory) <= bound
    lost = [name for name in regulars if memory.get(name) is None]
    assert len(lost) <= len(regulars) // LOOKS


def test_the_tables_are_counted() -> None:
    memory: UsedLately[Entry] = UsedLately(100_000)
    empty = memory.table_bytes
    for number in range(1000):
        memory.add(str(number), Entry())
    assert 30_000 < memory.table_bytes - empty < 110_000
