"""Plays scenarios: servers are started once, then each round gives everybody the same load, one after the other."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from bench import split
from bench.account import MemoryWatch, machine_cpu_s, memory_bytes
from bench.load.generator import Load, RunningLoad, recipients_file, run
from bench.machine import commit, describe
from bench.peers import PEERS
from bench.peers.peer import Peer, RunningPeer, Site
from bench.results import Measured, Result, Round, Side
from bench.scenarios import MAILBOXES, Scenario

__all__ = ["mail_folder", "measure"]

DOMAIN: Final = "bench.example"

_SETTLE_S: Final = 120.0
_WARM_ROUNDS: Final = 2
_NOISY: Final = 0.15
"""Share of the machine that others may have before it is said."""
_SHUNNED_S: Final = 600.0
"""So long ext4 may go on avoiding inodes that were freed: files then cost hundreds of microseconds more."""


class _Servers:
    """What runs, by name of the peer and users in its directory. Mail that each has taken is counted."""

    def __init__(self, folder: Path, result: Result, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._result = result
        self._say = say
        self._running: dict[tuple[str, int], RunningPeer] = {}
        self._expected: dict[tuple[str, int], int] = {}

    def get(self, name: str, users: int) -> RunningPeer | None:
        """Running and warm, or None where it cannot run here."""
        key = name, users
        if key not in self._running:
            peer = PEERS[name]
            if why := peer.missing():
                self._result.skipped[name] = why
                return None
            self._start(key, peer)
        return self._running[key]

    def _start(self, key: tuple[str, int], peer: Peer) -> None:
        self._say(f"starting {peer.name}")
        folder = self._folder / f"{peer.name}-{key[1]}".replace(" ", "-")
        folder.mkdir()
        running = RunningPeer(peer, Site(folder, DOMAIN, [f"user{number}" for number in range(key[1])]))
        self._running[key] = running
        self._expected[key] = 0
        self._result.versions[peer.name] = peer.version()
        self._result.promises[peer.name] = peer.promise
        self._result.starts_s.setdefault(peer.name, round(running.start_s, 3))
        if running.account.kind not in self._result.accounts:
            self._result.accounts.append(running.account.kind)
        self._say(f"warming {peer.name}")  # every mailbox is made, every code path was taken
        mailboxes = min(key[1], MAILBOXES)
        load = Load(messages=_WARM_ROUNDS * mailboxes, connections=min(20, mailboxes))
        done = run(running.address, peer.suited(load), self.recipients(key[1]), self._folder, lmtp=peer.is_lmtp)
        if done.messages != load.messages:
            raise SystemExit(f"{peer.name} refused: {done.refusal}")
        running.await_settled(_SETTLE_S)
        self.count(key, done.messages)

    def recipients(self, users: int) -> Path:
        """A file with the addresses that get mail."""
        return recipients_file(self._folder, [f"user{number}@{DOMAIN}" for number in range(min(users, MAILBOXES))])

    def count(self, key: tuple[str, int], files: int) -> None:
        """So many files more should be in its mailboxes."""
        self._expected[key] += files

    def release(self, keys: Iterable[tuple[str, int]]) -> None:
        """End these, and see whether they have all that they said they had."""
        for key in keys:
            running = self._running.pop(key, None)
            if running is None:
                continue
            running.stop()
            if running.peer.stores and (stored := running.peer.stored(running.site)) != self._expected[key]:
                self._result.warnings.append(
                    f"{key[0]} has {stored} messages in its mailboxes and was to have {self._expected[key]}"
                )

    def close(self) -> None:
        """End all, whatever they have."""
        for running in self._running.values():
            running.stop()
        self._running.clear()


def measure(
    scenarios: Sequence[Scenario], folder: Path, say: Callable[[str], None], *, only: Iterable[str] = ()
) -> Result:
    """Play them all, with the mail in `folder`; `only` these peers, where it names some.

    Raises SystemExit when a server does not start, refuses, or loses a connection: such figures would be of no use.
    """
    result = Result(
        when=datetime.now(UTC).isoformat(timespec="seconds"), commit=commit(), machine=describe(folder), accounts=[]
    )
    chosen = set(only)
    servers = _Servers(folder, result, say)
    try:
        for position, scenario in enumerate(scenarios):
            names = [name for name in scenario.peers if not chosen or name in chosen]
            names = [name for name in names if scenario.load.connections <= PEERS[name].most_connections]
            running = {name: peer for name in names if (peer := servers.get(name, scenario.users)) is not None}
            if running:
                title = f"{scenario.name} ({position + 1}/{len(scenarios)})"
                result.scenarios.append(_play(scenario, running, servers, folder, partial(_say_of, say, title)))
                _split(scenario, running, servers, folder, result)
            later = {(name, other.users) for other in scenarios[position + 1 :] for name in other.peers}
            servers.release({(name, scenario.users) for name in running} - later)
    finally:
        servers.close()
    _judge(result)
    return result


def _say_of(say: Callable[[str], None], title: str, text: str) -> None:
    say(f"{title}: {text}")


def _play(
    scenario: Scenario, running: dict[str, RunningPeer], servers: _Servers, folder: Path, say: Callable[[str], None]
) -> Measured:
    rounds: dict[str, list[Round]] = {name: [] for name in running}
    for number in range(scenario.rounds):
        for name in running if number % 2 == 0 else reversed(running):
            say(f"round {number + 1}/{scenario.rounds}, {name}")
            taken = _take(running[name], scenario, servers.recipients(scenario.users), folder)
            files = 0 if scenario.load.no_mail else taken.messages * scenario.load.recipients_each
            servers.count((name, scenario.users), files)
            rounds[name].append(taken)
    load = {**asdict(scenario.timed_load), "users": scenario.users}
    return Measured(
        scenario.name, scenario.curve, scenario.x, load, {name: Side(tuple(r)) for name, r in rounds.items()}
    )


def _split(
    scenario: Scenario, running: dict[str, RunningPeer], servers: _Servers, folder: Path, result: Result
) -> None:
    """Look closer at those of whom the scenario wants to know."""
    if scenario.split and (why := split.missing()):
        result.skipped["where the CPU goes"] = why
        return
    for name in scenario.split:
        if name in running:
            recipients = servers.recipients(scenario.users)
            result.splits[name], sent = split.split(running[name], scenario.load, recipients, folder)
            servers.count((name, scenario.users), sent * scenario.load.recipients_each)


def _take(running: RunningPeer, scenario: Scenario, recipients: Path, folder: Path) -> Round:
    """One round. What others have written goes to the disk before, not meanwhile."""
    os.sync()
    peer, account = running.peer, running.account
    idle = memory_bytes(account.pids())
    with (
        RunningLoad(running.address, peer.suited(scenario.timed_load), recipients, folder, lmtp=peer.is_lmtp) as load,
        MemoryWatch(account) as memory,
    ):
        load.await_start()
        begun, cpu_s, machine_s = time.monotonic(), account.cpu_s(), machine_cpu_s()
        done = load.result()
        stored_seconds = done.seconds
        if not peer.settled(running.site):
            running.await_settled(_SETTLE_S)
            stored_seconds = time.monotonic() - begun
        elapsed, cpu_s, machine_s = time.monotonic() - begun, account.cpu_s() - cpu_s, machine_cpu_s() - machine_s
    if done.abandoned or not done.messages or done.refused_4xx + done.refused_5xx + done.lost:
        raise SystemExit(f"{peer.name}, {scenario.name}: {done.refusal or 'no message was taken'}")
    others = machine_s - cpu_s - done.cpu_s
    return Round(
        messages=done.messages,
        seconds=done.seconds,
        stored_seconds=stored_seconds,
        cpu_s=cpu_s,
        load_cpu_s=done.cpu_s,
        others_share=max(0.0, others / (elapsed * (os.cpu_count() or 1))),
        idle_bytes=idle,
        peak_bytes=memory.peak_bytes,
        latencies=done.latencies,
    )


@contextmanager
def mail_folder(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """A new folder below this one, and what is to be said of it. It goes away at the end, which may take a minute."""
    marker = folder / "deleted-mail"
    warnings = []
    if marker.exists() and (age := time.time() - marker.stat().st_mtime) < _SHUNNED_S:
        warnings.append(
            f"the mail of a run before was deleted {age / 60:.0f} minutes ago; ext4 avoids such inodes for a while, "
            "and files cost more: measure again in ten minutes"
        )
    with tempfile.TemporaryDirectory(prefix="mail-", dir=folder) as name:
        path = Path(name)
        path.chmod(0o755)  # servers that run as other users have to pass
        yield path, warnings
    marker.touch()


def _judge(result: Result) -> None:
    """What a reader has to know before he believes the figures."""
    shares = [
        each.others_share for scenario in result.scenarios for side in scenario.sides.values() for each in side.rounds
    ]
    noisy = sum(share > _NOISY for share in shares)
    if noisy:
        result.warnings.append(
            f"in {noisy} of {len(shares)} rounds others (other programs, the kernel's own threads) had more than "
            f"{_NOISY:.0%} of the machine, {max(shares):.0%} at the most"
        )
    if "procfs" in result.accounts:
        result.warnings.append("no control group could be made: CPU is counted in steps of 10 ms a process")
