"""DATA against BDAT: the same messages by one verb and the other to one server, alternated; none waits for a disk.

Prints the CPU of the server process for a message (median, least and most of the rounds) for each size, and the ratio.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from load.peer import Peer, fastsmtp, spread

SIZES = (1_000, 4_096, 100_000, 1_000_000)


def compare(peer: Peer, size: int, messages: int, rounds: int) -> None:
    """One line of the table."""
    cpu_us: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for by_bdat, values in cpu_us.items():
            values.append(peer.take(connections=10, messages=messages, size=size, by_bdat=by_bdat).cpu_us)
    data, bdat = (statistics.median(values) for values in cpu_us.values())
    print(
        f"{size:>9} octets   DATA {data:6.0f} us {spread(cpu_us[False])}   BDAT {bdat:6.0f} us {spread(cpu_us[True])}"
        f"   ratio {bdat / data:.2f}"
    )


def main() -> None:
    """Start a server, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=2000, help="messages in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each verb (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        peer = fastsmtp("fastsmtp", Path(folder, "site"), "none")
        try:
            peer.take(connections=10, messages=500, size=1_000)
            for size in SIZES:
                compare(peer, size, max(50, options.messages * 4_096 // max(size, 4_096)), options.rounds)
        finally:
            peer.stop()


if __name__ == "__main__":
    main()
