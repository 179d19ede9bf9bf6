"""What the directory said, remembered: the hot path meets this, and it bridges the time in which the database is away.

An answer is believed for its lifetime, or until the backend tells of a change. The two rules that matter:

* "No such user" is never said beyond that. Mail that bounces is lost, so in an outage it is "come again".
* "Found" is said for `stale_ttl_s` longer while the backend is away: mail for people we know is taken.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from sys import getsizeof, maxsize
from typing import Final, Protocol, runtime_checkable

from fastsmtp.directory.lru import UsedLately
from fastsmtp.errors import DirectoryAwayError, DirectoryError
from fastsmtp.ports import Clock, Directory, Elsewhere, Found, Login, Logins, NoDomain, NoUser, Whereabouts
from fastsmtp.smtp.address import Address
from fastsmtp.stats import Stats

__all__ = ["CachedDirectory", "Polled", "Telling"]

NEGATIVE: Final = 10
"""One entry in so many is for unknown names, so that guessing them pushes out nobody who exists."""

CHANGED_DOMAINS: Final = 10_000
"""Changes are told apart for so many domains; then it is as if everything had changed."""

RESULTS: Final = ("hit", "negative_hit", "miss", "stale", "away", "wait")

# A domain that is nobody's (RFC 2606): only a backend that is away has no answer.
_NOBODY: Final = Address("postmaster", "directory.invalid")

# Tuples, since `Found | NoUser` would be a new object at every question.
_WHEREABOUTS: Final = (Found, NoUser, NoDomain, Elsewhere)
_REFUSALS: Final = (NoUser, NoDomain)

_log = logging.getLogger("fastsmtp.directory")


@runtime_checkable
class Polled(Protocol):
    """A backend that can be asked whether an answer may be another one since the last call; it raises nothing."""

    def is_changed(self) -> bool:
        """Whether somebody has written."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A backend that tells of changes by itself."""

    def listen(self, changed: Callable[[str | None], None]) -> None:
        """Call `changed` with the canonical name of a domain; None stands for all."""
        ...


class _Entry:
    """An answer; `asked_at` is how many changes had been told when its question was asked."""

    __slots__ = ("answer", "asked_at", "expires_ns", "is_used")

    def __init__(self, answer: Whereabouts, asked_at: int, expires_ns: int) -> None:
        self.answer = answer
        self.asked_at = asked_at
        self.expires_ns = expires_ns
        self.is_used = False


