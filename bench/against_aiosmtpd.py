"""CPU per message beside aiosmtpd: same messages, same machine, one run, sides alternated.

fastsmtp runs without plugins and with `durability = "none"`, as aiosmtpd's Mailbox handler does not wait for the disk
either (it fsyncs the file through the standard library's `mailbox`, in the event loop). What is compared is the time
that the server process spent on the CPU (user and system, all threads), divided by the messages that it accepted.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parent))
from load.closed_loop import Load, message, run

USERS = 100
DOMAIN = "bench.example"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

CONFIGURATION = f"""\
hostname = "mx.{DOMAIN}"
[listen]
smtp = ["127.0.0.1:0"]
[directory]
url = "sqlite:directory.db"
[maildir]
root = "mail"
durability = "none"
[metrics]
listen = false
[log]
destination = "fastsmtp.log"
"""


class Peer:
    """A server process under measurement."""

    def __init__(self, name: str, command: list[str], port_of: str, folder: Path) -> None:
        self.name = name
        self.cpu_us: list[float] = []
        self.rates: list[float] = []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, text=True)
        self._folder = folder
        self.port = self._find_port(port_of)

    def _find_port(self, port_of: str) -> int:
        if port_of == "stdout":
            assert self._process.stdout is not None  # noqa: S101 - a narrowing for the type checker
            return int(self._process.stdout.readline())
        log = self._folder / port_of
        while True:  # the server's own start time is bounded; a dead process ends the wait
            if log.exists() and (text := log.read_text()) and '"smtp":' in text:
                return int(json.loads(text.splitlines()[0])["smtp"][0][1])
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name} did not start")

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def measure(self, load: Load, cpu_s: float) -> None:
        """Take one round."""
        self.cpu_us.append(cpu_s / load.messages * 1e6)
        self.rates.append(load.messages / load.seconds)

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(30)


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
    recipients = [f"user{number}@{DOMAIN}" for number in range(USERS)]
    body = message(options.size)
    # Inside the checkout, not in /tmp: that is often a tmpfs, and the mail should be on a disk's file system.
    folder = (options.folder or Path(__file__).parents[1] / "build").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as name:
        folder = Path(name)
        site = make_site(folder / "fastsmtp", recipients)
        peers = [
            Peer("fastsmtp", [sys.executable, "-m", "fastsmtp", "serve", "-c", "fastsmtp.toml"], "fastsmtp.log", site),
            Peer(
                "aiosmtpd",
                [sys.executable, str(Path(__file__).parent / "peers/aiosmtpd_mailbox.py"), str(folder / "maildir")],
                "stdout",
                folder,
            ),
        ]
        try:
            for number in range(options.rounds + 1):  # the first round warms both sides up and does not count
                for peer in peers if number % 2 else reversed(peers):
                    before = peer.cpu_seconds()
                    load = uvloop.run(
                        run(
                            peer.port,
                            connections=options.connections,
                            messages=options.messages,
                            body=body,
                            recipients=recipients,
                        )
                    )
                    if load.refused:
                        raise SystemExit(f"{peer.name} refused: {load.refused[0]}")
                    if number:
                        peer.measure(load, peer.cpu_seconds() - before)
                    sys.stderr.write(f"\rround {number}/{options.rounds} {peer.name}   ")
        finally:
            for peer in peers:
                peer.stop()
    report(peers, options)


def make_site(folder: Path, recipients: list[str]) -> Path:
    """A site with these users."""
    from fastsmtp.directory.admin import SqliteAdmin

    folder.mkdir()
    (folder / "fastsmtp.toml").write_text(CONFIGURATION)
    with SqliteAdmin(folder / "directory.db", create=True) as admin:
        admin.add_domain(DOMAIN)
        for recipient in recipients:
            admin.add_user(recipient)
    return folder


def report(peers: list[Peer], options: argparse.Namespace) -> None:
    """The table for people, the line for machines."""
    ours, theirs = (statistics.median(peer.cpu_us) for peer in peers)
    print(
        f"\r{options.messages} messages of {options.size} octets, {options.connections} connections, "
        f"medians of {options.rounds} rounds"
    )
    for peer in peers:
        spread = f"{min(peer.cpu_us):.0f}..{max(peer.cpu_us):.0f}"
        print(
            f"  {peer.name:<10}{statistics.median(peer.cpu_us):>8.1f} us of CPU a message  ({spread}),"
            f"{statistics.median(peer.rates):>8.0f} messages/s"
        )
    print(f"  aiosmtpd spends {theirs / ours:.1f} times the CPU of fastsmtp")
    result = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        **{peer.name: {"cpu_us": peer.cpu_us, "messages_per_s": peer.rates} for peer in peers},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
