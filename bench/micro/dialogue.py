"""The whole Python side of one message without sockets and disks: protocol, session, pipeline, directory, log.

A transport that forgets, a store that has the message at once; everything else is what runs in production. Prints the
CPU time of a message (best of the rounds, since noise only adds); `--profile` says where it goes.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench.load.messages import as_chunk, on_wire
from bench.micro.figures import Figure
from fastsmtp._clients import ClientTable, memory_bytes, prepare
from fastsmtp.config.limits import LimitSettings
from fastsmtp.config.model import DirectorySettings, Settings
from fastsmtp.delivery.discard import DiscardStore
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.cache import CachedDirectory
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.log import LineLog
from fastsmtp.pipeline.chain import Chain
from fastsmtp.pipeline.pipeline import Pipeline
from fastsmtp.server.admission import Admission
from fastsmtp.server.clock import SystemClock
from fastsmtp.server.connection import ConnectionProtocol
from fastsmtp.server.identifiers import Identifiers
from fastsmtp.server.overload import Overload
from fastsmtp.server.pace import Patience
from fastsmtp.server.refusals import Refusals
from fastsmtp.server.round import AtOnce
from fastsmtp.server.service import Service
from fastsmtp.server.shared import ConnectionStats, Shared
from fastsmtp.smtp.options import SessionOptions
from fastsmtp.stats import Stats

ENVELOPE = (b"MAIL FROM:<a@bench.example>\r\n", b"RCPT TO:<user@bench.example>\r\n")


def commands(verb: str, octets: int) -> tuple[bytes, ...]:
    """What a client sends for one message, as it sends it."""
    return (*ENVELOPE, b"DATA\r\n", on_wire(octets)) if verb == "data" else (*ENVELOPE, as_chunk(octets))


class Forgetful(asyncio.Transport):
    """Keeps the last write."""

    last = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.last = bytes(data)


def connect(database: Path, log: LineLog) -> tuple[ConnectionProtocol, Forgetful]:
    """A greeted connection."""
    stats, clock = Stats(), SystemClock()
    pipeline = Pipeline(Chain([], stats, clock), cached(database, clock, stats), DiscardStore(), stats)
    counted = ConnectionStats(stats, pipeline.asks)
    shared = Shared(asyncio.get_running_loop(), door(stats), counted, clock, log, Identifiers(clock.time))
    shared.round = AtOnce()
    options = SessionOptions("mx.bench.example", asks=pipeline.asks, messages=0)
    service = Service("bench", shared, options, Patience.of(Settings()), pipeline)
    protocol, transport = ConnectionProtocol(service), Forgetful({"peername": ("127.0.0.1", 1)})
    protocol.connection_made(transport)
    protocol.data_received(b"EHLO bench.example\r\n")
    return protocol, transport


def cached(database: Path, clock: SystemClock, stats: Stats) -> CachedDirectory:
    """The directory as a worker has it."""
    kept = DirectorySettings()
    return CachedDirectory(
        SqliteDirectory(database),
        entries=kept.cache_entries,
        ttl_s=kept.cache_ttl,
        negative_ttl_s=kept.negative_ttl,
        stale_ttl_s=kept.stale_ttl,
        clock=clock,
        stats=stats,
    )


def door(stats: Stats) -> Admission:
    """One that lets a client in."""
    memory = bytearray(memory_bytes(1, 10))
    prepare(memory, 1, 10)
    return Admission(ClientTable(memory, 0), LimitSettings(), Overload(5.0), Refusals(stats), known_s=0.0)


async def measure(database: Path, to_send: tuple[bytes, ...], messages: int, rounds: int, profile: bool) -> float:
    """Microseconds of CPU for a message; a profile is printed where it is asked for."""
    log = LineLog.open(Path(os.devnull), asyncio.get_running_loop())
    protocol, transport = connect(database, log)

    def play(count: int) -> float:
        begun = time.process_time()
        for _ in range(count):
            for command in to_send:
                protocol.data_received(command)
        if not transport.last.startswith(b"250 "):
            raise SystemExit(f"the server said {transport.last!r}")
        return (time.process_time() - begun) / count * 1e6

    play(messages // 10)
    best = min(play(messages) for _ in range(rounds))
    if profile:
        with cProfile.Profile() as profiler:
            play(messages)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    return best


def play_site(verb: str, octets: int, messages: int, rounds: int, profile: bool = False) -> float:
    """The same, with a directory of one user."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "directory.db")
        with SqliteAdmin(database, create=True) as admin:
            admin.add_domain("bench.example")
            admin.add_user("user@bench.example")
        return uvloop.run(measure(database, commands(verb, octets), messages, rounds, profile))


def figures() -> Iterator[Figure]:
    """Of a message of 4 KiB, by either verb."""
    for verb in ("data", "bdat"):
        yield Figure(f"a message by {verb.upper()}, 4 KiB", play_site(verb, 4096, 2000, 5), "us")


def main() -> None:
    """Parse the options, make a directory with one user, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=5000, help="messages in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--verb", choices=("data", "bdat"), default="data", help="how it comes (default: %(default)s)")
    parser.add_argument("--octets", type=int, default=4096, help="size of the message (default: %(default)s)")
    parser.add_argument("--profile", action="store_true", help="show the thirty most expensive functions")
    options = parser.parse_args()
    us = play_site(options.verb, options.octets, options.messages, options.rounds, options.profile)
    print(f"{us:.1f} us of CPU a message (best of {options.rounds} rounds of {options.messages})")


if __name__ == "__main__":
    main()
