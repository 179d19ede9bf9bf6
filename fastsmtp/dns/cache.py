"""What the DNS has said, as long as it may be believed; trouble, too, for a moment."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastsmtp.directory.lru import UsedLately
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer

__all__ = ["DnsCache", "Kept"]


class Kept:
    """An answer, or the text of the trouble there was."""

    __slots__ = ("answer", "expires_ns", "is_used", "trouble")

    def __init__(self, answer: DnsAnswer[Any] | None, trouble: str, expires_ns: int) -> None:
        self.answer = answer
        self.trouble = trouble
        self.expires_ns = expires_ns
        self.is_used = False


class DnsCache:
    """At most `entries` answers by question. Times to live are clamped; all of them are seconds."""

    def __init__(
        self,
        entries: int,
        *,
        ttl_min_s: float,
        ttl_max_s: float,
        negative_ttl_s: float,
        failure_ttl_s: float,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._kept: UsedLately[Kept] = UsedLately(entries)
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
            self._kept.add(question, Kept(answer, trouble, expires_ns))
        else:
            kept.answer, kept.trouble, kept.expires_ns = answer, trouble, expires_ns
