"""What an honest 250 costs: `durability` none, journal and fsync, same messages, same disk, one run, sides alternated.

For 1, 20 and 200 connections: messages a second, and the time that the server process spent on the CPU (user and
system, all threads) for each message that it accepted. What the kernel's own threads do for the disk is in the rate
only. Before each round the disk is synced, so that no side pays for what another one left behind, and no file is
deleted before the end. With the defaults a round fills a segment of the journal: its checkpoints are in the figures.
The client is Python too, and takes about as much CPU as the server: on two cores it limits what is fast.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from load.peer import RECIPIENTS, Round, fastsmtp, spread

CONNECTIONS = (1, 20, 200)
DURABILITIES = ("none", "journal", "fsync")

Results = dict[int, dict[str, list[Round]]]
"""By connections, then durability."""


def main() -> None:
    """Run the rounds, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=4000, help="messages in each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each side (default: %(default)s)")
    parser.add_argument("--size", type=int, default=4096, help="octets of a message (default: %(default)s)")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where mail and journal go (default: build/): a folder on the disk that is to be measured, no tmpfs",
    )
    options = parser.parse_args()
    # Inside the checkout, not in /tmp: that is often a tmpfs, on which a sync costs nothing.
    folder = (options.folder or Path(__file__).parents[1] / "build").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as name:
        results = measure(Path(name), options)
    report(results, options)


def measure(folder: Path, options: argparse.Namespace) -> Results:
    """All rounds; the servers run side by side, and one at a time has something to do."""
    peers = [fastsmtp(durability, folder / durability, durability) for durability in DURABILITIES]
    results: Results = {connections: {name: [] for name in DURABILITIES} for connections in CONNECTIONS}
    try:
        for peer in peers:  # every mailbox is made, every code path has been taken
            peer.take(connections=20, messages=5 * len(RECIPIENTS), size=options.size)
        for number in range(options.rounds):
            for connections in CONNECTIONS:
                for peer in peers if number % 2 else reversed(peers):
                    sys.stderr.write(
                        f"\rround {number + 1}/{options.rounds}, {connections} connections, {peer.name}    "
                    )
                    os.sync()
                    done = peer.take(connections=connections, messages=options.messages, size=options.size)
                    results[connections][peer.name].append(done)
    finally:
        for peer in peers:
            peer.stop()
    return results


def report(results: Results, options: argparse.Namespace) -> None:
    """The table for people, the line for machines."""
    print(f"\r{options.messages} messages of {options.size} octets, medians of {options.rounds} rounds (least..most)")
    print(f"{'connections':<13}{'durability':<12}{'messages/s':>12}{'':<18}{'us of CPU a message':>20}")
    for connections, sides in results.items():
        rate = {name: statistics.median(each.rate for each in rounds) for name, rounds in sides.items()}
        cpu_us = {name: statistics.median(each.cpu_us for each in rounds) for name, rounds in sides.items()}
        for name, rounds in sides.items():
            print(
                f"{connections:<13}{name:<12}{rate[name]:>12.0f} {spread([each.rate for each in rounds]):<17}"
                f"{cpu_us[name]:>20.1f} {spread([each.cpu_us for each in rounds])}"
            )
        print(
            f"{'':<13}journal: {cpu_us['journal'] / cpu_us['none']:.2f} times the CPU of none, "
            f"{rate['journal'] / rate['fsync']:.1f} times the messages/s of fsync"
        )
    result = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "messages": options.messages,
        "size": options.size,
        "connections": {
            connections: {
                name: {
                    "cpu_us": [each.cpu_us for each in rounds],
                    "messages_per_s": [each.rate for each in rounds],
                }
                for name, rounds in sides.items()
            }
            for connections, sides in results.items()
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
