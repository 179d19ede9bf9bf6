"""Plays scenarios: servers are started once, then each round gives everybody the same load, one after the other."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Final

from bench import shares, split
from bench.account import MemoryWatch, machine_cpu_s, memory_bytes
from bench.load import smtp_source
from bench.load.generator import RunningLoad
from bench.load.smtp_source import RunningSmtpSource
from bench.machine import commit, describe
from bench.micro.parser import scanner_shares
from bench.peers import PEERS
from bench.peers.peer import RunningPeer
from bench.results import Measured, Result, Round, Side
from bench.scenarios import MAILBOXES, Scenario
from bench.servers import SETTLE_S, Servers

__all__ = ["mail_folder", "measure"]

_NOISY: Final = 0.15
"""Share of the machine that others may have before it is said."""
_SHUNNED_S: Final = 600.0
"""So long ext4 may go on avoiding inodes that were freed: files then cost hundreds of microseconds more."""


class RoundFailedError(Exception):
    """A server refused, lost a connection, or did not come to an end: the figures would be of no use."""


def measure(
    scenarios: Sequence[Scenario], folder: Path, say: Callable[[str], None], *, only: Iterable[str] = ()
) -> Result:
    """Play them all, with the mail in `folder`; `only` these peers, where it names some.

    Who does not start, refuses or loses a connection is left out of that scenario, and the result says so.
    """
    result = Result(
        when=datetime.now(UTC).isoformat(timespec="seconds"), commit=commit(), machine=describe(folder), accounts=[]
    )
    tell = _Progress(say, sum(each.rounds * len(each.peers) for each in scenarios))
    servers = Servers(folder, result, tell, mailboxes=MAILBOXES)
    play = _Play(servers, folder, result, tell, set(only))
    try:
        # The points of a curve are played in turn as well: what changes meanwhile is not seen as a slope.
        groups = [list(group) for _, group in groupby(scenarios, key=lambda each: each.curve or each.name)]
        for position, group in enumerate(groups):
            used = play.together(group)
            later = {(name, each.users) for group in groups[position + 1 :] for each in group for name in each.peers}
            servers.release(used - later)
        if not only or "fastsmtp" in only:
            tell("the scanner of message data")
            result.scanner = scanner_shares()
    finally:
        servers.close()
    _judge(result)
    return result


class _Progress:
    """Says what is under way, since when, and how much of it is done."""

    def __init__(self, say: Callable[[str], None], rounds: int) -> None:
        self._say = say
        self._rounds = rounds
        self._done = 0
        self._begun = time.monotonic()

    def __call__(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        self._say(f"{minutes:02}:{seconds:02} {self._done / max(1, self._rounds):4.0%}  {text}")

    def has_done(self, rounds: int) -> None:
        self._done += rounds


class _Play:
    """The scenarios of a run."""

    def __init__(self, servers: Servers, folder: Path, result: Result, tell: _Progress, only: set[str]) -> None:
        self._servers = servers
        self._folder = folder
        self._result = result
        self._tell = tell
        self._only = only

    def together(self, group: Sequence[Scenario]) -> set[tuple[str, int]]:
        """Play these in turn, round by round; which servers they had."""
        used: set[tuple[str, int]] = set()
        turns: list[tuple[Scenario, str]] = []
        for scenario in group:
            for name in scenario.peers:
                if self._is_wanted(scenario, name) and self._servers.get(name, scenario.users) is not None:
                    turns.append((scenario, name))
                    used.add((name, scenario.users))
        rounds: dict[tuple[str, str], list[Round]] = {(scenario.name, name): [] for scenario, name in turns}
        for number in range(max(scenario.rounds for scenario in group)):
            for scenario, name in turns if number % 2 == 0 else reversed(turns):
                key = scenario.name, name
                if number < scenario.rounds and key in rounds:
                    self._tell(f"{scenario.name}: round {number + 1}/{scenario.rounds}, {name}")
                    if (taken := self._round(scenario, name)) is None:
                        del rounds[key]
                    else:
                        rounds[key].append(taken)
                self._tell.has_done(1)
        for scenario in group:
            sides = {
                name: Side(tuple(rounds[scenario.name, name]))
                for name in scenario.peers
                if (scenario.name, name) in rounds
            }
            if sides:
                load = {**asdict(scenario.timed_load), "users": scenario.users, "mailboxes": scenario.mailboxes}
                self._result.scenarios.append(Measured(scenario.name, scenario.curve, scenario.x, load, sides))
                self._look_closer(scenario)
        return used

    def _is_wanted(self, scenario: Scenario, name: str) -> bool:
        peer = PEERS[name]
        if self._only and name not in self._only:
            return False
        if peer.suited(scenario.timed_load).generator == "smtp-source" and (why := smtp_source.missing()):
            self._result.skipped[name] = why
            return False
        return scenario.load.connections <= peer.most_connections

    def _round(self, scenario: Scenario, name: str) -> Round | None:
        """One, or None where it came to nothing: then the server was ended."""
        key = name, scenario.users
        running = self._servers.get(*key)
        if running is None:
            return None
        recipients = self._servers.recipients(scenario.users, scenario.mailboxes)
        try:
            taken = _take(running, scenario, recipients, self._folder)
        except (RoundFailedError, SystemExit, OSError) as error:
            self._servers.fail(key, f"{scenario.name}: {error}")
            return None
        self._servers.count(key, 0 if scenario.load.no_mail else taken.messages * scenario.load.recipients_each)
        return taken

    def _look_closer(self, scenario: Scenario) -> None:
        """Where the CPU goes, for those of whom the scenario wants to know."""
        if scenario.split and (why := split.missing()):
            self._result.skipped["where the CPU goes"] = why
        for name in scenario.split:
            key = name, scenario.users
            if not self._is_wanted(scenario, name) or (running := self._servers.get(*key)) is None:
                continue
            recipients = self._servers.recipients(scenario.users, scenario.mailboxes)
            self._tell(f"{scenario.name}: where the CPU goes, {name}")
            sent = 0
            try:
                if not split.missing():
                    self._result.splits[name], sent = split.split(running, scenario.load, recipients, self._folder)
                if running.metrics is not None:
                    self._result.plugins, more = shares.shares(running, scenario.load, recipients, self._folder)
                    sent += more
            except (SystemExit, OSError) as error:  # perf and py-spy are not for everybody
                self._result.skipped[f"where the CPU goes, {name}"] = self._servers.without_places(f"{error}")
                self._servers.end(key)
            else:
                self._servers.count(key, sent * scenario.load.recipients_each)


def _take(running: RunningPeer, scenario: Scenario, recipients: Path, folder: Path) -> Round:
    """One round. What others have written goes to the disk before, not meanwhile."""
    os.sync()
    peer, account = running.peer, running.account
    idle = memory_bytes(account.pids())
    load = peer.suited(scenario.timed_load)
    generator = RunningSmtpSource if load.generator == "smtp-source" else RunningLoad
    with (
        generator(running.address, load, recipients, folder, lmtp=peer.is_lmtp) as sending,
        MemoryWatch(account) as memory,
    ):
        sending.await_start()
        begun, cpu_s, machine_s = time.monotonic(), account.cpu_s(), machine_cpu_s()
        done = sending.result()
        stored_seconds = done.seconds
        if not peer.settled(running.site):
            running.await_settled(SETTLE_S)
            stored_seconds = time.monotonic() - begun
        elapsed, cpu_s, machine_s = time.monotonic() - begun, account.cpu_s() - cpu_s, machine_cpu_s() - machine_s
    if done.abandoned or not done.messages or done.refused_4xx + done.refused_5xx + done.lost:
        raise RoundFailedError(done.refusal or "no message was taken")
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
    with tempfile.TemporaryDirectory(prefix="mail-", dir=folder) as name, _without_blanks(Path(name)) as path:
        yield path, warnings
    marker.touch()


@contextmanager
def _without_blanks(folder: Path) -> Iterator[Path]:
    """By a link, where there are some in its path: in the configuration of several servers they end it."""
    folder.chmod(0o755)  # servers that run as other users have to pass
    if " " not in str(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="fastsmtp-bench-") as name:
        Path(name).chmod(0o755)
        link = Path(name, "mail")
        link.symlink_to(folder)
        yield link


def _judge(result: Result) -> None:
    """What a reader has to know before he believes the figures."""
    found = [
        each.others_share for scenario in result.scenarios for side in scenario.sides.values() for each in side.rounds
    ]
    noisy = sum(share > _NOISY for share in found)
    if noisy:
        result.warnings.append(
            f"in {noisy} of {len(found)} rounds others (other programs, the kernel's own threads) had more than "
            f"{_NOISY:.0%} of the machine, {max(found):.0%} at the most"
        )
    if "procfs" in result.accounts:
        result.warnings.append("no control group could be made: CPU is counted in steps of 10 ms a process")
