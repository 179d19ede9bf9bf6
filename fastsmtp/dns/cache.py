"""What the DNS has said, as long as it may be believed; trouble, too, for a moment."""

from collections.abc import Callable
from dataclasses import replace
from sys import getsizeof
from typing import Any, Final

from fastsmtp.directory.lru import UsedLately
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer, MailExchanger

__all__ = ["DnsCache", "Kept"]

# Measured with tracemalloc, CPython 3.11: 200 and 80 to 120 octets, without the texts.
_ENTRY_OCTETS: Final = 250
_RECORD_OCTETS: Final = 120


class Kept:
    """An answer, or the text of the trouble there was."""

    __slots__ = ("answer", "expires_ns", "is_used", "octets", "trouble")

    def __init__(self, answer: DnsAnswer[Any] | None, trouble: str, expires_ns: int) -> None:
        self.answer = answer
        self.trouble = trouble
        self.expires_ns = expires_ns
        self.is_used = False
        self.octets = 0


class DnsCache:
    """At most `entries` answers by question, and at most `octets` of memory for them: what is wanted least goes first.
    Times to live are clamped; all of them are seconds.
    """

    def __init__(
        self,
        entries: int,
        octets: int,
        *,
        ttl_min_s: float,
        ttl_max_s: float,
        negative_ttl_s: float,
        failure_ttl_s: float,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._kept: UsedLately[Kept] = UsedLately(entries)
        self._octets_bound = octets
        self.octets = 0
        self._ttl_min_s = ttl_min_s
        self._ttl_max_s = ttl_max_s
        self._negative_ttl_s = negative_ttl_s
        self._failure_ttl_s = failure_ttl_s
        self._monotonic_ns = monotonic_ns

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: str) -> Kept | None:
        """What is remembered and still good."""
        kept = self._kept.get(question)
        if kept is None or self._monotonic_ns() >= kept.expires_ns:
            return None
        kept.is_used = True
        return kept

    def keep(self, question: str, answer: DnsAnswer[Any], ttl_s: int | None) -> DnsAnswer[Any]:
        """Remember an answer, and give it back with its time: `ttl_s` is None where nobody said how long it is good
        (see decision 0017).
        """
        if answer.records:
            lifetime_s = max(self._ttl_min_s, min(ttl_s or 0, self._ttl_max_s))
        else:
            lifetime_s = self._negative_ttl_s if ttl_s is None else min(ttl_s, self._negative_ttl_s)
        until_ns = self._monotonic_ns() + int(lifetime_s * 1e9)
        answer = replace(answer, until_ns=until_ns)
        self._put(question, answer, "", until_ns)
        return answer

    def keep_trouble(self, question: str, error: DnsError) -> None:
        """Remember that there was no answer; the last good one is not used in its place."""
        self._put(question, None, str(error), self._monotonic_ns() + int(self._failure_ttl_s * 1e9))

    def _put(self, question: str, answer: DnsAnswer[Any] | None, trouble: str, expires_ns: int) -> None:
        kept = self._kept.get(question)
        if kept is None:
            kept = Kept(answer, trouble, expires_ns)
            self._forget(self._kept.add(question, kept))
        else:
            kept.answer, kept.trouble, kept.expires_ns = answer, trouble, expires_ns
        octets = _octets(question, answer)
        self.octets += octets - kept.octets
        kept.octets = octets
        while self.octets > self._octets_bound:
            self._forget(self._kept.evict())

    def _forget(self, evicted: tuple[str, Kept] | None) -> None:
        if evicted is not None:
            self.octets -= evicted[1].octets


def _octets(question: str, answer: DnsAnswer[Any] | None) -> int:
    """What an answer takes in memory, about."""
    octets = _ENTRY_OCTETS + getsizeof(question)
    for record in () if answer is None else answer.records:
        text = record.host if isinstance(record, MailExchanger) else record
        octets += _RECORD_OCTETS + (getsizeof(text) if isinstance(text, str) else 0)
    return octets
