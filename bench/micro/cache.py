"""What remembers best: nanoseconds of a hit, bytes of an entry, and how many good names stay in memory under attack.

Our own memory (`fastsmtp/directory/lru.py`) beside libraries; those that are not installed are left out
(`pip install cachetools lru-dict theine cachebox` in a virtual environment that also has fastsmtp's dependencies).
Each runs in a process of its own, since the bytes are those by which the process grew. An entry is a name, an object
with three fields, and an answer that all share: the rest is the same for all.

The attacks: good names come by Zipf's law, and for each there are nine that are never asked for again. "guessed" names
are unknown users, which our cache keeps apart (`split`); "catch-all" names exist, since the domain takes everything.
"""

import argparse
import itertools
import random
import subprocess
import sys
import time
from bisect import bisect
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from fastsmtp.directory.lru import UsedLately

GOOD_USERS_PER_ENTRY = 5
ZIPF = 0.8
TTL_S, NEGATIVE_TTL_S, GOOD_RATE = 60.0, 10.0, 1000
SIMULATED_ENTRIES = 20_000


class Entry:
    """What the cache keeps of an answer."""

    __slots__ = ("answer", "asked_at", "expires", "is_used")

    def __init__(self, expires: float) -> None:
        self.answer = NOTHING
        self.asked_at = 0
        self.expires = expires
        self.is_used = False


NOTHING = object()


class Memory(Protocol):
    """A candidate."""

    def get(self, name: str) -> Entry | None:
        """What is remembered."""
        ...

    def put(self, name: str, entry: Entry) -> None:
        """Remember, and forget something else for it."""
        ...


class Ours:
    """Two queues and a second chance."""

    def __init__(self, bound: int) -> None:
        self._memory: UsedLately[Entry] = UsedLately(bound)
        self._get = self._memory.get

    def get(self, name: str) -> Entry | None:
        """As the cache does it."""
        if (entry := self._get(name)) is not None:
            entry.is_used = True
        return entry

    def put(self, name: str, entry: Entry) -> None:
        """Who is there already is changed in place."""
        if (known := self._get(name)) is None:
            self._memory.add(name, entry)
        else:
            known.expires = entry.expires


class Ordered:
    """The textbook's LRU."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def get(self, name: str) -> Entry | None:
        """And to the end."""
        if (entry := self._entries.get(name)) is not None:
            self._entries.move_to_end(name)
        return entry

    def put(self, name: str, entry: Entry) -> None:
        """At the end."""
        self._entries[name] = entry
        self._entries.move_to_end(name)
        if len(self._entries) > self._bound:
            self._entries.popitem(last=False)


class Plain:
    """A dict; a hit takes the entry out and puts it in again."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: dict[str, Entry] = {}

    def get(self, name: str) -> Entry | None:
        """And to the end."""
        if (entry := self._entries.pop(name, None)) is not None:
            self._entries[name] = entry
        return entry

    def put(self, name: str, entry: Entry) -> None:
        """At the end; the first is slow to find, as dicts keep the holes of those that left."""
        self._entries.pop(name, None)
        self._entries[name] = entry
        if len(self._entries) > self._bound:
            del self._entries[next(iter(self._entries))]


class Library:
    """A mapping of a library that evicts by itself."""

    def __init__(self, mapping: Any) -> None:
        self.get = mapping.get
        self.put = mapping.__setitem__


class Theine:
    """W-TinyLFU with a lifetime for each entry."""

    def __init__(self, bound: int) -> None:
        self._cache: Any = import_module("theine").Cache(bound)
        self._ttl = timedelta(seconds=TTL_S)

    def get(self, name: str) -> Entry | None:
        """It gives a pair."""
        entry: Entry | None = self._cache.get(name)[0]
        return entry

    def put(self, name: str, entry: Entry) -> None:
        """With its lifetime."""
        self._cache.set(name, entry, self._ttl)


def library(module: str, name: str) -> Callable[[int], Memory]:
    """A class of a library, which is imported when it is needed."""
    return lambda bound: Library(getattr(__import__(module), name)(bound))


CANDIDATES: dict[str, Callable[[int], Memory]] = {
    "ours": Ours,
    "OrderedDict": Ordered,
    "dict": Plain,
    "cachetools.LRUCache": library("cachetools", "LRUCache"),
    "lru.LRU": library("lru", "LRU"),
    "cachebox.LRUCache": library("cachebox", "LRUCache"),
    "theine.Cache": Theine,
}


