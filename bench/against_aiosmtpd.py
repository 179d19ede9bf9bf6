"""CPU per message beside aiosmtpd: same messages, same machine, one run, sides alternated.

fastsmtp runs without plugins and with `durability = "none"`, as aiosmtpd's Mailbox handler does not wait for the disk
either (it fsyncs the file through the standard library's `mailbox`, in the event loop). What is compared is the time
that the server process spent on the CPU (user and system, all threads), divided by the messages that it accepted.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from load.peer import Peer, Round, fastsmtp, spread


def main() -> None:
    """Run the rounds, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=4000, help="messages in each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each side (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=20, help="at once (default: %(default)s)")
    parser.add_argument("--size", type=int, default=4096, help="octets of a message (default: %(default)s)")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the mail goes (default: build/). ext4 shuns inodes that were freed in the last minutes, so that "
        "a second run on it is slower than the first; /dev/shm has no such memory",
    )
    options = parser.parse_args()
    # Inside the checkout, not in /tmp: that is often a tmpfs, and the mail should be on a disk's file system.
    folder = (options.folder or Path(__file__).parents[1] / "build").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as name:
        folder = Path(name)
        peers = [
            fastsmtp("fastsmtp", folder / "fastsmtp", "none"),
            Peer(
                "aiosmtpd",
                [sys.executable, str(Path(__file__).parent / "peers/aiosmtpd_mailbox.py"), str(folder / "maildir")],
                "stdout",
                folder,
            ),
        ]
        rounds: dict[str, list[Round]] = {peer.name: [] for peer in peers}
        try:
            for number in range(options.rounds + 1):  # the first round warms both sides up and does not count
                for peer in peers if number % 2 else reversed(peers):
                    done = peer.take(connections=options.connections, messages=options.messages, size=options.size)
                    if number:
                        rounds[peer.name].append(done)
                    sys.stderr.write(f"\rround {number}/{options.rounds} {peer.name}   ")
        finally:
            for peer in peers:
                peer.stop()
    report(rounds, options)


def report(rounds: dict[str, list[Round]], options: argparse.Namespace) -> None:
    """The table for people, the line for machines."""
    cpu_us = {name: [each.cpu_us for each in taken] for name, taken in rounds.items()}
    rates = {name: [each.rate for each in taken] for name, taken in rounds.items()}
    print(
        f"\r{options.messages} messages of {options.size} octets, {options.connections} connections, "
        f"medians of {options.rounds} rounds"
    )
    for name in rounds:
        print(
            f"  {name:<10}{statistics.median(cpu_us[name]):>8.1f} us of CPU a message  {spread(cpu_us[name])},"
            f"{statistics.median(rates[name]):>8.0f} messages/s"
        )
    ours, theirs = (statistics.median(values) for values in cpu_us.values())
    print(f"  aiosmtpd spends {theirs / ours:.1f} times the CPU of fastsmtp")
    result = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        **{name: {"cpu_us": cpu_us[name], "messages_per_s": rates[name]} for name in rounds},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
