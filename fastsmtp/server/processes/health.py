"""How the whole server is, in one line: for whoever asks over HTTP, and for `systemctl status`."""

from collections.abc import Iterator, Sequence
from typing import Final

from fastsmtp.server.processes.crew import Slot

__all__ = ["ailments", "answers", "summary", "weaknesses"]

_SILENT_LOOKS: Final = 10
"""A worker that has not answered for so many seconds is told of."""


def ailments(slots: Sequence[Slot]) -> str:
    """Why nobody should send us mail, worker by worker; empty when all is well."""
    return "; ".join(_ailments(slots))


def weaknesses(slots: Sequence[Slot]) -> str:
    """Why others should be sent mail first; empty when all is well."""
    weak = (slot for slot in slots if slot.worker is not None and slot.worker.weakness and not slot.worker.ailment)
    return "; ".join([*_ailments(slots), *(f"worker {slot.number}: {_of(slot)}" for slot in weak)])


def answers(slots: Sequence[Slot]) -> bool:
    """Whether every worker that there is answers."""
    return not any(slot.worker is not None and slot.worker.silent_looks >= _SILENT_LOOKS for slot in slots)


def summary(slots: Sequence[Slot]) -> str:
    """For `systemctl status`."""
    serving = sum(slot.worker is not None and slot.worker.is_serving for slot in slots)
    trouble = weaknesses(slots)
    workers = (
        f"{serving} worker{'s' * (serving != 1)} serving"
        if serving == len(slots)
        else (f"{serving} of {len(slots)} workers serving")
    )
    return f"{workers}: {trouble}" if trouble else workers


def _ailments(slots: Sequence[Slot]) -> Iterator[str]:
    for slot in slots:
        worker = slot.worker
        if worker is None:
            yield f"worker {slot.number} {slot.trouble}"
        elif worker.ailment:
            yield f"worker {slot.number}: {worker.ailment}"
        elif worker.silent_looks >= _SILENT_LOOKS:
            yield f"worker {slot.number} has not answered for {worker.silent_looks} s"


def _of(slot: Slot) -> str:
    return slot.worker.weakness if slot.worker is not None else slot.trouble
