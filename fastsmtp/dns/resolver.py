"""Asks the DNS, remembers what it said, and keeps nobody waiting for longer than they can wait."""

import asyncio
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Literal, TypeVar

from fastsmtp.config.dns import DnsSettings
from fastsmtp.dns.budget import Waited
from fastsmtp.dns.cache import DnsCache
from fastsmtp.dns.channel import Channel
from fastsmtp.dns.names import can_be_asked, is_dns_name
from fastsmtp.dns.questions import Kind
from fastsmtp.errors import DnsError
from fastsmtp.ports import Clock, DnsAnswer, Lookup, MailExchanger
from fastsmtp.smtp.transaction import Connection, Transaction
from fastsmtp.stats import Stats

__all__ = ["CachedResolver"]

T = TypeVar("T")

LOOKUPS: Final = ("hit", "negative_hit", "failure_hit", "miss", "wait", "no_budget", "no_name")

_NO_SUCH_NAME: Final[DnsAnswer[Any]] = DnsAnswer(exists=False)


class CachedResolver:
    """A resolver with a memory: what it remembers it answers at once, without a future.

    A question is asked once, however many wait for it. Each of them waits for the timeout at most, and for what is left
    of their budget; the question itself goes on, for the memory, until the servers have had their time.
    """

    def __init__(self, settings: DnsSettings, clock: Clock, stats: Stats) -> None:
        self._channel = Channel(settings, clock, stats)
        self._timeout_ns = int(settings.timeout * 1e9)
        self._budget_ns = int(settings.budget * 1e9)
        self._monotonic_ns = clock.monotonic_ns
        self._cache = DnsCache(
            settings.cache_entries,
            settings.cache_size,
            ttl_min_s=settings.ttl_min,
            ttl_max_s=settings.ttl_max,
            negative_ttl_s=settings.negative_ttl,
            failure_ttl_s=settings.failure_ttl,
            monotonic_ns=clock.monotonic_ns,
        )
        self._flights: dict[str, list[asyncio.Future[DnsAnswer[Any]]]] = {}
        self._cells = stats.cells
        lookups = stats.counter(
            "fastsmtp_dns_lookups_total",
            "What plugins wanted of the DNS: a hit in the cache (negative: there is nothing; failure: trouble just "
            "now), a miss that asks a server, a wait for who asks the same, nothing for lack of time (no_budget), "
            "or nothing since the DNS cannot have such a name (no_name).",
            result=LOOKUPS,
        )
        self._hit, self._negative_hit, self._failure_hit, self._miss, self._wait, self._no_budget, self._no_name = (
            stats.cell(lookups, result) for result in LOOKUPS
        )
        self._entries_cell = stats.cell(stats.gauge("fastsmtp_dns_cache_entries", "Answers in the cache of the DNS."))
        self._octets_cell = stats.cell(stats.gauge("fastsmtp_dns_cache_bytes", "Memory that they take, about."))

    def addresses(
        self, name: str, about: Connection | Transaction | None = None, /, *, version: Literal[4, 6] | None = None
    ) -> Lookup[IPv4Address | IPv6Address]:
        """A and AAAA records, or only those of one version of IP."""
        if version is not None:
            return self._look_up("A" if version == 4 else "AAAA", name, about)
        return _both([self._look_up("A", name, about), self._look_up("AAAA", name, about)])

    def mx(self, name: str, about: Connection | Transaction | None = None, /) -> Lookup[MailExchanger]:
        """MX records, the most preferred first."""
        return self._look_up("MX", name, about)

    def txt(self, name: str, about: Connection | Transaction | None = None, /) -> Lookup[str]:
        """TXT records, the strings of each in one."""
        return self._look_up("TXT", name, about)

    def reverse(self, address: str, about: Connection | Transaction | None = None, /) -> Lookup[str]:
        """The names of an IP address. Raises ValueError for what is none."""
        return self._look_up("PTR", ip_address(address).reverse_pointer, about)

    async def close(self) -> None:
        """Ask nothing any more; who still waits gets a DnsError."""
        await self._channel.close()

    def _look_up(self, kind: Kind, name: str, about: Connection | Transaction | None) -> Lookup[Any]:
        name = name.removesuffix(".").lower()
        question = f"{kind} {name}"
        kept = self._cache.get(question)
        if kept is not None:
            if kept.answer is None:
                self._cells[self._failure_hit] += 1
                raise DnsError(kept.trouble)
            self._cells[self._hit if kept.answer.records else self._negative_hit] += 1
            return kept.answer
        if not is_dns_name(name):
            self._cells[self._no_name] += 1
            return _NO_SUCH_NAME
        if not can_be_asked(name):
            self._cells[self._no_name] += 1
            raise DnsError("a name that cannot be asked")
        return self._wait_for(question, kind, name, about)

    def _wait_for(
        self, question: str, kind: Kind, name: str, about: Connection | Transaction | None
    ) -> asyncio.Future[DnsAnswer[Any]]:
        now_ns = self._monotonic_ns()
        within_ns = self._timeout_ns
        waited: Waited | None = None
        is_last_time = False
        if about is not None:
            waited = about.notes.get(Waited)
            if waited is None:
                waited = Waited()
                about.notes.put(waited)
            left_ns = self._budget_ns - waited.spent_ns(now_ns)
            if left_ns <= 0:
                self._cells[self._no_budget] += 1
                raise DnsError("no time left for the DNS")
            waited.begin(now_ns)
            is_last_time = left_ns <= within_ns
            within_ns = min(within_ns, left_ns)
        waiters = self._flights.get(question)
        if waiters is None:
            self._cells[self._miss] += 1
            waiters = self._flights[question] = []
            asked = self._channel.ask(kind, name)
            asked.add_done_callback(partial(self._landed, question))
        else:
            self._cells[self._wait] += 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[DnsAnswer[Any]] = loop.create_future()
        timer = loop.call_later(within_ns / 1e9, self._out_of_time, future, waited if is_last_time else None)
        future.add_done_callback(partial(self._left, timer, waited))
        waiters.append(future)
        return future

    def _landed(self, question: str, asked: "asyncio.Future[tuple[DnsAnswer[Any], int | None]]") -> None:
        """Everybody hears the answer, and it is remembered."""
        waiters = self._flights.pop(question)
        error = asked.exception()
        if error is None:
            answer, ttl_s = asked.result()
            answer = self._cache.keep(question, answer, ttl_s)
            for future in waiters:
                if not future.done():
                    future.set_result(answer)
        elif isinstance(error, DnsError):
            self._cache.keep_trouble(question, error)
            for future in waiters:
                _fail(future, str(error))
        else:
            raise error  # a fault of ours: the loop logs it, who waits runs into the timeout
        self._cells[self._entries_cell] = len(self._cache)
        self._cells[self._octets_cell] = self._cache.octets

    def _out_of_time(self, future: asyncio.Future[DnsAnswer[Any]], waited: Waited | None) -> None:
        if waited is not None:
            waited.use_up(self._budget_ns)
        _fail(future, "timeout")

    def _left(self, timer: asyncio.TimerHandle, waited: Waited | None, _: asyncio.Future[DnsAnswer[Any]]) -> None:
        timer.cancel()
        if waited is not None:
            waited.end(self._monotonic_ns())


