"""How long a start takes after a crash: a journal as servers leave it is recovered into a mail tree.

The journal has as many rings of the default size as --mib MiB of mail take. Sides, alternated:

    in place   the server was killed, the kernel was not: every file lies where it should
    half       every second message is missing
    missing    every message is missing
    floor N    a C program that only makes as many files (micro/create_files.c), with N threads

Each run that makes files has a mail tree of its own, and none is deleted before the end: ext4 is slow for minutes where
files were deleted. The caches are warm, as after `kill -9`, unless --cold drops those of the whole machine (as root).
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from fastsmtp import _maildir
from fastsmtp.delivery.journal import CHECKPOINT, Ring, rings
from fastsmtp.delivery.recovery import recover

DOMAIN: Final = "bench.example"
RING_BYTES: Final = 64 << 20
RECORD_BYTES: Final = 256 << 10
BATCH: Final = 20
SIDES: Final = ("in place", "half", "missing", "floor 1", "floor 2")
FLOOR: Final = Path(__file__).parent / "micro" / "create_files.c"
GIB: Final = 1 << 30


class Figures(NamedTuple):
    """Seconds: all of it on the clock and on the CPU, and what the last sync took of the clock."""

    wall: float
    cpu: float
    sync: float


class Site:
    """A folder with a journal that holds all mail, and the tree in which everything lies in place."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.journal.mkdir()
        self.size: int = options.size
        self.messages: int = (options.mib << 20) // options.size
        self.mailboxes: int = options.mailboxes
        self.cold: bool = options.cold
        self._trees = 0
        self.complete = self.tree()
        self._write_journal()
        self._checkpoints = {ring / CHECKPOINT: (ring / CHECKPOINT).read_bytes() for ring in rings(self.journal)}

    def deliveries(self) -> Iterator[_maildir.Delivery]:
        """All messages, always the same: each to a mailbox that nobody can foretell."""
        dice = random.Random(1)  # noqa: S311 - the same ones each time
        pool = dice.randbytes(1 << 20)
        for number in range(self.messages):
            name = b"1700000000.M%06dP1Q%dR0123456789abcdef.host.example,S=%d" % (number % 1000000, number, self.size)
            user = b"user%d" % dice.randrange(self.mailboxes)
            start = dice.randrange(len(pool) - self.size)
            head = b"Delivered-To: %b@%b\n" % (user, DOMAIN.encode())
            yield _maildir.Delivery(
                [(DOMAIN.encode(), user, name, head)], [pool[start : start + self.size - len(head)]]
            )

    def tree(self) -> Path:
        """A new mail root with empty mailboxes."""
        self._trees += 1
        root = self.folder / f"mail{self._trees}"
        for number in range(self.mailboxes):
            for leaf in ("tmp", "new", "cur"):
                (root / DOMAIN / f"user{number}" / leaf).mkdir(parents=True)
        return root

    def half(self) -> Path:
        """A tree in which every second message lies in place."""
        root = self.tree()
        with _opened(root) as fd:
            for batch in _batches(islice(self.deliveries(), None, None, 2)):
                _commit(fd, batch)
        return root

    def recover(self, root: Path) -> Figures:
        """One recovery of everything, as at a start."""
        for path, content in self._checkpoints.items():
            path.write_bytes(content)
        self._settle()
        last = 0.0

        def progress(_done: int, _total: int) -> None:
            nonlocal last
            last = time.perf_counter()

        wall, cpu = time.perf_counter(), time.process_time()
        recovered = recover(self.journal, root, len(self._checkpoints), progress)
        end = time.perf_counter()
        if recovered.records != self.messages or recovered.lost or recovered.damaged:
            sys.exit(f"not what was expected: {recovered}")
        return Figures(end - wall, time.process_time() - cpu, end - last)

    def floor(self, program: Path, threads: int) -> Figures:
        """As many files by the C program."""
        root = self.tree()
        self._settle()
        numbers = (str(number) for number in (self.mailboxes, self.messages, self.size, threads))
        done = subprocess.run([program, root / DOMAIN, *numbers], check=True, capture_output=True, text=True)
        wall, cpu, sync = map(float, done.stdout.split())
        return Figures(wall + sync, cpu, sync)

    def _settle(self) -> None:
        os.sync()
        if self.cold:
            Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")

    def _write_journal(self) -> None:
        """Fill one ring after the other, without a checkpoint."""
        ring: Ring | None = None
        number = 0
        with _opened(self.complete) as root:
            for batch in _batches(self.deliveries()):
                if ring is None or ring.journal.room < sum(each.record_bytes for each in batch):
                    if ring is not None:
                        ring.close()
                    ring = Ring.open(self.journal / str(number), RING_BYTES, RECORD_BYTES)
                    number += 1
                _commit(root, batch, ring)
        if ring is not None:
            ring.close()


