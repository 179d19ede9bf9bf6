from types import SimpleNamespace
from typing import Any

from fastsmtp.server.processes.health import ailments, answers, summary, weaknesses


def slot(number: int, *, trouble: str = "", **worker: Any) -> Any:
    """One with a worker that is well, but for what is said of it."""
    well = {"ailment": "", "weakness": "", "silent_looks": 0, "is_serving": True}
    return SimpleNamespace(number=number, trouble=trouble, worker=None if trouble else SimpleNamespace(**well | worker))


def test_all_is_well() -> None:
    slots = [slot(0), slot(1)]
    assert (ailments(slots), weaknesses(slots), summary(slots)) == ("", "", "2 workers serving")
    assert answers(slots)
    assert summary([slot(0)]) == "1 worker serving"


def test_each_trouble_names_its_worker() -> None:
    slots = [
        slot(0, trouble="was killed by SIGKILL"),
        slot(1, ailment="the disk has failed; see the log", weakness="the disk has failed; see the log"),
        slot(2, silent_looks=12),
        slot(3, silent_looks=9),
    ]
    sick = (
        "worker 0 was killed by SIGKILL; worker 1: the disk has failed; see the log; worker 2 has not answered for 12 s"
    )
    assert ailments(slots) == sick
    assert weaknesses(slots) == sick
    assert summary(slots) == f"3 of 4 workers serving: {sick}"
    assert not answers(slots)


def test_the_weak_are_healthy() -> None:
    slots = [slot(0), slot(1, weakness="degraded: the directory is away, known recipients only")]
    assert ailments(slots) == ""
    assert weaknesses(slots) == "worker 1: degraded: the directory is away, known recipients only"
    assert answers(slots)


def test_who_is_not_there_need_not_answer() -> None:
    assert answers([slot(0, trouble="does not start: no key")])
