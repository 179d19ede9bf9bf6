"""`kill -9` of the whole server under load, many times: what was answered 250 is there, whole, and nothing is torn.

What the kernel has it keeps when a process dies, so this is about the order of things, not about the disk; the power
cut has a test of its own. KILL_ROUNDS=100 is the long form.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Final

import pytest
from integration.letters import LARGE, SIZES, Client, Letter, check_mailboxes
from integration.server import make_site, serve, start_and_kill, wait_until

ROUNDS: Final = int(os.environ.get("KILL_ROUNDS", "3"))
CLIENTS: Final = 4
USERS: Final = [f"{user}@{domain}" for domain in ("example.test", "example.org") for user in ("alice", "bob", "carol")]


def letters(name: str) -> Iterator[Letter]:
    """Letters without end, most of them small; the same for the same name."""
    dice = Random(name)  # noqa: S311 - nothing is secret here
    number = 0
    while True:
        number += 1
        [size] = dice.choices(SIZES, weights=(50, 40, 6, 4))
        yield Letter(f"{name}-{number}", size, tuple(dice.sample(USERS, dice.randint(1, 3))))


def serve_and_kill(configuration: Path, name: str, dice: Random) -> list[Client]:
    """One round: start, some load, SIGKILL. The clients know what they sent and what they were promised."""
    with serve(configuration) as server:
        clients = [Client(server) for _ in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            try:
                loads = [
                    pool.submit(client.send_until_killed, letters(f"{name}-{number}"))
                    for number, client in enumerate(clients)
                ]
                wait_until(lambda: any(client.promised for client in clients), "the first 250")
                time.sleep(dice.uniform(0, 0.4))  # the random moment
            finally:
                server.stop(SIGKILL)
            for load in loads:
                load.result()
        for client in clients:
            client.close()
        assert not server.troubles()
        assert "error" not in server.stderr()
    return clients


@pytest.mark.parametrize("durability", ["journal", "fsync", "none"])
def test_what_was_promised_is_there_after_kills(tmp_path: Path, durability: str) -> None:
    settings = {"maildir.durability": durability, "maildir.journal_size": "4MiB"}
    configuration = make_site(tmp_path / "site", settings, USERS, "")
    sent: dict[str, Letter] = {}
    promised: dict[str, str] = {}
    for number in range(ROUNDS):
        dice = Random(f"{durability} {number}")  # noqa: S311 - to kill at the same moment next time
        for client in serve_and_kill(configuration, str(number), dice):
            sent |= client.sent
            promised |= client.promised
        if dice.random() < 0.5:  # with some luck, in the middle of the recovery
            start_and_kill(configuration, lambda: time.sleep(dice.uniform(0.2, 0.6)))  # noqa: B023 - called here
    with serve(configuration) as server:
        found = check_mailboxes(server, USERS, sent, promised)
        assert not server.troubles()
    assert len(promised) >= ROUNDS
    if durability == "journal":
        # What is journalled is in all of its mailboxes or in none, also when nobody was promised anything.
        assert not [name for name in found if sent[name].size < LARGE and found[name] != len(sent[name].recipients)]
