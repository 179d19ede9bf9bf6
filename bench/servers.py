"""The servers of a run: started when they are first needed, warmed, counted, ended."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from subprocess import SubprocessError
from typing import Final

from bench.load.generator import Load, recipients_file, run
from bench.peers import PEERS
from bench.peers.peer import Peer, RunningPeer, Site
from bench.results import Result

__all__ = ["DOMAIN", "SETTLE_S", "Servers"]

DOMAIN: Final = "bench.example"
SETTLE_S: Final = 120.0

_WARM_ROUNDS: Final = 2
_WARM_MESSAGES: Final = 2000
_MOST_FAILURES: Final = 2

Key = tuple[str, int]
"""Name of the peer, and users in its directory."""


class Servers:
    """What runs, by key. Mail that each has taken is counted. Who fails is told of, and the others go on."""

    def __init__(self, folder: Path, result: Result, say: Callable[[str], None], *, mailboxes: int) -> None:
        """`mailboxes` get mail at the most."""
        self._folder = folder
        self._result = result
        self._say = say
        self._mailboxes = mailboxes
        self._running: dict[Key, RunningPeer] = {}
        self._expected: dict[Key, int] = {}
        self._failures = Counter[str]()
        self._starts = 0

    def get(self, name: str, users: int) -> RunningPeer | None:
        """Running and warm, or None where it cannot run here."""
        key = name, users
        if key not in self._running:
            peer = PEERS[name]
            if why := peer.missing():
                self._result.skipped[name] = why
                return None
            if self._failures[name] >= _MOST_FAILURES:
                return None
            try:
                self._start(key, peer)
            except (SystemExit, OSError, SubprocessError, LookupError) as error:
                self.fail(key, f"{error}")
                return None
        return self._running[key]

    def _start(self, key: Key, peer: Peer) -> None:
        self._say(f"starting {peer.name}")
        self._starts += 1
        folder = self._folder / f"{self._starts}-{peer.name}-{key[1]}".replace(" ", "-")
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
        recipients = self.recipients(key[1], self._mailboxes)
        messages = max(_WARM_ROUNDS * min(key[1], self._mailboxes), _WARM_MESSAGES)
        load = peer.suited(Load(messages=messages))
        done = run(running.address, load, recipients, self._folder, lmtp=peer.is_lmtp)
        if done.messages != messages:
            raise SystemExit(done.refusal)
        running.await_settled(SETTLE_S)
        self.count(key, done.messages)

    def recipients(self, users: int, mailboxes: int) -> Path:
        """A file with the addresses that get mail: so many, spread evenly over the users."""
        chosen = min(users, mailboxes)
        numbers = (at * users // chosen for at in range(chosen))
        return recipients_file(self._folder, [f"user{number}@{DOMAIN}" for number in numbers])

    def count(self, key: Key, files: int) -> None:
        """So many files more should be in its mailboxes."""
        self._expected[key] += files

    def fail(self, key: Key, why: str) -> None:
        """It has not done what it was to do: end it. It is started once more when it is needed again."""
        name = key[0]
        self._failures[name] += 1
        self._result.failures.append(f"{name}: {self.without_places(why)}")
        self._say(f"{name} failed: {why}")
        self.end(key)

    def end(self, key: Key) -> None:
        """Without a look at what it has: nobody knows what it should have. It is started anew when it is needed."""
        if (running := self._running.pop(key, None)) is not None:
            running.stop()

    def without_places(self, text: str) -> str:
        """A result may be shown to anybody: it names no folders of the machine."""
        return text.replace(f"{self._folder}{os.sep}", "").replace(f"{self._folder}", "").strip()[:500]

    def release(self, keys: Iterable[Key]) -> None:
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
