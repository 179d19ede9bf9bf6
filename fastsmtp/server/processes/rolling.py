"""A reload, slot by slot: the new worker serves before the old one is told to end; or everything stays as it was."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from fastsmtp.errors import FastsmtpError, StartError
from fastsmtp.server.processes.crew import Crew, Generation, Slot

__all__ = ["roll"]

_START_S: Final = 60.0
"""How long a new worker may take until it serves."""

_PATIENCE_S: Final = 5.0
"""How long the next slot waits for the old worker of this one, so that few workers live at the same time."""

_GRACE_S: Final = 2.0
"""For short connections: they end by themselves, and hear nothing of a reload."""

_log = logging.getLogger("fastsmtp.server")


async def roll(crew: Crew, generation: Generation, count: int) -> None:
    """Give `count` slots a worker of this generation, and no others.

    Raises ConfigurationError and StartError when one does not come up; then all slots are as before.
    """
    before = {slot.number: slot.generation for slot in crew.slots}
    try:
        for number in range(count):
            await _renew(crew, generation, number)
    except FastsmtpError:
        await _roll_back(crew, before)
        raise
    await _remove(crew, crew.slots[count:])


async def _renew(crew: Crew, generation: Generation, number: int) -> None:
    """A new worker for this slot, which may be a new one."""
    slot = crew.slots[number] if number < len(crew.slots) else None
    if slot is not None:
        await crew.stop_succession(slot)
    try:
        async with asyncio.timeout(_START_S):
            worker = await crew.hire(generation, number)
    except (FastsmtpError, TimeoutError) as error:
        if slot is not None and slot.worker is None:
            crew.find_successor(slot, slot.backoff.after(0))
        if isinstance(error, TimeoutError):
            raise StartError(f"worker {number} does not serve after {_START_S:g} s") from error
        raise
    if slot is None:
        crew.slots.append(Slot(number, generation, worker))
        return
    await crew.stop_succession(slot)  # the old one may have died meanwhile
    old = crew.install(slot, generation, worker)
    if old is not None:
        crew.dismiss(old, _GRACE_S)
        await asyncio.wait([old.ended], timeout=_PATIENCE_S)


async def _roll_back(crew: Crew, before: dict[int, Generation]) -> None:
    """Give each slot that was renewed a worker of the generation before."""
    await _remove(crew, crew.slots[len(before) :])
    for slot in crew.slots:
        if slot.generation is before[slot.number]:
            continue
        try:
            await _renew(crew, before[slot.number], slot.number)
        except FastsmtpError as error:
            # What it runs now serves, with its own copies of the sockets; that is better than nothing. Its successor
            # will be of the generation before: the supervisor closes the sockets of this one.
            slot.generation = before[slot.number]
            _log.critical("worker %d cannot go back to the configuration before: %s", slot.number, error)


async def _remove(crew: Crew, slots: Sequence[Slot]) -> None:
    """Do without these slots."""
    for slot in slots:
        await crew.stop_succession(slot)
        crew.slots.remove(slot)
        if slot.worker is not None:
            crew.dismiss(slot.worker, _GRACE_S)
