"""The last half hour: samples of what is counted, and what came between them."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Final

from fastsmtp.server.status.figures import Figures

__all__ = ["OUTCOMES", "SAMPLES", "SAMPLE_EVERY_S", "History", "Sample", "Span"]

SAMPLE_EVERY_S: Final = 10
SAMPLES: Final = 180

OUTCOMES: Final = ("stored", "deferred", "refused")
"""Messages in mailboxes, 4xx replies, 5xx replies."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters at one moment (seconds on a clock that never goes back), which only grow."""

    at_s: float
    outcomes: Mapping[str, int]
    cpu_ns: Mapping[str, int]
    bounds_ns: Sequence[int]
    times: Sequence[int]

    @classmethod
    def of(cls, at_s: float, figures: Figures) -> "Sample":
        """What the figures of this moment say."""
        replies = figures.by("fastsmtp_replies_total", "class")
        outcomes = {
            "stored": figures.value("fastsmtp_transactions_total", outcome="stored"),
            "deferred": replies["4xx"],
            "refused": replies["5xx"],
        }
        cpu_ns = figures.by("fastsmtp_worker_cpu_seconds_total", "worker")
        bounds, times = figures.buckets("fastsmtp_transaction_seconds", outcome="stored")
        return cls(at_s, outcomes, cpu_ns, bounds, times)


@dataclass(frozen=True, slots=True)
class Span:
    """What came between two samples."""

    earlier: Sample
    later: Sample

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.later.at_s - self.earlier.at_s

    def count(self, outcome: str) -> int:
        """Of one of OUTCOMES."""
        return self.later.outcomes[outcome] - self.earlier.outcomes[outcome]

    def per_second(self, outcome: str) -> float:
        """The same, per second."""
        return self.count(outcome) / self.seconds if self.seconds else 0.0

    def cpu_share(self, worker: str) -> float:
        """Of one core."""
        used_ns = self.later.cpu_ns.get(worker, 0) - self.earlier.cpu_ns.get(worker, 0)
        return used_ns / 1e9 / self.seconds if self.seconds else 0.0

    def times(self) -> Sequence[int]:
        """Of the messages that were stored, by bucket of `later.bounds_ns`."""
        return [now - before for now, before in zip_longest(self.later.times, self.earlier.times, fillvalue=0)]


class History:
    """`take` a sample every SAMPLE_EVERY_S; the oldest goes."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES + 1)

    def take(self, sample: Sample) -> None:
        """Keep it."""
        self._samples.append(sample)

    def spans(self) -> Iterator[Span]:
        """What came between each sample and the next, the oldest first."""
        return (Span(earlier, later) for earlier, later in pairwise(self._samples))

    def lately(self, now: Sample, seconds: float) -> Span:
        """From the newest sample that is at least so old (or else the oldest) to this one."""
        earlier = now
        for sample in reversed(self._samples):
            earlier = sample
            if now.at_s - sample.at_s >= seconds:
                break
        return Span(earlier, now)