@contextmanager
def _opened(root: Path) -> Iterator[int]:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def _batches(deliveries: Iterator[_maildir.Delivery]) -> Iterator[list[_maildir.Delivery]]:
    while batch := list(islice(deliveries, BATCH)):
        yield batch


def _commit(root: int, batch: list[_maildir.Delivery], ring: Ring | None = None) -> None:
    durability, journal = (_maildir.NONE, None) if ring is None else (_maildir.JOURNAL, ring.journal)
    if any(_maildir.commit(root, batch, durability, journal)):
        sys.exit("a message was not stored")


def main() -> None:
    """Run the rounds, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mib", type=int, default=256, help="MiB of mail in the journal (default: %(default)s)")
    parser.add_argument("--size", type=int, default=4096, help="octets of a message (default: %(default)s)")
    parser.add_argument("--mailboxes", type=int, default=1000, help="mailboxes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each side (default: %(default)s)")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES, help="only these (default: all)")
    parser.add_argument("--cold", action="store_true", help="drop the caches of this machine before each run")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="on the disk to measure (default: build/)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder.resolve()) as name:
        report(measure(Path(name), options), options)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, list[Figures]]:
    """All rounds."""
    program = folder / "create_files"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-pthread", "-o", program, FLOOR], check=True)
    site = Site(folder, options)
    trees = {"in place": lambda: site.complete, "half": site.half, "missing": site.tree}
    figures: dict[str, list[Figures]] = {side: [] for side in options.sides}
    for number in range(options.rounds):
        for side in options.sides if number % 2 else reversed(options.sides):
            sys.stderr.write(f"\rround {number + 1}/{options.rounds}, {side}    ")
            if side in trees:
                figures[side].append(site.recover(trees[side]()))
            else:
                figures[side].append(site.floor(program, int(side.split()[1])))
    return figures


def report(figures: dict[str, list[Figures]], options: argparse.Namespace) -> None:
    """The table for people, the line for machines."""
    state = "cold" if options.cold else "warm"
    print(f"\r{options.mib} MiB of mail, {options.size} octets each, {options.mailboxes} mailboxes, {state} caches")
    print(f"{'':<10}{'seconds':>9}{'least..most':>15}{'sync':>7}{'MB/s':>7}{'s a GiB':>9}{'CPU s a GiB':>13}")
    gib = options.mib / 1024
    for side, rounds in figures.items():
        wall, cpu, sync = (statistics.median(column) for column in zip(*rounds, strict=True))
        spread = f"{min(each.wall for each in rounds):.2f}..{max(each.wall for each in rounds):.2f}"
        print(
            f"{side:<10}{wall:>9.2f}{spread:>15}{sync:>7.2f}{gib * GIB / wall / 1e6:>7.0f}"
            f"{wall / gib:>9.1f}{cpu / gib:>13.1f}"
        )
    result = {"machine": platform.platform(), "python": platform.python_version(), **vars(options), "figures": figures}
    print(json.dumps(result, default=str))


if __name__ == "__main__":
    main()
