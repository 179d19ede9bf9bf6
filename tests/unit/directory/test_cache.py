"""The cache in front of a directory: lifetimes, one question for many, outages, changes."""

import asyncio
import logging
import sqlite3
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path

import pytest

from fastsmtp.directory.admin import SqliteAdmin
from fastsmtp.directory.cache import CHANGED_DOMAINS, RESULTS, CachedDirectory, Polled, Telling
from fastsmtp.directory.lookup import NO_DOMAIN, NO_USER
from fastsmtp.directory.memory import MemoryDirectory
from fastsmtp.directory.sqlite import SqliteDirectory
from fastsmtp.errors import DirectoryAwayError, DirectoryError
from fastsmtp.ports import Directory, Elsewhere, Found, Login, Mailbox, Whereabouts
from fastsmtp.smtp.address import Address
from fastsmtp.stats import Stats
from fastsmtp.testing.world import SettableClock

JOE = Address("joe", "example.test")
ANN = Address("ann", "example.test")
NOBODY = Address("nobody", "example.test")
JOES = Found((Mailbox("example.test", "joe"),))
DEADLINE_S = 60.0


class Backend:
    """A directory in memory that can be away, slow (`gate`), and remembers what it was asked."""

    def __init__(self, *users: str) -> None:
        self.memory = MemoryDirectory(users)
        self.asked: list[str] = []
        self.is_away = False
        self.gate: asyncio.Event | None = None
        self.changed: Callable[[str | None], None] | None = None
        self.calls: list[str] = []

    def locate(self, address: Address) -> Whereabouts | Awaitable[Whereabouts]:
        self.asked.append(str(address))
        return self._answer(address) if self.gate is None else self._later(address, self.gate)

    def listen(self, changed: Callable[[str | None], None]) -> None:
        self.changed = changed

    async def open(self) -> None:
        self.calls.append("open")

    async def close(self) -> None:
        self.calls.append("close")

    def _answer(self, address: Address) -> Whereabouts:
        if self.is_away:
            raise DirectoryError("the database is away")
        return self.memory.locate(address)

    async def _later(self, address: Address, gate: asyncio.Event) -> Whereabouts:
        answer = None if self.is_away else self._answer(address)  # as it was when the question came in
        await gate.wait()
        return self._answer(address) if answer is None else answer


class Polling(MemoryDirectory):
    """A directory that is asked for changes."""

    polls = 0
    has_news = False

    def is_changed(self) -> bool:
        self.polls += 1
        has_news, self.has_news = self.has_news, False
        return has_news


class Site:
    """A cache with its backend, clock and counters."""

    def __init__(
        self, backend: Directory, *, entries: int = 100, stale_ttl_s: float = 3600, retry_s: float = 0.001
    ) -> None:
        self.clock = SettableClock()
        self.stats = Stats()
        self.cache = CachedDirectory(
            backend,
            entries=entries,
            ttl_s=60,
            negative_ttl_s=10,
            stale_ttl_s=stale_ttl_s,
            clock=self.clock,
            stats=self.stats,
            retry_s=retry_s,
        )

    def now(self, address: Address) -> Whereabouts:
        """The answer, which has to be there at once."""
        answer = self.cache.locate(address)
        assert isinstance(answer, Whereabouts)
        return answer

    def pending(self, address: Address) -> asyncio.Future[Whereabouts]:
        """The answer, which must not be there yet."""
        answer = self.cache.locate(address)
        assert asyncio.isfuture(answer)
        return answer

    def count(self, name: str) -> int:
        (family,) = (family for family in self.stats.families() if family.name == f"fastsmtp_cache_{name}")
        return self.stats.cells[family.children[()]]

    @property
    def requests(self) -> dict[str, int]:
        """Those results that were counted."""
        family = self.stats.counter("fastsmtp_cache_requests_total", "", result=RESULTS)
        counts = {result: self.stats.cells[self.stats.cell(family, result)] for result in RESULTS}
        return {result: count for result, count in counts.items() if count}


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def away(site: Site, backend: Backend) -> None:
    """Let the backend be away, and the cache know it."""
    backend.is_away = True
    with pytest.raises(DirectoryAwayError):
        await site.pending(Address("who", "notices.test"))
    assert site.cache.is_degraded