class Split:
    """Nine parts for those who exist, one for those who do not."""

    def __init__(self, make: Callable[[int], Memory], bound: int) -> None:
        self.known, self.unknown = make(bound - bound // 10), make(bound // 10)


def main() -> None:
    """Run each candidate in a process of its own, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=100_000, help="of a full memory (default: %(default)s)")
    parser.add_argument("--good", type=int, default=120_000, help="good names in the simulation (default: %(default)s)")
    parser.add_argument("--candidate", choices=CANDIDATES, help="this one only, in this process")
    options = parser.parse_args()
    if options.candidate:
        print(row(options.candidate, options.entries, options.good))
        return
    print(f"{options.entries} entries; shares of good names that were remembered with {SIMULATED_ENTRIES} entries")
    print(f"{'':<22}hit ns  put ns  bytes | quiet  guessed  guessed, split  catch-all")
    for name in CANDIDATES:
        command = [sys.executable, __file__, "--candidate", name, *sys.argv[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(done.stdout.rstrip() if done.returncode == 0 else f"{name:<22}{done.stderr.splitlines()[-1]}", flush=True)


def row(candidate: str, entries: int, good: int) -> str:
    """All figures of one candidate."""
    make = CANDIDATES[candidate]
    hit, put, size = cost(make, entries)
    shares = [
        remembered(Split(make, SIMULATED_ENTRIES), good, attack=attack, is_split=is_split)
        for attack, is_split in (("", False), ("guessed", False), ("guessed", True), ("catch-all", True))
    ]
    return (
        f"{candidate:<22}{hit:>6.0f}{put:>8.0f}{size:>7.0f} | {shares[0]:>5.3f}{shares[1]:>9.3f}"
        f"{shares[2]:>16.3f}{shares[3]:>11.3f}"
    )


def cost(make: Callable[[int], Memory], entries: int) -> tuple[float, float, float]:
    """Nanoseconds of a hit and of a put into a full memory, bytes of an entry without its name and fields."""
    names = [f"user{number}@domain{number % 1000}.example" for number in range(entries)]
    kept = [Entry(1e9) for _ in names]
    before = resident_bytes()
    memory = make(entries)
    for name, entry in zip(names, kept, strict=True):
        memory.put(name, entry)
    size = (resident_bytes() - before) / entries
    chosen = random.Random(1).choices(names, k=50_000)  # noqa: S311 - the same in every run
    hit = min(timed(memory.get, chosen) for _ in range(9))
    new = [(f"other{number}@domain.example", Entry(1e9)) for number in range(entries // 10)]
    begin = time.perf_counter_ns()
    for name, entry in new:
        memory.put(name, entry)
    return hit, (time.perf_counter_ns() - begin) / len(new), size


def timed(get: Callable[[str], Entry | None], names: list[str]) -> float:
    """Nanoseconds a call."""
    begin = time.perf_counter_ns()
    for name in names:
        get(name)
    return (time.perf_counter_ns() - begin) / len(names)


def resident_bytes() -> int:
    """Memory of this process, as the kernel counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def remembered(memory: Split, good: int, *, attack: str, is_split: bool) -> float:
    """The share of good names that were remembered and had not expired, in the second half of the run."""
    chance = random.Random(1)  # noqa: S311 - the same in every run
    weights = list(
        itertools.accumulate(1 / (rank + 1) ** ZIPF for rank in range(SIMULATED_ENTRIES * GOOD_USERS_PER_ENTRY))
    )
    hits, now = 0, 0.0
    strangers = itertools.count()
    for number in range(good):
        now += 1 / GOOD_RATE
        for _ in range(9 if attack else 0):
            is_unknown = attack == "guessed" and is_split
            ttl_s = NEGATIVE_TTL_S if attack == "guessed" else TTL_S
            (memory.unknown if is_unknown else memory.known).put(f"stranger{next(strangers)}", Entry(now + ttl_s))
        name = str(bisect(weights, chance.random() * weights[-1]))
        entry = memory.known.get(name)
        if entry is not None and now < entry.expires:
            hits += number >= good // 2
        else:
            memory.known.put(name, Entry(now + TTL_S))
    return hits / (good - good // 2)


if __name__ == "__main__":
    main()