def _fail(future: asyncio.Future[DnsAnswer[Any]], trouble: str) -> None:
    if not future.done():
        future.set_exception(DnsError(trouble))
        future.exception()  # nobody has to look


def _both(lookups: Sequence[Lookup[Any]]) -> Lookup[Any]:
    """The records of two kinds in one answer, trouble where either has trouble."""
    pending = [lookup for lookup in lookups if not isinstance(lookup, DnsAnswer)]
    if not pending:
        return _merged(lookups)  # type: ignore[arg-type] # answers, all of them
    future: asyncio.Future[DnsAnswer[Any]] = asyncio.get_running_loop().create_future()

    def one_done(done: asyncio.Future[DnsAnswer[Any]]) -> None:
        if future.done():
            return
        if done.cancelled():
            future.cancel()
        elif (error := done.exception()) is not None:
            _fail(future, str(error))
        elif all(lookup.done() for lookup in pending):
            future.set_result(
                _merged([lookup if isinstance(lookup, DnsAnswer) else lookup.result() for lookup in lookups])
            )

    def left(_: asyncio.Future[DnsAnswer[Any]]) -> None:
        for lookup in pending:
            lookup.cancel()

    for lookup in pending:
        lookup.add_done_callback(one_done)
    future.add_done_callback(left)
    return future


def _merged(answers: Sequence[DnsAnswer[Any]]) -> DnsAnswer[Any]:
    records = tuple(record for answer in answers for record in answer.records)
    is_there = any(answer.exists for answer in answers)
    return DnsAnswer(records, is_there, min(answer.until_ns for answer in answers))