def run(test: Coroutine[object, object, None]) -> None:
    async def within_the_deadline() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await test

    asyncio.run(within_the_deadline())


# --- lifetimes --------------------------------------------------------------------------------------------------------


def test_what_is_known_is_not_asked_again_until_it_expires() -> None:
    backend = Backend("joe@example.test")
    site = Site(backend)
    assert site.now(JOE) == JOES
    backend.memory.remove_user("joe@example.test")
    site.clock.advance(59.9)
    assert site.now(JOE) == JOES
    site.clock.advance(0.1)
    assert site.now(JOE) == NO_USER
    assert backend.asked == ["joe@example.test"] * 2
    assert site.requests == {"hit": 1, "miss": 2}


def test_the_same_answer_again_is_no_new_object() -> None:
    site = Site(Backend("joe@example.test"))
    first = site.now(JOE)
    site.clock.advance(60)
    assert site.now(JOE) == first
    assert site.now(JOE) is first
    assert site.requests == {"miss": 2, "hit": 1}


def test_unknown_users_have_a_lifetime_of_their_own() -> None:
    backend = Backend("joe@example.test")
    site = Site(backend)
    assert site.now(ANN) == NO_USER
    backend.memory.add_user("ann@example.test")
    site.clock.advance(9.9)
    assert site.now(ANN) == NO_USER
    site.clock.advance(0.1)
    assert site.now(ANN) == Found((Mailbox("example.test", "ann"),))
    site.clock.advance(50)
    assert site.now(ANN) == Found((Mailbox("example.test", "ann"),))
    assert site.requests == {"negative_hit": 1, "miss": 2, "hit": 1}


def test_who_is_gone_is_gone_for_the_negative_lifetime() -> None:
    backend = Backend("joe@example.test")
    site = Site(backend)
    site.now(JOE)
    backend.memory.remove_user("joe@example.test")
    site.clock.advance(60)
    assert [site.now(JOE), site.now(JOE)] == [NO_USER, NO_USER]
    assert site.requests == {"miss": 2, "negative_hit": 1}
    site.clock.advance(10)
    backend.memory.add_user("joe@example.test")
    assert site.now(JOE) == JOES


def test_a_foreign_domain_is_one_entry() -> None:
    backend = Backend("joe@example.test")
    site = Site(backend)
    for number in range(20):
        assert site.now(Address(f"user{number}", "foreign.test")) == NO_DOMAIN
    assert backend.asked == ["user0@foreign.test"]
    assert site.count("entries") == 1
    assert site.requests == {"miss": 1, "negative_hit": 19}


def test_a_domain_and_an_address_of_the_same_name_are_two_things() -> None:
    backend = Backend()
    backend.memory = MemoryDirectory(["boss@example.test"], postmaster=Address("boss", "example.test"))
    site = Site(backend)
    assert site.now(Address("joe", "postmaster")) == NO_DOMAIN
    assert site.now(Address("joe", "")) == NO_DOMAIN
    bosses = Found((Mailbox("example.test", "boss"),))
    assert [site.now(Address("postmaster", "")) for _ in range(2)] == [bosses, bosses]
    assert site.requests == {"miss": 3, "hit": 1}


def test_spellings_are_asked_for_one_by_one() -> None:
    backend = Backend("joe@example.test", '"two words"@example.test')
    site = Site(backend)
    for local in ("joe", "JOE", "joe+tag"):
        assert [site.now(Address(local, "example.test")) for _ in range(2)] == [JOES, JOES]
    assert site.now(Address("two words", "example.test")) == Found((Mailbox("example.test", "two words"),))
    assert site.requests == {"miss": 4, "hit": 3}


