"""One commit of a batch, without a server: what `durability` costs on this disk, sides alternated, medians.

What the server makes of it is `make bench-durability`. Prints microseconds a message, wall clock and CPU of the
process, for batches of 1, 20 and 200 messages to warm mailboxes.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from fastsmtp import _maildir
from fastsmtp.delivery.journal import Ring

BATCHES = (1, 20, 200)
SIDES = {"none": _maildir.NONE, "journal": _maildir.JOURNAL, "fsync": _maildir.FSYNC}
MAILBOXES = 100

Figures = dict[tuple[int, str], list[tuple[float, float]]]


def main() -> None:
    """Run the rounds, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=1000, help="messages in each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each side (default: %(default)s)")
    parser.add_argument("--size", type=int, default=4096, help="octets of a message (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="on the disk to measure (default: build/)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as name:
        figures = measure(Path(name), options)
    print(f"{options.messages} messages of {options.size} octets, medians of {options.rounds} rounds")
    print("batch  durability  us of wall clock  us of CPU")
    for (batch, side), rounds in figures.items():
        wall, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{batch:<7}{side:<12}{wall:>16.1f}{cpu:>11.1f}")


def measure(folder: Path, options: argparse.Namespace) -> Figures:
    """All rounds."""
    ring = Ring.open(folder / "ring", 256 * 1024 * 1024, 256 * 1024)
    roots = {side: os.open(_made(folder / side), os.O_RDONLY | os.O_DIRECTORY) for side in SIDES}
    names = (b"%d" % number for number in count())
    body = b"x" * options.size

    def play(side: str, batch: int, messages: int) -> tuple[float, float]:
        batches = [
            [
                _maildir.Delivery([(b"bench.example", b"user%d" % (at % MAILBOXES), next(names), b"")], [body])
                for at in range(begin, begin + batch)
            ]
            for begin in range(0, messages, batch)
        ]
        os.sync()
        wall, cpu = time.perf_counter(), time.process_time()
        for deliveries in batches:
            if ring.journal.room < batch * (options.size + 4096):
                ring.checkpoint(ring.position)  # without a sync: the mail of a benchmark may be lost
                ring.release()
            if any(_maildir.commit(roots[side], deliveries, SIDES[side], ring.journal if side == "journal" else None)):
                sys.exit("a message was not stored")
        return (time.perf_counter() - wall) / messages * 1e6, (time.process_time() - cpu) / messages * 1e6

    figures: Figures = {(batch, side): [] for batch in BATCHES for side in SIDES}
    for side in SIDES:
        play(side, MAILBOXES, MAILBOXES)  # every mailbox is made
    for number in range(options.rounds):
        for batch in BATCHES:
            for side in SIDES if number % 2 else reversed(SIDES):
                figures[batch, side].append(play(side, batch, options.messages))
    return figures


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
