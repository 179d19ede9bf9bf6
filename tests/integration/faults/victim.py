"""A process whose system calls fail as told: batches for it, and what must lie on the disk afterwards."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastsmtp
from fastsmtp._maildir import Failure, Owed

FAULTS = Path(__file__).parent
FOREVER = 1_000_000
SIZE = 5000
LARGE = 40_000
"""Bytes of a message that the driver's journal takes, and of one that it does not."""

# Two messages share a mailbox; one has three recipients.
BATCH = [[("alice", "1"), ("bob", "2"), ("carol", "3")], [("alice", "4")], [("dave", "5"), ("bob", "6")]]
NEXT = [[("alice", "7"), ("dave", "8")]]

Batch = list[list[tuple[str, str]]]
Rule = tuple[str, int, int, int, bool]
"""The call, its errno, from which call on, how many times, whether it does its work first."""

Result = Failure | Owed | None


@dataclass(frozen=True)
class Outcome:
    """What commit returned, how many calls were made to fail, all calls in order, and how the journal is afterwards."""

    results: list[Result]
    fired: int
    calls: str = field(default="", compare=False)
    sync_error: int = field(default=0, compare=False)
    position: tuple[int, int] = field(default=(0, 0), compare=False)
    room: int = field(default=0, compare=False)
    dead: int = field(default=0, compare=False)

    @property
    def troubles(self) -> list[Failure | Owed]:
        return [result for result in self.results if result]

    @property
    def failures(self) -> list[Failure]:
        return [result for result in self.results if isinstance(result, Failure)]

    @property
    def owed(self) -> list[Owed]:
        return [result for result in self.results if isinstance(result, Owed)]


def result_of(answer: list[Any] | None) -> Result:
    if answer is None:
        return None
    number, step, path, rest = answer
    return Owed(number, step, path, tuple(rest)) if isinstance(rest, list) else Failure(number, step, path, rest)


class Victim:
    """The process under the shim."""

    def __init__(self, shim: Path, *command: str) -> None:
        path = str(Path(fastsmtp.__file__).parent.parent)
        environment = os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": path}
        self._process = subprocess.Popen(
            [*command, sys.executable, str(FAULTS / "driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.pid = self._process.pid

    def commit(
        self,
        root: Path,
        durability: int,
        *rules: Rule,
        batch: Batch = BATCH,
        size: int = SIZE,
        spooled: bool = False,
        short: int = 0,
        allow: int | None = None,
        checkpoint: bool = False,
    ) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "root": str(root),
            "durability": durability,
            "rules": rules,
            "batch": batch,
            "size": size,
            "spooled": spooled,
            "short": short,
            "allow": allow,
            "checkpoint": checkpoint,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["open_after"] == answer["open_before"]
        return Outcome(
            results=[result_of(result) for result in answer["results"]],
            fired=answer["fired"],
            calls=answer["calls"].strip(),
            sync_error=answer["sync_error"],
            position=tuple(answer["position"]),
            room=answer["room"],
            dead=answer["dead"],
        )

    def end(self) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


def build_shim(folder: Path) -> Path:
    """What is to be preloaded."""
    shim = folder / "shim.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(shim), str(FAULTS / "shim.c"), "-ldl"], check=True)
    return shim


@contextmanager
def preloaded(folder: Path, *command: str) -> Iterator[Victim]:
    """The shim is built in the folder; the command, if there is one, starts the process."""
    victim = Victim(build_shim(folder), *command)
    yield victim
    victim.end()


def stored(batch: Batch, results: list[Result], size: int = SIZE) -> dict[str, bytes]:
    """What must lie below the root: every copy of what succeeded, those that are owed in tmp/, nothing else."""
    return {
        f"example.test/{user}/{leaf}/{name}": f"To: {user}\nSubject: faults\n\n".encode() + b"x" * size
        for copies, result in zip(batch, results, strict=True)
        if not isinstance(result, Failure)
        for copy, (user, name) in enumerate(copies)
        for leaf in ("tmp" if result and copy in result.copies else "new",)
    }


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if not path.is_dir()}


def check(
    victim: Victim,
    root: Path,
    durability: int,
    *rules: Rule,
    short: int = 0,
    size: int = SIZE,
    spooled: bool = False,
) -> Outcome:
    """Commit under these rules into a new root, look at what is there, then deliver once more without a fault."""
    root.mkdir()
    outcome = victim.commit(root, durability, *rules, short=short, size=size, spooled=spooled)
    assert all(failure.left_behind == 0 for failure in outcome.failures)
    assert files(root) == stored(BATCH, outcome.results, size)
    following = victim.commit(root, durability, batch=NEXT)
    assert following == Outcome([None], 0)
    assert files(root) == stored(BATCH, outcome.results, size) | stored(NEXT, following.results)
    return outcome


def every(victim: Victim, root: Path, durability: int, call: str, error: int, *, after: bool = False) -> list[Outcome]:
    """Let the first such call fail, then, in a new root, the second, and so on until there is none left."""
    outcomes: list[Outcome] = []
    while True:
        nth = len(outcomes) + 1
        outcome = check(victim, root / str(nth), durability, (call, error, nth, 1, after))
        if not outcome.fired:
            assert outcome.results == [None, None, None]
            return outcomes
        outcomes.append(outcome)
