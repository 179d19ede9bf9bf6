"""A recording is cut at many moments; what each cut may leave is made on a real disk, and judged there."""

import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from integration.powercut.cuts import Cut, Cuts
from integration.powercut.disk import Disk
from integration.powercut.recording import Event, Kind

EACH: Final = 2
"""How many cuts of every random sort are made at one moment."""

_CUTS: Final = 5 + 5 * EACH

Judge = Callable[[Path, Sequence[Event]], Collection[str]]
"""Is given a folder as a power cut may leave it, and the events before; says all that is wrong."""


@dataclass(slots=True)
class Proof:
    """How many moments, and different states, were looked at; what was wrong, told so that one can understand it."""

    moments: int = 0
    states: int = 0
    faults: list[str] = field(default_factory=list)


def prove(
    disk: Disk, events: Sequence[Event], judge: Judge, scratch: Path, *, states: int, seed: int = 1, faults: int = 5
) -> Proof:
    """Judge about so many states (or all that `cuts` thinks of), until there are so many faults.

    `disk` is what was there before the first event, and follows them. A moment is the one behind an event; at half of
    the moments a client has just heard that its message is stored.
    """
    random = Random(seed)  # noqa: S311 - wants a seed
    proof = Proof()
    seen = set[int]()
    chosen = _moments(events, -(-states // _CUTS), random)
    for moment, event in enumerate(events, 1):
        disk.apply(event)
        if moment not in chosen:
            continue
        proof.moments += 1
        cuts = Cuts(disk, random)
        before = events[:moment]
        heard = sum(event.kind is Kind.ACKNOWLEDGE for event in before)
        for cut in cuts.some(EACH):
            state = disk.state([change.number for change in cut.names], cut.fates)
            key = hash((state, heard))
            if key in seen:
                continue
            seen.add(key)
            proof.states += 1
            folder = scratch / "state"
            state.write(folder)
            wrong = judge(folder, before)
            shutil.rmtree(folder)
            if wrong:
                proof.faults.append(_tell(moment, event, cuts, cut, wrong))
                if len(proof.faults) == faults:
                    return proof
    return proof


def _moments(events: Sequence[Event], count: int, random: Random) -> set[int]:
    """Behind which events to cut, counted from one."""
    everywhere = range(1, len(events) + 1)
    if count >= len(events):
        return set(everywhere)
    last = everywhere[-1:]
    acknowledged = [moment for moment, event in enumerate(events, 1) if event.kind is Kind.ACKNOWLEDGE]
    chosen = random.sample(acknowledged, min(len(acknowledged), count // 2))
    return {*chosen, *last, *random.sample(everywhere, count - len(chosen))}


def _tell(moment: int, event: Event, cuts: Cuts, cut: Cut, wrong: Collection[str]) -> str:
    """The moment, all that had not been synced, what of it was kept, and what is wrong."""
    names = [f"    {'kept' if change in cut.names else 'lost'}  {change}" for change in cuts.names]
    files = [f"    {cut.fates.get(file.number, 'lost')!s:>4}  {file}" for file in cuts.files]
    return "\n".join([f"{cut.story}, after event {moment}: {event}", *names, *files, *sorted(wrong)])