def test_an_alias_that_leads_away_is_believed_as_long_as_a_user() -> None:
    backend = Backend("joe@example.test")
    backend.memory.add_alias("list@example.test", "ann@foreign.test")
    site = Site(backend)
    address = Address("list", "example.test")
    assert site.now(address) == Elsewhere(("ann@foreign.test",))
    site.clock.advance(59)
    assert site.now(address) == Elsewhere(("ann@foreign.test",))
    assert site.requests == {"miss": 1, "negative_hit": 1}


# --- the bound --------------------------------------------------------------------------------------------------------


def test_guessing_names_pushes_out_nobody_who_exists() -> None:
    backend = Backend(*(f"user{number}@example.test" for number in range(90)))
    site = Site(backend, entries=100)
    users = [Address(f"user{number}", "example.test") for number in range(90)]
    for user in users:
        site.now(user)
    for number in range(1000):
        assert site.now(Address(f"guess{number}", "example.test")) == NO_USER
        assert site.count("entries") <= 100
    asked = len(backend.asked)
    assert all(isinstance(site.now(user), Found) for user in users)
    assert len(backend.asked) == asked
    assert site.count("entries") == 100
    assert site.count("evictions_total") == 990


@pytest.mark.parametrize("entries", [0, 1, 5])
def test_small_memories(entries: int) -> None:
    backend = Backend(*(f"user{number}@example.test" for number in range(9)))
    site = Site(backend, entries=entries)
    for _ in range(2):
        for number in range(9):
            assert isinstance(site.now(Address(f"user{number}", "example.test")), Found)
            assert site.now(Address(f"guess{number}", "example.test")) == NO_USER
    assert site.count("entries") == entries


def test_the_gauge_of_bytes_is_true() -> None:
    count = 5_000
    backend = Backend(*(f"user{number:05}@example.test" for number in range(count)))
    site = Site(backend, entries=count * 2)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            site.now(Address(f"user{number:05}", "example.test"))
        backend.asked.clear()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.9 < site.count("bytes") / taken < 1.1


def test_the_gauge_of_bytes_follows_every_answer() -> None:
    backend = Backend(*(f"user{number}@example.test" for number in range(50)))
    site = Site(backend, entries=20)
    for number in range(50):
        site.now(Address(f"user{number}", "example.test"))
    full = site.count("bytes")
    for _ in range(3):
        site.clock.advance(60)
        for number in range(50):
            site.now(Address(f"user{number}", "example.test"))
    assert site.count("bytes") == full


# --- one question for many --------------------------------------------------------------------------------------------


def test_many_wait_for_one_question() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        backend.gate = asyncio.Event()
        site = Site(backend)
        waiting = [site.pending(JOE) for _ in range(5)]
        await asyncio.sleep(0)
        backend.gate.set()
        assert await asyncio.gather(*waiting) == [JOES] * 5
        assert backend.asked == ["joe@example.test"]
        assert site.requests == {"miss": 1, "wait": 4}
        assert site.now(JOE) == JOES

    run(test())


@pytest.mark.parametrize("cancelled", [0, 1])
def test_who_is_cancelled_hurts_nobody_else(cancelled: int) -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        backend.gate = asyncio.Event()
        site = Site(backend)
        waiting = [site.pending(JOE) for _ in range(3)]
        await asyncio.sleep(0)
        waiting.pop(cancelled).cancel()
        await asyncio.sleep(0)
        backend.gate.set()
        assert await asyncio.gather(*waiting) == [JOES] * 2
        assert backend.asked == ["joe@example.test"]

    run(test())


def test_the_question_goes_on_when_nobody_waits() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        backend.gate = asyncio.Event()
        site = Site(backend)
        waiting = site.pending(JOE)
        await asyncio.sleep(0)
        waiting.cancel()
        backend.gate.set()
        await until(lambda: site.count("entries") == 1)
        assert site.now(JOE) == JOES

    run(test())


