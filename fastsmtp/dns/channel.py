"""One way to the DNS servers: aiodns, which is c-ares."""

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastsmtp.config.dns import DnsSettings
from fastsmtp.dns.questions import KINDS, RESULTS, Kind
from fastsmtp.errors import DnsError
from fastsmtp.ports import Clock, DnsAnswer
from fastsmtp.stats import Histogram, Stats

if TYPE_CHECKING:
    from aiodns import DNSResolver
    from pycares import DNSResult

__all__ = ["Asked", "Channel"]

Asked = tuple[DnsAnswer[Any], int | None]
"""An answer, and for how many seconds it is good; None where nobody said so."""

QUESTIONS_MAX: Final = 5_000
"""c-ares has a cache of its own that has no bound but the TTLs: after so many questions there is a new one."""

TRIES: Final = 4
"""So often each server is asked, each time for twice as long as before: c-ares gives one that is usually quick 250 ms
for the first attempt, and so 3.75 s in all, which it may need to ask others."""


_log = logging.getLogger("fastsmtp.dns")


class Channel:
    """Asks what it is asked; it is opened by the first question, so that who asks nothing has no thread for it."""

    def __init__(self, settings: DnsSettings, clock: Clock, stats: Stats) -> None:
        self._servers = [str(server) for server in settings.servers]
        self._attempt_s = settings.timeout / (2**TRIES - 1)
        self._monotonic_ns = clock.monotonic_ns
        self._dns: DNSResolver | None = None
        self._is_closed = False
        self._questions = 0
        self._open: set[asyncio.Future[DNSResult]] = set()
        self._cells = stats.cells
        queries = stats.counter(
            "fastsmtp_dns_queries_total",
            "Questions to the DNS servers, by the type of the record, and what they came to.",
            type_=KINDS,
            result=[result.replace(" ", "_") for result in RESULTS],
        )
        self._counts = {
            (kind, result): stats.cell(queries, kind, result.replace(" ", "_")) for kind in KINDS for result in RESULTS
        }
        self._seconds: Histogram = stats.timer(
            stats.histogram(
                "fastsmtp_dns_seconds", "Time until a question to the DNS servers was answered or given up."
            )
        )

    def ask(self, kind: Kind, name: str) -> asyncio.Future[Asked]:
        """Whatever keeps it from being answered is a DnsError."""
        begun_ns = self._monotonic_ns()
        answered: asyncio.Future[Asked] = asyncio.get_running_loop().create_future()
        dns = self._opened()
        if dns is None:
            self._count(kind, "other trouble")
            answered.set_exception(DnsError("other trouble"))
            return answered
        asked = dns.query_dns(name, kind)
        self._open.add(asked)
        asked.add_done_callback(partial(self._heard, kind, name, begun_ns, answered))
        return answered

    async def close(self) -> None:
        """Give up what is open, and wait until c-ares has let go of it."""
        self._is_closed = True
        if self._dns is not None:
            await self._dns.close()
            self._dns = None
        if self._open:
            await asyncio.wait(self._open)

    def _opened(self) -> "DNSResolver | None":
        """None where there is none to be had, or no more."""
        if self._is_closed:
            return None
        if self._dns is None or self._questions >= QUESTIONS_MAX:
            from aiodns import DNSResolver  # 30 ms, and a server without such plugins needs none of it
            from pycares import AresError

            try:
                # The one before goes when its last question is answered.
                self._dns = DNSResolver(self._servers or None, timeout=self._attempt_s, tries=TRIES)
            except AresError:
                _log.exception("the DNS cannot be asked")
                return self._dns
            self._questions = 0
        self._questions += 1
        return self._dns

    def _heard(
        self,
        kind: Kind,
        name: str,
        begun_ns: int,
        answered: asyncio.Future[Asked],
        asked: "asyncio.Future[DNSResult]",
    ) -> None:
        from fastsmtp.dns.answers import answer_of, failure_of

        self._open.discard(asked)
        self._seconds.observe(self._monotonic_ns() - begun_ns)
        error = asked.exception()
        try:
            answer, ttl_s = failure_of(error.args[0]) if error is not None else answer_of(asked.result(), name, kind)
        except DnsError as trouble:
            self._count(kind, str(trouble))
            answered.set_exception(trouble)
            return
        except Exception:  # noqa: BLE001 - a fault of ours: nobody would hear of this name any more
            _log.exception("an answer of the DNS cannot be read", extra={"question": f"{kind} {name}"})
            self._count(kind, "other trouble")
            answered.set_exception(DnsError("other trouble"))
            return
        self._count(kind, "found" if answer.records else "no data" if answer.exists else "no name")
        answered.set_result((answer, ttl_s))

    def _count(self, kind: Kind, result: str) -> None:
        self._cells[self._counts[kind, result]] += 1