class CachedDirectory:
    """Stands in front of a backend; what it remembers it answers at once, without a future.

    `entries` bounds the memory, `ttl_s` is how many seconds an answer is believed, `negative_ttl_s` the same for
    unknown users and foreign domains, `stale_ttl_s` how much longer somebody is known while the backend is away. A
    backend that is `Polled` is asked for changes every `poll_s` seconds at most; while it is away, it is asked every
    `retry_s` seconds whether it is back, and nothing else.

    Answers are kept by the address as it is spelled, so that a hit folds nothing; foreign domains as a whole.
    """

    def __init__(
        self,
        backend: Directory,
        *,
        entries: int,
        ttl_s: float,
        negative_ttl_s: float,
        stale_ttl_s: float,
        clock: Clock,
        stats: Stats,
        poll_s: float = 0.005,
        retry_s: float = 1.0,
    ) -> None:
        self._backend = backend
        self._known: UsedLately[_Entry] = UsedLately(entries - entries // NEGATIVE)
        self._unknown: UsedLately[_Entry] = UsedLately(entries // NEGATIVE)
        self._get_known = self._known.get
        self._get_unknown = self._unknown.get
        self._ttl_ns, self._negative_ttl_ns, self._stale_ttl_ns, self._poll_ns = (
            int(seconds * 1e9) for seconds in (ttl_s, negative_ttl_s, stale_ttl_s, poll_s)
        )
        self._retry_s = retry_s
        self._monotonic_ns = clock.monotonic_ns
        self._is_changed = backend.is_changed if isinstance(backend, Polled) else None
        self._poll_at_ns = 0 if self._is_changed else maxsize
        self._changes = 0
        self._all_changed_at = 0
        self._changed_at: dict[str, int] = {}
        self._flights: dict[str, tuple[int, asyncio.Task[Whereabouts]]] = {}
        self._tasks: set[asyncio.Task[Whereabouts] | asyncio.Task[None]] = set()
        self._judging = asyncio.Lock()
        self._away: str | None = None
        self._bytes = 0
        self._cells = stats.cells
        requests = stats.counter(
            "fastsmtp_cache_requests_total",
            "Questions to the cache of the directory: a hit (negative: a refusal), a miss that asks the database, or a "
            "wait for who asks the same; in an outage an answer out of date (stale), or none (away).",
            result=RESULTS,
        )
        self._hit, self._negative_hit, self._miss, self._stale, self._unanswered, self._wait = (
            stats.cell(requests, result) for result in RESULTS
        )
        self._entries_cell = stats.cell(stats.gauge("fastsmtp_cache_entries", "Answers in the cache."))
        self._bytes_cell = stats.cell(
            stats.gauge("fastsmtp_cache_bytes", "Memory of their objects; the process grows by about a fifth more.")
        )
        self._evictions = stats.cell(
            stats.counter("fastsmtp_cache_evictions_total", "Answers that went because the cache was full.")
        )
        self._degraded_cell = stats.cell(
            stats.gauge(
                "fastsmtp_cache_degraded",
                "1 while the database is away and only known recipients are served, in any worker.",
                merge="most",
            )
        )

    @property
    def is_degraded(self) -> bool:
        """Whether the backend is away, so that only those are answered for who are remembered."""
        return self._away is not None

    async def open(self) -> None:
        """Open the backend, and listen to what it tells. Raises DirectoryError."""
        await self._backend.open()
        if isinstance(self._backend, Telling):
            self._backend.listen(self.changed)

    async def close(self) -> None:
        """Ask nothing any more, and close the backend."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._backend.close()

    def changed(self, domain: str | None) -> None:
        """Something was written in this (canonical) domain, or, for None, anywhere.

        Only an address that is a mailbox by itself depends on its own domain alone. Aliases lead anywhere, and a user
        who is unknown here may be meant by a change elsewhere, so those are all asked for again.
        """
        self._changes += 1
        if domain is None or len(self._changed_at) == CHANGED_DOMAINS:
            self._changed_at.clear()
            self._all_changed_at = self._changes
        else:
            self._changed_at[domain] = self._changes

    def locate(self, address: Address) -> Whereabouts | Awaitable[Whereabouts]:
        """Where mail for this address goes. Raises DirectoryError, now or when awaited.

        Whoever waits may be cancelled: the question goes on for the others, and for the memory.
        """
        now = self._monotonic_ns()
        if now >= self._poll_at_ns:
            self._poll(now)
        name = str(address)
        entry = self._get_known(name)
        if (
            entry is not None
            and now < entry.expires_ns
            and (entry.asked_at == self._changes or self._is_current(entry, address))
        ):
            entry.is_used = True
            answer = entry.answer
            self._cells[self._hit if type(answer) is Found else self._negative_hit] += 1
            return answer
        for key in (name, _domain_key(address)):
            entry = self._get_unknown(key)
            if entry is not None and now < entry.expires_ns and entry.asked_at == self._changes:
                entry.is_used = True
                self._cells[self._negative_hit] += 1
                return entry.answer
        if self._away is not None:
            return self._last_known(name)
        if (flight := self._flights.get(name)) is not None and flight[0] == self._changes:
            self._cells[self._wait] += 1
            return asyncio.shield(flight[1])
        self._cells[self._miss] += 1
        return self._ask(address, name)

    def find_login(self, address: Address) -> Login | Awaitable[Login | None] | None:
        """The backend's answer, which is not remembered: a password that was changed is the only one at once."""
        if not isinstance(self._backend, Logins):
            raise DirectoryError("this directory knows no passwords")
        return self._backend.find_login(address)

    def _poll(self, now: int) -> None:
        self._poll_at_ns = now + self._poll_ns
        if self._is_changed is not None and self._is_changed():
            self.changed(None)

    def _is_current(self, entry: _Entry, address: Address) -> bool:
        """Whether no change that was told since the question can have touched the answer."""
        if (
            entry.asked_at < self._all_changed_at
            or entry.asked_at < self._changed_at.get(address.domain, 0)
            or not _is_direct(entry.answer, address)
        ):
            return False
        entry.asked_at = self._changes  # next time one look is enough
        return True

    # --- asking the backend ------------------------------------------------------------------------------------------

    def _ask(self, address: Address, name: str) -> Whereabouts | Awaitable[Whereabouts]:
        asked_at = self._changes
        try:
            answer = self._backend.locate(address)
        except DirectoryError as error:
            return self._fly(name, asked_at, self._fall_back(address, name, error))
        if isinstance(answer, _WHEREABOUTS):
            self._keep(address, name, answer, asked_at)
            return answer
        return self._fly(name, asked_at, self._wait_for(address, name, answer, asked_at))

    def _fly(
        self, name: str, asked_at: int, question: Coroutine[object, object, Whereabouts]
    ) -> asyncio.Future[Whereabouts]:
        """A question under way that everybody may wait for; for each it is a future of their own."""
        task = asyncio.get_running_loop().create_task(question)
        flight = self._flights[name] = asked_at, task
        self._tasks.add(task)

        def landed(task: asyncio.Task[Whereabouts]) -> None:
            self._tasks.discard(task)
            if self._flights.get(name) is flight:
                del self._flights[name]

        task.add_done_callback(landed)
        return asyncio.shield(task)

    async def _wait_for(
        self, address: Address, name: str, pending: Awaitable[Whereabouts], asked_at: int
    ) -> Whereabouts:
        try:
            answer = await pending
        except DirectoryError as error:
            return await self._fall_back(address, name, error)
        self._keep(address, name, answer, asked_at)
        return answer

    async def _fall_back(self, address: Address, name: str, error: DirectoryError) -> Whereabouts:
        """The last known answer, if the backend is away; if it answers others, it is asked once more."""
        async with self._judging:
            is_back = self._away is None and await self._answers()
            if not is_back:
                self._set_away(error)
                return self._last_known(name)
        asked_at = self._changes
        answer = self._backend.locate(address)
        if not isinstance(answer, _WHEREABOUTS):
            answer = await answer
        self._keep(address, name, answer, asked_at)
        return answer

    def _keep(self, address: Address, name: str, answer: Whereabouts, asked_at: int) -> None:
        is_refusal = isinstance(answer, _REFUSALS)
        expires_ns = self._monotonic_ns() + (self._negative_ttl_ns if is_refusal else self._ttl_ns)
        store = self._known
        entry = self._get_known(name)
        # Somebody who is gone keeps the place, so that their old answer is gone, too.
        if entry is None and is_refusal:
            store = self._unknown
            if isinstance(answer, NoDomain) and address.domain:
                name = _domain_key(address)
            entry = self._get_unknown(name)
        if entry is None:
            if not store.bound:
                return
            entry = _Entry(answer, asked_at, expires_ns)
            self._bytes += _entry_bytes(name, entry)
            if (evicted := store.add(name, entry)) is not None:
                self._bytes -= _entry_bytes(*evicted)
                self._cells[self._evictions] += 1
        elif entry.asked_at <= asked_at:  # a question that was overtaken is no news
            entry.asked_at, entry.expires_ns = asked_at, expires_ns
            if answer != entry.answer:  # new objects that live long make the garbage collector look at all of them
                self._bytes -= _entry_bytes(name, entry)
                entry.answer = answer
                self._bytes += _entry_bytes(name, entry)
        self._cells[self._entries_cell] = len(self._known) + len(self._unknown)
        self._cells[self._bytes_cell] = self._bytes + self._known.table_bytes + self._unknown.table_bytes

    # --- when the backend is away ------------------------------------------------------------------------------------

    def _last_known(self, name: str) -> Whereabouts:
        """Who was found before is still found. Raises DirectoryAwayError for everybody else."""
        entry = self._get_known(name)
        if (
            entry is not None
            and isinstance(entry.answer, Found)
            and self._monotonic_ns() < entry.expires_ns + self._stale_ttl_ns
        ):
            entry.is_used = True
            self._cells[self._stale] += 1
            return entry.answer
        self._cells[self._unanswered] += 1
        raise DirectoryAwayError(f"not remembered, and {self._away}")

    def _set_away(self, error: DirectoryError) -> None:
        if self._away is not None:
            return
        self._away = str(error)
        self._cells[self._degraded_cell] = 1
        _log.warning("only known recipients are served while the directory is away", extra={"error": self._away})
        task = asyncio.get_running_loop().create_task(self._knock())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _knock(self) -> None:
        """Ask until there is an answer: without it, nobody would ask an MX that said it is not ready."""
        begin = self._monotonic_ns()
        try:
            is_back = False
            while not is_back:
                await asyncio.sleep(self._retry_s)
                is_back = await self._answers()
        finally:
            self._away = None
            self._cells[self._degraded_cell] = 0
        _log.info("the directory is asked again", extra={"away_s": (self._monotonic_ns() - begin) / 1e9})

    async def _answers(self) -> bool:
        try:
            answer = self._backend.locate(_NOBODY)
            if not isinstance(answer, _WHEREABOUTS):
                await answer
        except DirectoryError:
            return False
        return True


def _domain_key(address: Address) -> str:
    """Under which a foreign domain is kept; no address is spelled so."""
    return "@" + address.domain


def _is_direct(answer: Whereabouts, address: Address) -> bool:
    """Whether the address is itself the mailbox: no alias of that name can lead to it (directory/resolve.py)."""
    if not isinstance(answer, Found) or len(answer.mailboxes) != 1:
        return False
    mailbox = answer.mailboxes[0]
    return mailbox.domain == address.domain and mailbox.user == address.folded_local


def _entry_bytes(name: str, entry: _Entry) -> int:
    """What an entry takes, but for the tables; the few names of our domains count as shared."""
    parts: list[object] = [name, entry, maxsize]  # a time in nanoseconds is as large
    answer = entry.answer
    if isinstance(answer, Found):
        parts += [answer, answer.mailboxes]
        for mailbox in answer.mailboxes:
            parts += [mailbox, mailbox.user]
            if mailbox.quota_bytes is not None:
                parts.append(mailbox.quota_bytes)
    elif isinstance(answer, Elsewhere):
        parts += [answer, answer.targets, *answer.targets]
    return sum(getsizeof(part) + 15 & ~15 for part in parts)  # as Python's allocator rounds