def test_trouble_is_told_to_everybody_who_waits() -> None:
    async def test() -> None:
        backend = Backend()
        backend.gate = asyncio.Event()
        backend.is_away = True
        site = Site(backend)
        waiting = [site.pending(JOE) for _ in range(3)]
        await asyncio.sleep(0)
        backend.gate.set()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in told] == [DirectoryAwayError] * 3
        await site.cache.close()

    run(test())


def test_nobody_waits_for_a_question_that_is_older_than_a_change() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        old_gate = backend.gate = asyncio.Event()
        site = Site(backend)
        before = site.pending(ANN)
        await asyncio.sleep(0)
        backend.memory.add_user("ann@example.test")
        site.cache.changed("example.test")
        backend.gate = asyncio.Event()
        after = site.pending(ANN)
        backend.gate.set()
        anns = Found((Mailbox("example.test", "ann"),))
        assert await after == anns
        old_gate.set()  # the old question is overtaken
        assert await before == NO_USER
        assert site.now(ANN) == anns

    run(test())


def test_an_answer_that_a_change_overtook_is_not_kept() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        backend.gate = asyncio.Event()
        site = Site(backend)
        before = site.pending(ANN)
        await asyncio.sleep(0)
        backend.memory.add_user("ann@example.test")
        site.cache.changed("example.test")
        backend.gate.set()
        assert await before == NO_USER
        backend.gate = None
        assert site.now(ANN) == Found((Mailbox("example.test", "ann"),))

    run(test())


# --- outages ----------------------------------------------------------------------------------------------------------


def test_known_recipients_outlive_the_database(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        caplog.set_level(logging.INFO, "fastsmtp.directory")
        backend = Backend("joe@example.test")
        site = Site(backend, retry_s=DEADLINE_S)
        site.now(JOE)
        site.clock.advance(61)
        backend.is_away = True
        assert await site.pending(JOE) == JOES
        assert site.cache.is_degraded
        assert site.count("degraded") == 1
        asked = len(backend.asked)
        assert [site.now(JOE) for _ in range(5)] == [JOES] * 5
        with pytest.raises(DirectoryAwayError, match="the database is away"):
            site.now(ANN)
        assert len(backend.asked) == asked
        assert site.requests == {"miss": 2, "stale": 6, "away": 1}
        site.clock.advance(3600 - 1.1)
        assert site.now(JOE) == JOES
        site.clock.advance(0.2)
        with pytest.raises(DirectoryAwayError):
            site.now(JOE)
        await site.cache.close()
        assert [record.getMessage() for record in caplog.records] == [
            "only known recipients are served while the directory is away"
        ]

    run(test())


def test_it_comes_back_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        caplog.set_level(logging.INFO, "fastsmtp.directory")
        backend = Backend("joe@example.test")
        site = Site(backend)
        site.now(JOE)
        await away(site, backend)
        asked = len(backend.asked)
        await until(lambda: len(backend.asked) >= asked + 3)
        assert site.cache.is_degraded
        assert set(backend.asked[asked:]) == {"postmaster@directory.invalid"}
        backend.is_away = False
        await until(lambda: not site.cache.is_degraded)
        assert site.count("degraded") == 0
        assert site.now(ANN) == NO_USER
        assert [record.getMessage() for record in caplog.records] == [
            "only known recipients are served while the directory is away",
            "the directory is asked again",
        ]

    run(test())


def test_in_an_outage_nobody_is_refused_beyond_the_lifetime() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        backend.memory.add_alias("list@example.test", "ann@foreign.test")
        site = Site(backend, retry_s=DEADLINE_S)
        refused = [ANN, Address("list", "example.test"), Address("ann", "foreign.test")]
        for address in refused:
            assert not isinstance(site.now(address), Found)
        await away(site, backend)
        site.clock.advance(9)
        for address in refused:
            assert not isinstance(site.now(address), Found)
        site.clock.advance(51)
        for address in refused:
            with pytest.raises(DirectoryAwayError):
                site.now(address)
        await site.cache.close()

    run(test())


def test_who_was_gone_before_the_outage_stays_gone() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        site = Site(backend, retry_s=DEADLINE_S)
        site.now(JOE)
        backend.memory.remove_user("joe@example.test")
        site.cache.changed("example.test")
        assert site.now(JOE) == NO_USER
        await away(site, backend)
        site.clock.advance(11)
        with pytest.raises(DirectoryAwayError):
            site.now(JOE)
        await site.cache.close()

    run(test())


def test_a_change_before_the_outage_leaves_what_was_known() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        site = Site(backend, retry_s=DEADLINE_S)
        site.now(JOE)
        site.now(ANN)
        site.cache.changed(None)
        await away(site, backend)
        assert site.now(JOE) == JOES
        with pytest.raises(DirectoryAwayError):  # the change may have been that she was added
            site.now(ANN)
        await site.cache.close()

    run(test())


def test_an_alias_that_leads_nowhere_is_no_outage() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        backend.memory.add_alias("list@example.test", "joe@example.test")
        site = Site(backend)
        address = Address("list", "example.test")
        assert site.now(address) == JOES
        backend.memory.remove_user("joe@example.test")
        site.cache.changed("example.test")
        with pytest.raises(DirectoryError, match="leads to no mailbox") as caught:
            await site.pending(address)
        assert not isinstance(caught.value, DirectoryAwayError)
        assert not site.cache.is_degraded

    run(test())


def test_who_meets_a_moment_of_trouble_is_answered_at_the_second_try() -> None:
    class Blink(Backend):
        """Away for one question."""

        def _answer(self, address: Address) -> Whereabouts:
            self.is_away = len(self.asked) == 1
            return super()._answer(address)

    async def test(backend: Backend) -> None:
        site = Site(backend)
        assert await site.pending(JOE) == JOES
        assert not site.cache.is_degraded
        assert backend.asked == ["joe@example.test", "postmaster@directory.invalid", "joe@example.test"]
        assert site.now(JOE) == JOES

    async def slow() -> None:
        backend = Blink("joe@example.test")
        backend.gate = asyncio.Event()
        backend.gate.set()
        backend.is_away = True
        await test(backend)

    run(test(Blink("joe@example.test")))
    run(slow())


def test_a_slow_database_that_fails() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test")
        site = Site(backend, retry_s=DEADLINE_S)
        site.now(JOE)
        site.clock.advance(60)
        backend.gate, backend.is_away = asyncio.Event(), True
        waiting = [site.pending(address) for address in (JOE, JOE, ANN)]
        await asyncio.sleep(0)
        backend.gate.set()
        joe, again, ann = await asyncio.gather(*waiting, return_exceptions=True)
        assert (joe, again) == (JOES, JOES)
        assert isinstance(ann, DirectoryAwayError)
        assert site.now(JOE) == JOES
        await site.cache.close()

    run(test())


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_change_is_seen_at_once() -> None:
    async def test() -> None:
        backend = Backend("joe@example.test", "eve@other.test")
        site = Site(backend)
        await site.cache.open()
        assert backend.calls == ["open"]
        assert backend.changed is not None
        assert [site.now(JOE), site.now(ANN), site.now(Address("bob", "new.test"))] == [JOES, NO_USER, NO_DOMAIN]
        backend.memory.remove_user("joe@example.test")
        backend.memory.add_user("ann@example.test")
        backend.changed("example.test")
        assert site.now(JOE) == NO_USER
        assert site.now(ANN) == Found((Mailbox("example.test", "ann"),))
        backend.memory.add_user("bob@new.test")
        backend.changed(None)
        assert site.now(Address("bob", "new.test")) == Found((Mailbox("new.test", "bob"),))
        await site.cache.close()
        assert backend.calls == ["open", "close"]

    run(test())


def test_a_change_in_one_domain_leaves_the_users_of_others_alone() -> None:
    backend = Backend("joe@example.test", "eve@other.test")
    site = Site(backend)
    eve = Address("eve", "other.test")
    for address in (JOE, eve):
        site.now(address)
    for _ in range(3):
        site.cache.changed("example.test")
        assert site.now(eve) == Found((Mailbox("other.test", "eve"),))
    assert backend.asked == ["joe@example.test", "eve@other.test"]
    site.cache.changed("other.test")
    site.now(eve)
    site.cache.changed(None)
    site.now(eve)
    assert backend.asked[2:] == ["eve@other.test"] * 2


def test_a_change_in_any_domain_concerns_who_is_reached_by_aliases() -> None:
    backend = Backend("joe@example.test", "eve@other.test")
    backend.memory.add_alias("joes@other.test", "joe@example.test")
    backend.memory.add_domain_alias("alias.test", "example.test")
    site = Site(backend)
    addresses = [Address("joes", "other.test"), Address("joe", "alias.test"), Address("joe+tag", "example.test")]
    assert [site.now(address) for address in addresses] == [JOES] * 3
    backend.memory.remove_user("joe@example.test")
    backend.memory.add_user("joes@other.test")
    site.cache.changed("other.test")
    assert site.now(addresses[0]) == Found((Mailbox("other.test", "joes"),))
    site.cache.changed("example.test")
    assert [site.now(address) for address in addresses[1:]] == [NO_USER] * 2


def test_very_many_domains_that_change_are_all_domains() -> None:
    backend = Backend("joe@example.test", "eve@other.test")
    site = Site(backend)
    site.now(JOE)
    for number in range(CHANGED_DOMAINS):
        site.cache.changed(f"d{number}.test")
    site.now(JOE)
    assert len(backend.asked) == 1
    site.cache.changed("one-more.test")
    site.now(JOE)
    assert len(backend.asked) == 2


def test_who_cannot_tell_is_asked_now_and_then() -> None:
    backend = Polling(["joe@example.test"])
    assert isinstance(backend, Polled)
    assert not isinstance(backend, Telling)
    site = Site(backend)
    for _ in range(5):
        assert site.now(ANN) == NO_USER
    assert backend.polls == 1
    backend.add_user("ann@example.test")
    backend.has_news = True
    site.clock.advance(0.004)
    assert site.now(ANN) == NO_USER
    site.clock.advance(0.001)
    assert site.now(ANN) == Found((Mailbox("example.test", "ann"),))
    assert backend.polls == 2


def test_in_front_of_sqlite(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "directory.db"
        with SqliteAdmin(path, create=True) as admin:
            admin.add_domain("example.test")
            admin.add_user("joe@example.test")
            site = Site(SqliteDirectory(path, recheck_s=0))
            await site.cache.open()
            assert [site.now(address) for address in (JOE, ANN, JOE)] == [JOES, NO_USER, JOES]
            admin.add_user("ann@example.test")
        site.clock.advance(0.005)
        assert site.now(ANN) == Found((Mailbox("example.test", "ann"),))
        path.rename(tmp_path / "elsewhere.db")
        with closing(sqlite3.connect(path)):  # a database without tables is as good as none
            pass
        site.clock.advance(61)
        assert await site.pending(JOE) == JOES
        assert site.cache.is_degraded
        with pytest.raises(DirectoryAwayError):
            site.now(NOBODY)
        await site.cache.close()

    run(test())


def test_logins_are_not_remembered() -> None:
    async def test() -> None:
        memory = MemoryDirectory()
        memory.add_user("joe@example.test", password_hash="one")  # noqa: S106 - it is nobody's
        site = Site(memory)
        assert site.cache.find_login(JOE) == Login(JOE, "one")
        memory.add_user("joe@example.test", password_hash="two")  # noqa: S106
        assert site.cache.find_login(JOE) == Login(JOE, "two")
        with pytest.raises(DirectoryError, match="knows no passwords"):
            Site(Backend()).cache.find_login(JOE)

    run(test())
